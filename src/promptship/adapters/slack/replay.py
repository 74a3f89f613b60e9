"""Requests of Slack's that were seen before: each is acted on once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime
from typing import Final

from promptship.adapters.slack.signature import AGE_S_MAX
from promptship.errors import Refused

KEPT_MAX: Final = 20_000
"""Genuine requests that are remembered; Slack does not send so many in ten minutes."""


class Seen:
    """Remembers genuine requests for as long as their signature is good for, in this process."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def once(self, key: str, now: datetime) -> None:
        """Return the first time; `key` is a signature or an envelope's id. Raises Refused every further time."""
        at = now.timestamp()
        with self._lock:
            while self._seen:
                oldest, seen_at = next(iter(self._seen.items()))
                # A timestamp may lie in the future by as much as in the past.
                if len(self._seen) <= KEPT_MAX and at - seen_at <= 2 * AGE_S_MAX:
                    break
                del self._seen[oldest]
            if key in self._seen:
                raise Refused("this request has been seen before")
            self._seen[key] = at
