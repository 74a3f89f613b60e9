"""Reports on their way to the gateway: a bounded queue, a thread that sends, and numbers for what got lost.

Every report carries an id that was made with it, and is sent until the gateway has answered: what arrives twice counts once.
"""

from __future__ import annotations

import atexit
import logging
import os
import random
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final, Literal

_JITTER = random.Random()  # noqa: S311 - no secret; the application's own random numbers stay as they are

_LOG = logging.getLogger("promptship.client")
Stream = Literal["observations", "feedback"]
Report = tuple[Stream, Mapping[str, Any]]
REPORTS_MAX: Final = 10_000
BATCH_MAX: Final = 500
EVERY_S: Final = 0.5
TIMEOUT_S: Final = 5.0
CLOSE_S_MAX: Final = 2.0
_PAUSE_S_MAX: Final = 10.0
_TOO_MUCH: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE})
PATH: Final = "/v1/observations"


class Outbox:
    """Takes reports without ever waiting. The thread begins with the first one, and again in a forked child."""

    def __init__(
        self, gateway: str, key: str, *, reports_max: int = REPORTS_MAX, every_s: float = EVERY_S
    ) -> None:
        self._url = gateway.rstrip("/") + PATH
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._reports_max = reports_max
        self._every_s = every_s
        self._said = ""
        self.begin_anew()
        _OUTBOXES.add(self)

    def begin_anew(self) -> None:
        """In a forked child: what waits at a fork is the parent's to send, and its numbers are the parent's."""
        self._waiting: deque[Report] = deque()
        self._sending: list[Report] = []
        self._thread: threading.Thread | None = None
        self._counting = threading.Lock()
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._deadline = float("inf")
        self.sent = self.dropped = self.refused = 0

    def put(self, stream: Stream, report: Mapping[str, Any]) -> bool:
        """Queue one; False: the queue is full, or nothing is sent any more."""
        if self._stopping.is_set() or len(self._waiting) >= self._reports_max:
            with self._counting:
                self.dropped += 1
            return False
        self._waiting.append((stream, report))
        if self._thread is None:
            self._start()
        elif len(self._waiting) >= BATCH_MAX:
            self._news.set()
        return True

    @property
    def queued(self) -> int:
        """Reports that wait or are under way."""
        return len(self._waiting) + len(self._sending)

    def end(self, timeout_s: float) -> None:
        """Take nothing more; what waits is sent within that time, by the thread."""
        self._deadline = time.monotonic() + timeout_s
        self._stopping.set()
        self._news.set()

    def join(self) -> None:
        """After `end`: until everything is sent or its time is over. What is left then is dropped and counted."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, self._deadline - time.monotonic()) + 0.1)
        with self._counting:
            left = self.queued
            self._waiting.clear()
            self._sending = []
            self.dropped += left
        if left:
            _LOG.warning("%d reports could not be sent before the end", left)

    def _start(self) -> None:
        with self._counting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="promptship-reports", daemon=True)
                with suppress(RuntimeError):  # the process ends: then they are counted as dropped
                    thread.start()
                    self._thread = thread

    def _run(self) -> None:
        import httpx

        pause_s = self._every_s
        # The gateway is ours and near: a proxy meant for the outside world must not stand between.
        verify = not self._url.startswith("http://")  # loading certificates that nobody looks at takes 20 ms
        with httpx.Client(headers=self._headers, timeout=TIMEOUT_S, trust_env=False, verify=verify) as http:
            while True:
                self._news.wait(pause_s)
                self._news.clear()
                while self._take():
                    left_s = self._deadline - time.monotonic()
                    if left_s <= 0 or not self._send(http, min(TIMEOUT_S, left_s)):
                        break
                if self._stopping.is_set():
                    return
                pause_s = min(_PAUSE_S_MAX, pause_s * 2) if self._sending else self._every_s
                pause_s *= _JITTER.uniform(0.75, 1.0) if self._sending else 1.0

    def _take(self) -> bool:
        """Whether there is something to send: what failed last, else the next batch."""
        with self._counting:
            if not self._sending:
                number = min(BATCH_MAX, len(self._waiting))
                self._sending = [self._waiting.popleft() for _ in range(number)]
            return bool(self._sending)

    def _send(self, http: Any, timeout_s: float) -> bool:
        """Send the batch; False: try again later."""
        import httpx

        body: dict[str, list[Any]] = {"observations": [], "feedback": []}
        for stream, report in self._sending:
            body[stream].append(report)
        try:
            answer = http.post(self._url, json=body, timeout=timeout_s)
        except httpx.HTTPError as error:
            self._trouble(type(error).__name__)
            return False
        if answer.is_success:
            self._settle(len(self._sending) - _refused(answer))
            return True
        self._trouble(f"answered {answer.status_code}")
        if answer.status_code in _TOO_MUCH:
            self._settle(0)
            return True
        return False

    def _settle(self, taken: int) -> None:
        with self._counting:
            self.sent += taken
            self.refused += len(self._sending) - taken
            self._sending = []
        if taken:
            self._said = ""

    def _trouble(self, what: str) -> None:
        """Say it once, not at every try."""
        if what != self._said:
            _LOG.warning("%s: %s; reports wait", PATH, what)
            self._said = what


def _refused(answer: Any) -> int:
    try:
        refused = answer.json()["refused"]
    except (KeyError, TypeError, ValueError):
        return 0
    return len(refused) if isinstance(refused, Sequence) else 0


_OUTBOXES: weakref.WeakSet[Outbox] = weakref.WeakSet()


def _after_fork() -> None:
    for outbox in list(_OUTBOXES):
        outbox.begin_anew()


def _at_exit() -> None:
    ending = list(_OUTBOXES)
    for outbox in ending:
        outbox.end(CLOSE_S_MAX)
    for outbox in ending:
        outbox.join()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
