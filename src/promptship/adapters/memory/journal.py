"""The journal in memory: the same rules as in SQL, one lock instead of transactions."""

# ruff: noqa: D102 - the port says what each method means

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from promptship.adapters.ledger.chain import canonical
from promptship.errors import Conflict
from promptship.ports import Entry


class MemoryJournal:
    """`ports.Journal` in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []

    def keep(
        self,
        topic: str,
        kind: str,
        data: Mapping[str, Any],
        *,
        actor: str,
        at: datetime,
        expected_seq: int | None = None,
    ) -> Entry:
        with self._lock:
            seq = sum(entry.topic == topic for entry in self._entries) - 1
            if expected_seq is not None and seq != expected_seq:
                raise Conflict(f"journal {topic} ends at entry {seq}, not at {expected_seq}")
            plain = json.loads(canonical(dict(data)))
            entry = Entry(topic=topic, seq=seq + 1, at=at, actor=actor, kind=kind, data=plain)
            self._entries.append(entry)
            return entry

    def entries(
        self, topic: str, *, after: int = -1, kind: str | None = None, limit: int | None = None
    ) -> Sequence[Entry]:
        with self._lock:
            found = [
                entry
                for entry in self._entries
                if entry.topic == topic and entry.seq > after and kind in {None, entry.kind}
            ]
        return tuple(found if limit is None else found[-limit:] if limit else ())

    def topics(self, prefix: str, *, limit: int = 100) -> Sequence[str]:
        with self._lock:
            newest_first = [entry.topic for entry in reversed(self._entries)]
        return tuple(topic for topic in dict.fromkeys(newest_first) if topic.startswith(prefix))[:limit]
