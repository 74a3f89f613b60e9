"""What every endpoint needs, and nothing else."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from promptship.adapters.slack import Seen, SlackTalk
from promptship.lifecycle.app import App
from promptship.server.feed import RouteBroadcast

_log = logging.getLogger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")

REFUSALS_TOLD_S: Final = 60.0
PUSHES_MAX: Final = 4
"""Announced pushes that are taken in at a time. Each may wait a minute for a remote, on one of the few threads that serve everybody."""
DRAIN_S_MAX: Final = 10.0
"""How long work that outlives its request may take when the server stops."""


@dataclass(slots=True)
class Plane:
    """The control plane of one installation."""

    app: App
    token: str
    """Lets gateways, programs and people in."""
    secret: bytes
    """Key of the hook's signatures and of browser sessions."""
    slack_secret: str
    """Slack's signing secret; empty: clicks are refused."""
    broadcast: RouteBroadcast
    talk: SlackTalk
    """Modals, and words for one person."""
    seen: Seen = field(default_factory=Seen)
    """What Slack has sent lately: a request that comes again is a replay."""
    pushes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PUSHES_MAX))
    """Held while an announced push is taken in."""
    _refusals: int = 0
    _refusals_told_at: float = float("-inf")
    _work: set[asyncio.Task[None]] = field(default_factory=set)

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Go on with `work` after the answer has been sent. It must deal with its own errors."""
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._done)

    def refused(self, why: str) -> None:
        """Note that a request was not Slack's: in the log, and there at most once a minute, however many come."""
        self._refusals += 1
        now = time.monotonic()
        if now - self._refusals_told_at >= REFUSALS_TOLD_S:
            _log.warning("%d requests were not Slack's; the last: %s", self._refusals, why)
            self._refusals, self._refusals_told_at = 0, now

    async def drain(self) -> None:
        """Wait for what still goes on, but not for ever."""
        if self._work:
            await asyncio.wait(self._work, timeout=DRAIN_S_MAX)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("work after an answer failed", exc_info=task.exception())


def plane(request: Request) -> Plane:
    """The plane that serves this request."""
    found: Plane = request.app.state.plane
    return found


def threaded(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Awaitable[_T]:
    """Call a port or a use case: they block, the event loop must not."""
    return run_in_threadpool(partial(function, *args, **kwargs))
