"""Calls of a model: one deadline for all attempts, retries of `Unavailable` only, and a fuse for a provider that is down."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from promptship.errors import ConfigError, PromptshipError, Unavailable
from promptship.ports import ChatAnswer, ChatRequest, Models

Pause = Callable[[float], Awaitable[None]]

BACKOFF_S: Final = 0.5
BACKOFF_S_MAX: Final = 8.0
WRONG_MAX: Final = 5
"""So many requests refused as wrong, and not one answer: the settings are wrong, not the cases."""


class Calls:
    """Calls models for one run.

    Args:
        models: where to.
        deadline_s: of one call, with all its attempts and the pauses between them. A hang cannot hold a slot for longer.
        attempts: how often a call is tried at most.
        down_max: so many calls in a row without any answer blow the fuse.
        seed: of the jitter.
        pause: sleeps; given by tests.
    """

    def __init__(
        self,
        models: Models,
        *,
        deadline_s: float,
        attempts: int,
        down_max: int,
        seed: int = 0,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._models = models
        self._deadline_s = deadline_s
        self._attempts = attempts
        self._down_max = down_max
        self._jitter = random.Random(seed)  # noqa: S311 - spreads retries, hides nothing
        self._pause = pause
        self._unanswered: Counter[str] = Counter()
        self._wrong: Counter[str] = Counter()
        self._answered: set[str] = set()
        self.blown: PromptshipError | None = None
        """Set when going on makes no sense: the provider is down, or no request is right. The runner then stops the run."""

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        """One answer.

        Raises:
            Unavailable: no answer within the deadline or the attempts.
            Refused: 401 or 403.
            ConfigError: no provider for the model, or the request is wrong.
        """
        try:
            answer = await self._with_deadline(request)
        except Unavailable as error:
            self._unanswered[request.model] += 1
            if self._unanswered[request.model] >= self._down_max:
                count = self._unanswered[request.model]
                self.blown = Unavailable(
                    f"{count} calls of {request.model} in a row got no answer; the last: {error}",
                    retry_after_s=error.retry_after_s,
                )
            raise
        except ConfigError as error:
            self._wrong[request.model] += 1
            if request.model not in self._answered and self._wrong[request.model] >= WRONG_MAX:
                self.blown = error
            raise
        self._unanswered[request.model] = 0
        self._answered.add(request.model)
        return answer

    async def _with_deadline(self, request: ChatRequest) -> ChatAnswer:
        last: Unavailable | None = None
        try:
            async with asyncio.timeout(self._deadline_s) as deadline:
                for attempt in range(1, self._attempts + 1):
                    try:
                        return await self._models.complete(request)
                    except Unavailable as error:
                        last = error
                    wait_s = self._wait_s(attempt, last)
                    ends_at = deadline.when() or 0.0
                    if attempt == self._attempts or asyncio.get_running_loop().time() + wait_s >= ends_at:
                        break
                    await self._pause(wait_s)
        except TimeoutError:
            pass
        if last is None:
            raise Unavailable(f"{request.model} did not answer within {self._deadline_s:g} s")
        raise last

    def _wait_s(self, attempt: int, error: Unavailable) -> float:
        """Half to whole of a doubling pause; never shorter than what the provider asked for."""
        longest = min(BACKOFF_S * float(2 ** (attempt - 1)), BACKOFF_S_MAX)
        return max(longest * self._jitter.uniform(0.5, 1.0), error.retry_after_s or 0.0)
