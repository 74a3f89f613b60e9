"""What a check may spend: dollars per day and calls per minute, counted over restarts."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC
from typing import Final, TypeVar

from promptship.chat import ChatAnswer
from promptship.errors import Unavailable
from promptship.evals.calls import BUDGET_SPENT, Calls
from promptship.evals.units import Once
from promptship.ports import Clock

T = TypeVar("T")
MINUTE_S: Final = 60.0


@dataclass(slots=True)
class Meter:
    """One budget. Days are those of UTC; an answer counts for the day on which it came."""

    clock: Clock
    spend_max_usd: float | None = None
    calls_per_minute: int | None = None
    day: str = ""
    spent_usd: float = 0.0
    flying: int = 0
    """Calls under way, each of which will cost about what calls have cost so far."""
    _priced: int = 0
    _paid: float = 0.0
    _starts: deque[float] = field(default_factory=deque)

    @property
    def is_spent(self) -> bool:
        """Whether the day's money is gone, with what the calls under way will cost on average."""
        self._turn_day()
        if self.spend_max_usd is None:
            return False
        return self.spent_usd + self.flying * self._mean >= self.spend_max_usd

    @property
    def _mean(self) -> float:
        return self._paid / self._priced if self._priced else 0.0

    def paid(self, cost_usd: float | None) -> None:
        """An answer came; None: nobody knows what it cost, then it counts as those before it did on average."""
        self._turn_day()
        if cost_usd is None:
            self.spent_usd += self._mean
            return
        self.spent_usd += cost_usd
        self._paid += cost_usd
        self._priced += 1

    def busy_s(self, now: float) -> float:
        """Seconds until one more call may start; 0: it may now. `now` is monotonic."""
        if self.calls_per_minute is None:
            return 0.0
        while self._starts and now - self._starts[0] >= MINUTE_S:
            self._starts.popleft()
        return MINUTE_S - (now - self._starts[0]) if len(self._starts) >= self.calls_per_minute else 0.0

    def wait_s(self, now: float) -> float:
        """The same; 0: it may now, and is counted."""
        busy_s = self.busy_s(now)
        if not busy_s and self.calls_per_minute is not None:
            self._starts.append(now)
        return busy_s

    def _turn_day(self) -> None:
        today = self.clock.now().astimezone(UTC).date().isoformat()
        if today != self.day:
            self.day, self.spent_usd = today, 0.0


@dataclass(slots=True)
class Metered:
    """`Asking` for one judgement. It keeps nothing of what was said: there is no cache behind it.

    `down` and `spent` tell afterwards why there is no score.
    """

    calls: Callable[[], Calls]
    meters: tuple[Meter, ...]
    monotonic: Callable[[], float] = time.monotonic
    down: bool = False
    """An endpoint gave no answer: later it may."""
    spent: bool = False

    async def answer(
        self, endpoint: str, once: Once, *, model: str = "", key: str = "", deadline_s: float | None = None, anew: bool = False
    ) -> ChatAnswer:  # fmt: skip
        """See `promptship.evals.units.Asking`."""
        del key, anew
        answer = await self._asked(
            lambda: self.calls().answer(endpoint, once, model=model, deadline_s=deadline_s)
        )
        for meter in self.meters:
            meter.paid(answer.cost_usd)
        return answer

    async def limited(
        self, endpoint: str, once: Callable[[], Awaitable[T]], *, model: str = "", deadline_s: float | None = None
    ) -> T:  # fmt: skip
        """See `promptship.evals.units.Asking`."""
        return await self._asked(
            lambda: self.calls().limited(endpoint, once, model=model, deadline_s=deadline_s)
        )

    async def _asked(self, ask: Callable[[], Awaitable[T]]) -> T:
        await self._turn()
        if any(meter.is_spent for meter in self.meters):
            self.spent = True
            raise Unavailable(BUDGET_SPENT)
        for meter in self.meters:
            meter.flying += 1
        try:
            return await ask()
        except Unavailable:
            self.down = True
            raise
        finally:
            for meter in self.meters:
                meter.flying -= 1

    async def _turn(self) -> None:
        for meter in self.meters:
            while (wait_s := meter.wait_s(self.monotonic())) > 0:  # noqa: ASYNC110 - time is no event
                await asyncio.sleep(wait_s)
