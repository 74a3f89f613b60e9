"""Keeps the routes of this process: a thread that follows the gateway, the last known routes on disk, the bundle."""

from __future__ import annotations

import atexit
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from promptship.client.bundle import Readable, read_bundle
from promptship.client.kept import KeptRoutes
from promptship.client.live import LiveTable
from promptship.client.state import Source

_JITTER = random.Random()  # noqa: S311 - no secret; the application's own random numbers stay as they are

if TYPE_CHECKING:
    import asyncio

_LOG = logging.getLogger("promptship.client")
CONFIRM_S: Final = 30.0
"""How often the file on disk is told that it still holds."""
_AGAIN_S: Final = 1.0
_END_S_MAX: Final = 0.5


class Follower:
    """Routes, and where they are from. The thread is started by `start`, and again in a forked child.

    Args:
        gateway: base address.
        key: of the application; empty: none.
        kept: the last known routes; None: nothing is kept.
        bundle: routes that came with the application; None: there are none.
        monotonic: counts leases down.
    """

    def __init__(
        self,
        gateway: str,
        key: str,
        *,
        kept: KeptRoutes | None,
        bundle: Readable | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.live = LiveTable(monotonic=monotonic)
        self.source: Source = "none"
        self.trouble = "not tried yet"
        self.application = ""
        """What the gateway calls this application; canaries may be for some applications only."""
        self._gateway = gateway
        self._key = key
        self._kept = kept
        self._bundle = bundle
        self._monotonic = monotonic
        self._confirmed_at = float("-inf")
        self.thread: threading.Thread | None = None
        self._loaded = False
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None
        self._locks()
        _FOLLOWERS.add(self)

    def start(self) -> None:
        """Follow the gateway in the background; nothing happens if that is done already."""
        with self._starting:
            if self.thread is None:
                thread = threading.Thread(target=self._run, name="promptship-routes", daemon=True)
                with suppress(RuntimeError):  # the process ends: nothing is followed any more
                    thread.start()
                    self.thread = thread

    def load(self) -> None:
        """Know what disk and bundle hold, once, unless the gateway was faster. Of the two the larger revision serves.

        Raises:
            ConfigError: the bundle cannot be read: it was made wrongly, and would fail when it is needed.
        """
        with self._taking:
            if self._loaded:
                return
            bundled = read_bundle(self._bundle) if self._bundle is not None else None
            self._loaded = True
            if self.source != "none":
                return
            table = self._kept.load() if self._kept is not None else None
            if table is not None and (bundled is None or bundled.table.revision <= table.revision):
                self.live.take(table, age_s=self._kept.age_s if self._kept else 0.0)
                self.source = "disk"
            elif bundled is not None:
                # Perhaps of another ledger: whatever revision the gateway tells is better.
                self.live.take(bundled.table, age_s=bundled.age_s, provisional=True)
                self.source = "bundle"

    def wait(self, timeout_s: float) -> None:
        """Until the gateway was heard or a try has failed, at most that long."""
        self._settled.wait(timeout_s)

    def end(self) -> None:
        """Tell the thread to end."""
        with self._starting:
            loop, task = self._running or (None, None)
            self._stopping.set()
            if loop is not None and task is not None:
                with suppress(RuntimeError):  # it has ended by itself
                    loop.call_soon_threadsafe(task.cancel)

    def join(self, timeout_s: float) -> None:
        """After `end`: until it has ended, at most that long."""
        with self._starting:
            thread, self.thread = self.thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    def begin_anew(self) -> None:
        """In a forked child: threads and locks do not survive, what is known does."""
        self.thread = None
        self._running = None
        self._locks()

    def _locks(self) -> None:
        self._starting = threading.Lock()
        self._taking = threading.Lock()
        self._settled = threading.Event()
        self._stopping = threading.Event()
        self._loaded = self.source != "none"

    def _run(self) -> None:
        import asyncio

        while not self._stopping.is_set():
            try:
                asyncio.run(self._follow())
            except asyncio.CancelledError:
                return
            except Exception as error:  # noqa: BLE001 - without the feed the client would grow old unnoticed
                self._troubled(type(error).__name__)
                _LOG.error("following routes failed: %s", type(error).__name__)
            self._stopping.wait(_AGAIN_S * _JITTER.uniform(0.5, 1.0))

    async def _follow(self) -> None:
        import asyncio

        from promptship.client.feed import (
            HttpRouteFeed,
        )  # httpx: whoever waits for a first answer must not wait for it

        task = asyncio.current_task()
        if task is None or self._stopping.is_set():
            return
        self._running = asyncio.get_running_loop(), task
        feed = HttpRouteFeed(self._gateway, self._key, monotonic=self._monotonic, troubled=self._troubled)
        async for table in feed.follow():
            with self._taking:
                self.application = feed.application
                changed = self.live.take(table, age_s=feed.age_s)
                if self.live.table is table:
                    self.source, self.trouble = "gateway", ""
                else:
                    self.trouble = f"the gateway tells revision {table.revision}, an older one is known"
            self._settled.set()
            # The disk is slow at worst, and nobody but this thread waits for it.
            self._keep(changed=changed)

    def _keep(self, *, changed: bool) -> None:
        table = self.live.table
        if self._kept is None or table is None or self.source != "gateway":
            return
        now = time.monotonic()
        if changed or self._confirmed_at == float("-inf"):
            self._kept.save(table)
        elif now - self._confirmed_at > CONFIRM_S and self.live.age_s < CONFIRM_S:
            self._kept.confirm()
        else:
            return
        self._confirmed_at = now

    def _troubled(self, what: str) -> None:
        self.trouble = what
        self._settled.set()


_FOLLOWERS: weakref.WeakSet[Follower] = weakref.WeakSet()


def _after_fork() -> None:
    for follower in list(_FOLLOWERS):
        follower.begin_anew()


def _at_exit() -> None:
    ending = list(_FOLLOWERS)
    for follower in ending:
        follower.end()
    for follower in ending:
        follower.join(_END_S_MAX)


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
