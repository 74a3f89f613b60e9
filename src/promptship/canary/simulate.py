"""A configured plan, simulated before it is used: hundreds of canaries at once, judged by the rule of `promptship.canary.decide`.

Requests come evenly over time (Poisson), every unit asks once, the telemetry is sound and both arms see the same kind of requests. What
a look concludes is what `take_look` would conclude from the same counts (a property test holds the two together).

Real looks come every few seconds. Simulated ones come as often at first and then at most `APART` of the stage's age apart, so times are
overstated by at most that much; dwell and cap are always looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from promptship.canary.decide import harm_threshold
from promptship.canary.eprocess import Floats
from promptship.canary.lanes import Ints, Lanes, lanes_of
from promptship.canary.laws import Law
from promptship.canary.process import BLOCK_REQUESTS_MIN
from promptship.canary.reading import Reading
from promptship.release.plan import Canary, Guardrail, Stage

APART: Final = 0.06
RUNNING, PASSED, ASKED, ROLLED_BACK = range(4)
"""How a simulated canary ended: through all stages, at a person, back at stable."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of one guardrail."""

    guardrail: Guardrail
    law: Law
    part: float = 1.0
    """Part of the candidate's requests that is measured on it, 0..1."""
    part_stable: float = 1.0
    """Part of stable's: a judge may see one answer in ten."""
    seeded: bool = True
    """Whether stable has a history that the release begins with."""

    def share_of(self, stage: Stage) -> float:
        """The candidate's part of what is measured in a stage (statistics 2(f)): 2 % of the traffic may be 17 % of what is judged."""
        candidate = stage.share * self.part
        return candidate / (candidate + (1 - stage.share) * self.part_stable)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests of named units."""

    requests_per_s: float
    look_every_s: float = 5.0


@dataclass(slots=True)
class Ended:
    """How each lane ended; arrays, a lane each."""

    outcome: Ints
    stage: Ints
    """Stage it ended in, from 0."""
    seconds: Floats
    """Since the canary began."""
    requests: Floats
    """That the candidate served."""
    bad: Floats
    """Lanes, guardrails: bad answers of the candidate; NaN where a guardrail has none."""
    stage_seconds: list[Floats] = field(default_factory=list)
    """Per stage: how long it took the lanes that advanced from it."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What one look finds new, for tests: the stage, its age, which lanes, the candidate's requests, and answers per guardrail."""

    stage: int
    elapsed_s: float
    lanes: Ints
    requests: Ints
    answers: tuple[tuple[Ints, Ints], ...]
    outcome: Ints


def run_plan(
    plan: Canary,
    measured: Sequence[Measured],
    effects: Floats,
    traffic: Traffic,
    rng: np.random.Generator,
    *,
    watch: Callable[[Draw], None] | None = None,
) -> Ended:
    """Release a candidate in every lane. `effects`: lanes, guardrails: how much worse it is on each, relative; 0 is unchanged.

    `measured` stands in the plan's order of guardrails.
    """
    count = len(effects)
    ended = Ended(
        np.zeros(count, dtype=int), np.zeros(count, dtype=int), np.zeros(count), np.zeros(count),
        np.zeros(effects.shape),
    )  # fmt: skip
    alive = np.arange(count)
    lanes = [lanes_of(m.guardrail, m.law, count, seeded=m.seeded, safe=m.guardrail.prove) for m in measured]
    for number, stage in enumerate(plan.stages):
        here = _StageRun(plan, number, measured, lanes, effects[alive], ended.bad[alive], traffic, rng)
        outcome = np.zeros(len(alive), dtype=int)
        seconds = np.zeros(len(alive))
        for elapsed_s in look_times(stage, traffic):
            at = np.flatnonzero(outcome == RUNNING)
            if not at.size:
                break
            found = here.look(at, elapsed_s)
            outcome[at], seconds[at] = found, elapsed_s
            if watch is not None:
                watch(Draw(number, elapsed_s, alive[at], here.drawn_requests, tuple(here.drawn), found))
        ended.seconds[alive] += seconds
        ended.requests[alive] += here.requests
        ended.bad[alive] += here.bad
        ended.stage[alive], ended.outcome[alive] = number, outcome
        onward = np.flatnonzero(outcome == PASSED)
        ended.stage_seconds.append(seconds[onward])
        alive = alive[onward]
        for one in lanes:
            one.keep(onward)
            one.next_stage()
        if not alive.size:
            break
    return ended


class _StageRun:
    """All lanes of one stage."""

    def __init__(
        self,
        plan: Canary,
        number: int,
        measured: Sequence[Measured],
        lanes: Sequence[Lanes],
        effects: Floats,
        bad_before: Floats,
        traffic: Traffic,
        rng: np.random.Generator,
    ) -> None:
        self._bad_before = bad_before
        self._plan, self._stage, self._measured, self._lanes = plan, plan.stages[number], measured, lanes
        self._effects, self._traffic, self._rng = effects, traffic, rng
        self._elapsed_s = 0.0
        self.requests = np.zeros(len(effects))
        self.bad = np.zeros(effects.shape)
        self._seen = np.zeros((2, *effects.shape))
        self.drawn: list[tuple[Ints, Ints]] = []
        self.drawn_requests = np.zeros(0, dtype=int)
        self._harmful = [harm_threshold(plan, Reading(guardrail=m.guardrail, counts=None)) for m in measured]

    def look(self, at: Ints, elapsed_s: float) -> Ints:
        """What a look concludes in each of the lanes `at`."""
        arms = self._arms(at, self._elapsed_s, elapsed_s)
        self.drawn_requests, self.drawn = arms[0], []
        self.requests[at] += arms[0]
        for index, (one, lanes) in enumerate(zip(self._measured, self._lanes, strict=True)):
            late = one.guardrail.matures_after
            n1, n0 = arms
            if late or one.part < 1 or one.part_stable < 1:
                parts = one.part, one.part_stable
                n1, n0 = self._arms(at, max(self._elapsed_s - late, 0), max(elapsed_s - late, 0), parts)
            answers = lanes.draw(self._stage, n1, n0, self._effects[at, index], self._rng)
            self.drawn.append(answers)
            self.bad[at, index] += lanes.bad(answers[0])
            self._seen[:, at, index] += n1, n0
            if self._stage.share < 1:
                lanes.take(at, self._stage, *answers)
        self._elapsed_s = elapsed_s
        return self._conclude(at, elapsed_s)

    def _arms(
        self, at: Ints, begin_s: float, end_s: float, parts: tuple[float, float] = (1.0, 1.0)
    ) -> tuple[Ints, Ints]:
        expected = (end_s - begin_s) * self._traffic.requests_per_s
        share = self._stage.share
        return (
            self._rng.poisson(expected * share * parts[0], len(at)),
            self._rng.poisson(expected * (1 - share) * parts[1], len(at)),
        )

    def _conclude(self, at: Ints, elapsed_s: float) -> Ints:
        plan, stage = self._plan, self._stage
        back = np.zeros(len(at), dtype=bool)
        ready = np.full(len(at), elapsed_s >= stage.dwell)
        if stage.share < 1:
            ready &= self.requests[at] >= plan.requests_min
        for index, (one, lanes) in enumerate(zip(self._measured, self._lanes, strict=True)):
            back |= e_value(lanes.log_harm[at]) >= self._harmful[index]
            if one.guardrail.stop_at is not None:
                back |= self.bad[at, index] + self._bad_before[at, index] >= one.guardrail.stop_at
            if stage.share < 1:
                ready &= self._seen[:, at, index].min(0) > 0
                if lanes.log_safe is not None:
                    ready &= e_value(lanes.log_safe[at]) >= 1 / plan.alpha_advance
        asked = np.full(len(at), elapsed_s >= stage.cap)
        return np.select([back, ready, asked], [ROLLED_BACK, PASSED, ASKED], RUNNING)


def look_times(stage: Stage, traffic: Traffic) -> list[float]:
    """Ages of the stage at which it is looked at, seconds; the last is its cap, or the dwell that is over before it."""
    every = traffic.look_every_s
    # Looks that find too few new requests conclude nothing new.
    apart_s_min = BLOCK_REQUESTS_MIN / (traffic.requests_per_s * stage.share)
    dwell = math.ceil(stage.dwell / every) * every
    cap = max(math.ceil(stage.cap / every) * every, dwell, every)
    times, now = {dwell, cap} - {0.0}, 0.0
    while now < cap:
        apart_s = max(every, APART * now, apart_s_min)
        now += max(round(apart_s / every), 1) * every
        if now < cap:
            times.add(now)
    return sorted(times)


def reach(
    one: Measured,
    stage: Stage,
    effects: Floats,
    log_e: float,
    rng: np.random.Generator,
    *,
    safe: bool,
    first: float,
    requests_max: float,
) -> Floats:
    """The candidate's measured requests at which one guardrail's evidence reaches `log_e`, a lane per effect, in a stage without an end.

    `safe`: the evidence of safety, else of harm. `first`: requests of a look; later ones are `APART` apart. Infinite: not within
    `requests_max`.
    """
    lanes = lanes_of(one.guardrail, one.law, len(effects), seeded=one.seeded, safe=safe)
    requests = np.full(len(effects), np.inf)
    seen = 0.0
    while seen < requests_max:
        at = np.flatnonzero(np.isinf(requests))
        if not at.size:
            break
        now = seen + max(first, APART * seen, BLOCK_REQUESTS_MIN)
        new = round(now) - round(seen)
        n0 = rng.poisson(new * (1 - one.share_of(stage)) / one.share_of(stage), len(at))
        lanes.take(at, stage, *lanes.draw(stage, np.full(len(at), new), n0, effects[at], rng))
        evidence = lanes.log_safe if safe and lanes.log_safe is not None else lanes.log_harm
        seen = now
        requests[at[evidence[at] >= log_e]] = round(now)
    return requests


def e_value(log_e: Floats) -> Floats:
    """As a look reads it."""
    return np.asarray(np.exp(np.minimum(log_e, 690.0)))
