"""The way to one endpoint: who waits, who goes, and the fuse that ends all calls to an endpoint that cannot answer."""

from __future__ import annotations

import asyncio
from collections import deque
from math import isinf
from typing import Final

from promptship.chat import ChatAnswer
from promptship.errors import ConfigError, PromptshipError, Refused, Unavailable
from promptship.evals.pacing import Pace

WRONG_MAX: Final = 5
"""So many requests refused as wrong, and not one answer: the settings are wrong, not the cases."""


class Lane:
    """Calls to one endpoint.

    Args:
        name: of the endpoint, for errors.
        pace: how many at a time.
        down_max: so many calls in a row without any answer blow the fuse.
    """

    def __init__(self, name: str, pace: Pace, *, down_max: int) -> None:
        self.name = name
        self.pace = pace
        self.dead: PromptshipError | None = None
        """Why the fuse is blown; None: it is not."""
        self._down_max = down_max
        self._unanswered = 0
        self._wrong = 0
        self._answered = False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, *, first: bool = False) -> None:
        """Wait for a turn; `first`: before those who wait already. Every `enter` that returns needs a `leave`.

        Raises:
            PromptshipError: the fuse is blown.
        """
        loop = asyncio.get_running_loop()
        self._refuse_if_dead()
        if not self._waiting and not self.pace.wait_s(loop.time()):
            self.pace.started()
            return
        turn = loop.create_future()
        if first:
            self._waiting.appendleft(turn)
        else:
            self._waiting.append(turn)
        self._wake()
        try:
            await turn
        except asyncio.CancelledError:
            if (
                turn.done() and not turn.cancelled() and turn.exception() is None
            ):  # the turn came in the same moment
                self.leave()
            raise
        except PromptshipError:
            self._refuse_if_dead()
            raise

    def leave(self) -> None:
        """The call has ended; the next one may go."""
        self.pace.ended()
        self._wake()

    def answered(self, answer: object) -> None:
        """A call got its answer."""
        self._unanswered, self._answered = 0, True
        now = asyncio.get_running_loop().time()
        if isinstance(answer, ChatAnswer):
            self.pace.answered(now, answer.limits, (answer.tokens_in or 0) + (answer.tokens_out or 0))
        else:
            self.pace.answered(now)

    def missed(self, error: Unavailable, began: float) -> None:
        """One attempt got no answer."""
        now = asyncio.get_running_loop().time()
        if error.throttled or error.retry_after_s is not None:
            self.pace.throttled(now, began, error.retry_after_s)
        else:
            self.pace.failed(now, began)

    def gave_up(self, error: PromptshipError) -> None:
        """A call ended without an answer for good: counts towards the fuse."""
        if isinstance(error, Unavailable):
            self._unanswered += 1
            if self._unanswered >= self._down_max:
                said = f"{self._unanswered} calls of {self.name} in a row got no answer; the last: {error}"
                self.blow(Unavailable(said, retry_after_s=error.retry_after_s))
        elif isinstance(error, Refused):
            self.blow(error)
        elif isinstance(error, ConfigError):
            self._wrong += 1
            if not self._answered and self._wrong >= WRONG_MAX:
                self.blow(error)

    def blow(self, error: PromptshipError) -> None:
        """No call of this endpoint from now on; those who wait are told at once."""
        if self.dead is not None:
            return
        self.dead = error
        if self._timer is not None:
            self._timer.cancel()
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(Unavailable("the endpoint's fuse is blown"))

    def _refuse_if_dead(self) -> None:
        # A new error each time: one that is raised by many tasks would collect all their tracebacks.
        if isinstance(self.dead, Unavailable):
            raise Unavailable(str(self.dead), retry_after_s=self.dead.retry_after_s)
        if isinstance(self.dead, ConfigError):
            raise ConfigError(self.dead.problems)
        if self.dead is not None:
            raise Refused(str(self.dead))

    def _wake(self) -> None:
        if not self._waiting:
            return
        loop = asyncio.get_running_loop()
        while self._waiting:
            if self._waiting[0].done():  # cancelled
                del self._waiting[0]
                continue
            wait_s = self.pace.wait_s(loop.time())
            if wait_s:
                if not isinf(wait_s):
                    if self._timer is not None:
                        self._timer.cancel()
                    self._timer = loop.call_later(wait_s, self._wake)
                return
            self.pace.started()
            self._waiting.popleft().set_result(None)
