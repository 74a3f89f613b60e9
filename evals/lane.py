"""The way to one endpoint: who waits, who goes, and the fuses: one for the endpoint, one for each of its models."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from math import isinf
from typing import Final

from promptship.chat import ChatAnswer
from promptship.errors import ConfigError, PromptshipError, Refused, Unavailable
from promptship.evals.pacing import Pace, Silence

WRONG_MAX: Final = 5
"""So many requests of a model refused as wrong, and not one answer: the settings are wrong, not the cases."""


class Lane:
    """Calls to one endpoint.

    What says something about the key or the machine ends the endpoint; what says something about a model (403, 404) ends that
    model. Calls that name no model end with their endpoint.

    Args:
        name: of the endpoint, for errors.
        pace: how many at a time.
        down_max: so many calls in a row without any answer blow the fuse.
        silence: blows it, too. An endpoint that takes calls and never answers keeps each for its whole deadline while the pace
            falls to one: counting alone would take an hour.
    """

    def __init__(self, name: str, pace: Pace, *, down_max: int, silence: Silence | None = None) -> None:
        self.name = name
        self.pace = pace
        self.dead: PromptshipError | None = None
        """Why the fuse is blown; None: it is not."""
        self.dead_models: dict[str, PromptshipError] = {}
        """The same of single models."""
        self._down_max = down_max
        self._silence = silence or Silence()
        self._unanswered = 0
        self._wrong: Counter[str] = Counter()
        self._answered: set[str] = set()
        self._asking_for_time_since: float | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, model: str = "", *, first: bool = False) -> None:
        """Wait for a turn; `first`: before those who wait already. Every `enter` that returns needs a `leave`.

        Raises:
            PromptshipError: the fuse of the endpoint, or of the model, is blown.
        """
        loop = asyncio.get_running_loop()
        self._refuse_if_dead(model)
        now = loop.time()
        if not self._waiting and not self.pace.wait_s(now):
            self._started(now)
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
            self._refuse_if_dead(model)
            raise
        if model in self.dead_models:
            self.leave()
            self._refuse_if_dead(model)

    def leave(self) -> None:
        """The call has ended; the next one may go."""
        self.pace.ended()
        self._wake()

    def answered(self, answer: object, model: str = "") -> None:
        """A call got its answer."""
        self._unanswered = 0
        self._answered.add(model)
        self._asking_for_time_since = None
        self._silence.heard()
        now = asyncio.get_running_loop().time()
        if isinstance(answer, ChatAnswer):
            self.pace.answered(now, answer.limits, (answer.tokens_in or 0) + (answer.tokens_out or 0))
        else:
            self.pace.answered(now)

    def missed(self, error: Unavailable, began: float, *, again: bool = False) -> None:
        """One attempt got no answer; `again`: not the first one of its call."""
        now = asyncio.get_running_loop().time()
        if error.throttled or error.retry_after_s is not None:
            self._silence.heard()  # somebody is there, and says when
            if self._asking_for_time_since is None:
                self._asking_for_time_since = began
            self.pace.throttled(now, began, error.retry_after_s)
            return
        self.pace.failed(now, began)
        if self._silence.missed(now, again=again):
            calls, silent_s = self._silence.calls, self._silence.seconds(now)
            self.blow(
                Unavailable(
                    f"{self.name} answered none of {calls} calls in {silent_s:.0f} s; the last: {error}"
                )
            )

    def asking_for_time_s(self) -> float:
        """How long the endpoint has said nothing but that it is not the time, since its last answer, in seconds."""
        since = self._asking_for_time_since
        return 0.0 if since is None else asyncio.get_running_loop().time() - since

    def gave_up(self, error: PromptshipError, model: str = "") -> None:
        """A call ended without an answer for good: counts towards a fuse."""
        if isinstance(error, Unavailable):
            self._unanswered += 1
            if self._unanswered >= self._down_max:
                said = f"{self._unanswered} calls of {self.name} in a row got no answer; the last: {error}"
                self.blow(Unavailable(said, retry_after_s=error.retry_after_s))
        elif isinstance(error, Refused):
            self._silence.heard()
            if not error.model_only:
                self.blow(error)
            elif model not in self._answered:
                # Otherwise it is about this request: some gateways answer 403 to what their moderation does not like.
                self._blow_model(error, model)
        elif isinstance(error, ConfigError):
            self._silence.heard()
            self._wrong[model] += 1
            if model not in self._answered and self._wrong[model] >= WRONG_MAX:
                self._blow_model(error, model)

    def is_dead(self, model: str) -> bool:
        """Whether calls of the model get no turn any more."""
        return self.dead is not None or model in self.dead_models

    def _blow_model(self, error: PromptshipError, model: str) -> None:
        if model:
            self.dead_models.setdefault(model, error)
        else:
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

    def _started(self, now: float) -> None:
        self.pace.started()
        self._silence.began(now)

    def _refuse_if_dead(self, model: str) -> None:
        dead = self.dead or self.dead_models.get(model)
        # A new error each time: one that is raised by many tasks would collect all their tracebacks.
        if isinstance(dead, Unavailable):
            raise Unavailable(str(dead), retry_after_s=dead.retry_after_s)
        if isinstance(dead, ConfigError):
            raise ConfigError(dead.problems)
        if isinstance(dead, Refused):
            raise Refused(str(dead), model_only=dead.model_only)

    def _wake(self) -> None:
        if not self._waiting:
            return
        loop = asyncio.get_running_loop()
        while self._waiting:
            if self._waiting[0].done():  # cancelled
                del self._waiting[0]
                continue
            now = loop.time()
            wait_s = self.pace.wait_s(now)
            if wait_s:
                if not isinf(wait_s):
                    if self._timer is not None:
                        self._timer.cancel()
                    self._timer = loop.call_later(wait_s, self._wake)
                return
            self._started(now)
            self._waiting.popleft().set_result(None)
