"""Calls of a run: one deadline for all attempts, retries of `Unavailable` only, per endpoint a pace and a fuse, cache and budget."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from promptship.chat import ChatAnswer
from promptship.errors import ConfigError, PromptshipError, Refused, Unavailable
from promptship.evals.lane import Lane
from promptship.evals.pacing import START, Pace, Silence
from promptship.evals.rows import Row
from promptship.evals.score import Unscored
from promptship.evals.units import Asking, Once

log = logging.getLogger(__name__)

T = TypeVar("T")
Pause = Callable[[float], Awaitable[None]]

DEADLINE_S: Final = 60.0
SILENT_DEADLINES: Final = 1.8
"""Silence of so many deadlines is the end of an endpoint: two rounds of calls that got their whole time, less a bit for the clock."""
BACKOFF_S: Final = 0.5
BACKOFF_S_MAX: Final = 8.0
UNCOUNTED: Final = "the budget does not count answers of %s: their price is not known; give price_in and price_out in [models]"
WAY_ROUND: Final = "give price_in and price_out in [models], or go on with --allow-unpriced, in a release with allow_unpriced in [evaluation]"
BUDGET_SPENT: Final = "the budget of the run is spent"
COST_UNKNOWN: Final = "the budget of the run cannot be kept: the cost of an answer is not known"


class Answers(Protocol):
    """Earlier answers by content address: `promptship.adapters.answer_cache`."""

    def get(self, key: str) -> ChatAnswer | None:
        """The answer kept under a key, marked `cached`."""
        ...

    def put(self, key: str, answer: ChatAnswer) -> None:
        """Keep an answer. Never raises: a cache that fails costs money, not the run."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How a run may call."""

    concurrency: int = 32
    """Parallel calls per endpoint at most."""
    caps: Mapping[str, int] = field(default_factory=dict)
    """Parallel calls of single endpoints, where that is fewer."""
    adaptive: bool = True
    """Find the number of parallel calls; False: always `concurrency`."""
    deadline_s: float = DEADLINE_S
    """Of one call, with all its attempts and the pauses between them. Waiting for the endpoint's turn is not counted: what a rate
    limit imposes is bounded by `patience_s`, and a hang cannot hold a turn for longer than this."""
    deadlines: Mapping[str, float] = field(default_factory=dict)
    """Deadlines of single endpoints, instead of `deadline_s`."""
    attempts: int = 4
    """How often a call is tried at most. "Not so often" is no attempt."""
    patience_s: float = 300.0
    """So long a call waits in all because the endpoint asks for it. One that asks for a longer pause at once, or has said nothing
    else for so long, is given up for all calls: each would wait in turn, for hours."""
    down_max: int | None = None
    """So many calls of an endpoint in a row without an answer blow its fuse; None: twice `concurrency`, at least 10. Silence blows
    it, too (`promptship.evals.pacing.Silence`): nothing heard for about two deadlines."""
    spend_max_usd: float | None = None
    """No call starts once this is spent, with what the calls under way will cost on average. None: no limit."""
    allow_unpriced: bool = False
    """Whether a run with `spend_max_usd` goes on after an answer whose cost nobody knows; otherwise no call starts after it."""

    def deadline_of(self, endpoint: str) -> float:
        """Seconds for one call of an endpoint."""
        return self.deadlines.get(endpoint, self.deadline_s)


class Calls:
    """`Asking` for one run, in one event loop.

    Args:
        limits: how it may call.
        answers: earlier answers; None: every call is paid.
        spent_usd: what the run has cost before it was resumed.
        seed: of the jitter.
        pause: sleeps between attempts; given by tests.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        answers: Answers | None = None,
        spent_usd: float = 0.0,
        seed: int = 0,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._limits = limits or Limits()
        self._answers = answers
        self._jitter = random.Random(seed)  # noqa: S311 - spreads retries, hides nothing
        self._pause = pause
        self._lanes: dict[str, Lane] = {}
        self._seen: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._first: dict[str, asyncio.Event] = {}
        """Endpoints that are asked, and whether the first call has ended."""
        self._flying = 0
        self._paid_usd = 0.0
        self._unknown = ""
        """The first answer whose cost nobody knows, of a run that has a budget."""
        self.spent_usd = spent_usd
        self.paid = 0
        """Answers that came over the wire."""
        self.unpriced = 0
        """Those of them whose cost nobody knows: a budget cannot count them."""
        self.reused = 0
        """Answers from the cache."""

    async def answer(
        self, endpoint: str, once: Once, *, model: str = "", key: str = "", deadline_s: float | None = None, anew: bool = False
    ) -> ChatAnswer:  # fmt: skip
        """See `promptship.evals.units.Asking`."""
        if key and self._answers is not None and not anew:
            kept = self._answers.get(key)
            if kept is not None:
                await self._first_answer(endpoint, kept)
                if self._is_current(endpoint, kept):
                    self.reused += 1
                    return kept
        self._refuse_if_spent()
        first = self._first.setdefault(endpoint, asyncio.Event())
        try:
            answer = await self._tried(endpoint, model, once, deadline_s, paid=True)
        finally:
            first.set()
        self.paid += 1
        if answer.cost_usd is None:
            self._not_counted(f"{endpoint} (model {answer.model})" if answer.model else endpoint)
            self.unpriced += 1
        else:
            self.spent_usd += answer.cost_usd
            self._paid_usd += answer.cost_usd
        if answer.fingerprint:
            self._seen[endpoint, answer.model].add(answer.fingerprint)
        if key and self._answers is not None:
            self._answers.put(key, answer)
        return answer

    async def limited(
        self, endpoint: str, once: Callable[[], Awaitable[T]], *, model: str = "", deadline_s: float | None = None
    ) -> T:  # fmt: skip
        """See `promptship.evals.units.Asking`."""
        return await self._tried(endpoint, model, once, deadline_s, paid=False)

    def count(self, row: Row) -> None:
        """Count what a row of this run cost before it was interrupted."""
        self.spent_usd += (row.cost_usd or 0.0) + row.judge_cost_usd
        if row.answers and row.cost_usd is None:
            self._not_counted(f"arm {row.arm}")

    @property
    def dead(self) -> Mapping[str, PromptshipError]:
        """Endpoints, and models of others (`model_at`), whose fuse is blown, and why."""
        found: dict[str, PromptshipError] = {}
        for name, lane in self._lanes.items():
            if lane.dead is not None:
                found[name] = lane.dead
            else:
                found |= {model_at(name, model): error for model, error in lane.dead_models.items()}
        return found

    def parallel(self, endpoint: str) -> float:
        """Parallel calls the endpoint gets at present."""
        return self._lane(endpoint).pace.limit

    async def _tried(
        self, endpoint: str, model: str, once: Callable[[], Awaitable[T]], deadline_s: float | None, *, paid: bool
    ) -> T:  # fmt: skip
        lane = self._lane(endpoint)
        deadline_s = left_s = self._limits.deadline_of(endpoint) if deadline_s is None else deadline_s
        loop = asyncio.get_running_loop()
        attempt, waits_since = 0, None
        while True:
            await lane.enter(model, first=attempt > 0 or waits_since is not None)
            began = loop.time()
            self._flying += paid
            try:
                if paid:
                    self._refuse_if_spent(besides=1)
                outcome = await self._once(lane, model, once, left_s, deadline_s, again=attempt > 0)
            finally:
                self._flying -= paid
                lane.leave()
            if not isinstance(outcome, Unavailable):
                return outcome
            left_s -= loop.time() - began
            attempt += not outcome.throttled
            asks_for_time = outcome.throttled or outcome.retry_after_s is not None
            if asks_for_time:
                # The lane is closed for that long, for everybody: wait there.
                waits_since = began if waits_since is None else waits_since
                patient = self._is_worth_waiting(lane, outcome, loop.time() - waits_since)
                wait_s = 0.0
            else:
                patient, wait_s = not lane.is_dead(model), self._wait_s(attempt)
            if not patient or attempt >= self._limits.attempts or wait_s >= left_s:
                lane.gave_up(outcome, model)
                raise outcome
            if wait_s:
                await self._pause(wait_s)
                left_s -= wait_s

    async def _once(
        self, lane: Lane, model: str, once: Callable[[], Awaitable[T]], left_s: float, deadline_s: float, *, again: bool
    ) -> T | Unavailable:  # fmt: skip
        """One attempt; Unavailable may be tried again. Raises Refused and ConfigError, which may not."""
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(left_s) as timeout:
                result = await once()
        except TimeoutError:
            if not timeout.expired():
                raise
            missed = Unavailable(f"{lane.name} did not answer within {deadline_s:g} s")
        except Unavailable as error:
            missed = error
        except (Refused, ConfigError) as error:
            lane.gave_up(error, model)
            raise
        else:
            lane.answered(result, model)
            return result
        lane.missed(missed, began, again=again)
        return missed

    def _is_worth_waiting(self, lane: Lane, error: Unavailable, waited_s: float) -> bool:
        """Whether a call goes back to the lane, which is closed for as long as the endpoint asked for."""
        asked_s = error.retry_after_s or 0.0
        if asked_s > self._limits.patience_s:
            lane.blow(error)
        elif (silent_s := lane.asking_for_time_s()) > self._limits.patience_s:
            said = f"{lane.name} answered nothing for {silent_s:.0f} s but that it is not the time; the last: {error}"
            lane.blow(Unavailable(said))
        return lane.dead is None and waited_s + asked_s <= self._limits.patience_s

    def _wait_s(self, attempt: int) -> float:
        """Half to whole of a doubling pause."""
        longest = min(BACKOFF_S * float(2 ** (attempt - 1)), BACKOFF_S_MAX)
        return longest * self._jitter.uniform(0.5, 1.0)

    def _refuse_if_spent(self, *, besides: int | None = None) -> None:
        most = self._limits.spend_max_usd
        if most is None:
            return
        if self._unknown:
            raise Unavailable(f"{COST_UNKNOWN}: {self._unknown}")
        priced = self.paid - self.unpriced
        mean = self._paid_usd / priced if priced else 0.0
        others = 0 if besides is None else self._flying - besides
        if self.spent_usd + others * mean >= most:
            raise Unavailable(BUDGET_SPENT)

    def _not_counted(self, whose: str) -> None:
        """An answer came, and nobody knows what it cost."""
        if self._limits.spend_max_usd is None or self.unpriced or self._unknown:
            return
        if self._limits.allow_unpriced:
            log.warning(UNCOUNTED, whose)
        else:
            self._unknown = f"{whose} named no tokens, or its price is not known; {WAY_ROUND}"

    async def _first_answer(self, endpoint: str, kept: ChatAnswer) -> None:
        """Wait until it is known who answers today, if somebody is about to find out.

        Otherwise the first trials of a comparison would hold a new candidate's answers of today's model against a stable
        version's of the model before.
        """
        if not kept.fingerprint or (endpoint, kept.model) in self._seen:
            return
        if endpoint not in self._first:
            await asyncio.sleep(0)  # the other version of the case starts in this turn of the loop
        if (first := self._first.get(endpoint)) is not None:
            await first.wait()

    def _is_current(self, endpoint: str, kept: ChatAnswer) -> bool:
        """Whether the configuration that gave an earlier answer is one that answers today, as far as anybody can tell."""
        seen = self._seen.get((endpoint, kept.model))
        return not seen or not kept.fingerprint or kept.fingerprint in seen

    def _lane(self, endpoint: str) -> Lane:
        lane = self._lanes.get(endpoint)
        if lane is None:
            limits = self._limits
            # Under a budget the price of a call is found out with one call, not with many at once.
            start = START if limits.spend_max_usd is None else 1
            cap = min(limits.concurrency, limits.caps.get(endpoint, limits.concurrency))
            pace = Pace(cap=cap, start=start, adaptive=limits.adaptive)
            down_max = limits.down_max or max(10, 2 * limits.concurrency)
            silence = Silence(SILENT_DEADLINES * limits.deadline_of(endpoint))
            lane = self._lanes[endpoint] = Lane(endpoint, pace, down_max=down_max, silence=silence)
        return lane


class Anew:
    """`Asking` that takes nothing from the cache: what comes replaces what is kept."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def answer(
        self, endpoint: str, once: Once, *, model: str = "", key: str = "", deadline_s: float | None = None, anew: bool = True
    ) -> ChatAnswer:  # fmt: skip
        """See `promptship.evals.units.Asking`."""
        del anew
        return await self._asking.answer(
            endpoint, once, model=model, key=key, deadline_s=deadline_s, anew=True
        )

    async def limited(
        self, endpoint: str, once: Callable[[], Awaitable[T]], *, model: str = "", deadline_s: float | None = None
    ) -> T:  # fmt: skip
        """See `promptship.evals.units.Asking`."""
        return await self._asking.limited(endpoint, once, model=model, deadline_s=deadline_s)


def model_at(endpoint: str, model: str) -> str:
    """Name of one model of an endpoint among what is dead."""
    return f"model {model} of {endpoint}"


def unanswered(error: PromptshipError) -> Unscored:
    """What a call that failed makes of a trial; the reason quotes nothing."""
    if str(error) == BUDGET_SPENT:
        return Unscored(BUDGET_SPENT)
    if str(error).startswith(COST_UNKNOWN):
        return Unscored(COST_UNKNOWN, str(error).removeprefix(f"{COST_UNKNOWN}: "))
    if isinstance(error, Refused):
        return Unscored(f"the provider refused the {'model' if error.model_only else 'key'}", str(error))
    if isinstance(error, Unavailable):
        return Unscored("the provider did not answer", str(error))
    return Unscored("the provider refused the request as wrong", str(error))
