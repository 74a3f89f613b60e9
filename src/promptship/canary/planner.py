"""What a plan can be expected to do at the traffic there is, before a release is begun: simulated, and put in numbers.

Times and requests are medians and 90 % quantiles over simulated releases (`promptship.canary.simulate`); where a plan cannot decide,
changes are proposed, sized by the information that a request brings (`eprocess.information`) and then tried in the simulation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from promptship.canary import eprocess, latency, mean, mean_watch
from promptship.canary.decide import harm_threshold
from promptship.canary.eprocess import Floats
from promptship.canary.lanes import Ints
from promptship.canary.laws import LatencyLaw, MeanLaw, RateLaw
from promptship.canary.reading import Reading
from promptship.canary.simulate import ASKED, PASSED, ROLLED_BACK, Ended, Measured, Traffic, reach, run_plan
from promptship.release.plan import Canary, Stage

EFFECTS: Final = (0.10, 0.15, 0.25, 0.50)
"""How much worse, relative, the candidates are that a forecast is made for."""
RUNS: Final = 400
"""Simulated releases of an unchanged prompt: a chance of 5 % is known to 1 point."""
_RUNS_WORSE: Final = 0.3
"""Releases of each worse candidate, and of each stage alone, as a part of these."""
_REACH_MAX: Final = 30.0
"""A question is given up after this many times the requests that it should take."""
_NATS_TO_PROVE: Final = 7.1
"""Evidence that nine of ten proofs need if nothing changed (statistics 2(i))."""
_TOLD_MIN: Final = 10
"""Simulated releases behind a median; of fewer nothing is said."""
UNSURE: Final = 0.10
"""From this chance on that an unchanged prompt ends at a person, or at a hard stop, a plan is said not to decide."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and 90 % quantile; None: further away than was looked for."""

    median: float | None
    p90: float | None


@dataclass(frozen=True, slots=True)
class Answer:
    """How long one question takes in one stage that has no cap."""

    effect: float
    """0: proving that an unchanged candidate stays within the margin; else: seeing a candidate that is this much worse."""
    requests: Spread
    """Measured requests of the candidate."""
    seconds: Spread


@dataclass(frozen=True, slots=True)
class StageForecast:
    """One guardrail in one stage."""

    stage: int
    metric: str
    prove: Answer | None
    """None: need not be proven."""
    see: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one candidate."""

    metric: str | None
    """Which guardrail it is worse on; None: unchanged."""
    effect: float
    passes: float
    asked: float
    rolled_back: float
    """Chances, 0..1."""
    minutes: Spread
    """Until it passed (unchanged) or was rolled back (worse), of those that were."""
    requests: Spread
    """That the candidate had served by then."""
    bad: float | None
    """Mean bad answers of the candidate by then, over all releases that were rolled back; None where answers are not bad or good."""
    bad_extra: float | None
    """Those of them that stable would not have given."""
    asked_in: tuple[float, ...] = ()
    """Chance per stage of ending at a person there."""


@dataclass(frozen=True, slots=True)
class Change:
    """One way out of a stage that cannot be decided in time; tried in the simulation."""

    what: str
    """`cap`, `margin`, `margin_floor` or `share`."""
    value: float
    """Seconds, relative, rate points (0..1), fraction."""


@dataclass(frozen=True, slots=True)
class Undecided:
    """A stage in which unchanged candidates end at a person."""

    stage: int
    chance: float | None
    """Of those that reach the stage; None: hardly any did."""
    metric: str
    """The guardrail that takes longest to prove; `requests_min` where nothing has to be proven."""
    needs_s: float | None
    """Until nine of ten proofs are done."""
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Stopped:
    """A hard stop that ends releases of unchanged prompts too: it counts, and does not compare."""

    metric: str
    stop_at: int
    rate: float
    """Of stable."""
    chance: float
    """That an unchanged prompt is rolled back after it has reached this stop."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a plan can be expected to do."""

    traffic: Traffic
    runs: int
    seed: int
    unchanged: Fate
    worse: tuple[Fate, ...]
    stages: tuple[StageForecast, ...]
    undecided: tuple[Undecided, ...]
    stopped: tuple[Stopped, ...] = ()


def forecast(
    plan: Canary, measured: Sequence[Measured], traffic: Traffic, *, runs: int = RUNS, seed: int = 1
) -> Forecast:
    """Simulate the plan. `measured` stands in the plan's order of guardrails; the same seed gives the same numbers."""
    rng = np.random.default_rng(seed)
    few = max(round(runs * _RUNS_WORSE), 20)
    kinds = [(None, 0.0), *((index, effect) for index in range(len(measured)) for effect in EFFECTS)]
    sizes = [runs, *[few] * (len(kinds) - 1)]
    effects = np.zeros((sum(sizes), len(measured)))
    groups = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    for (index, effect), group in zip(kinds, groups, strict=True):
        if index is not None:
            effects[group, index] = effect
    ended = run_plan(plan, measured, effects, traffic, rng)
    fates = [
        _fate(plan, measured, ended, group, index, effect)
        for (index, effect), group in zip(kinds, groups, strict=True)
    ]
    stages = tuple(
        _stage(plan, number, one, traffic, few, rng)
        for number, stage in enumerate(plan.stages)
        for one in measured
        if stage.share < 1
    )
    return Forecast(
        traffic=traffic, runs=runs, seed=seed, unchanged=fates[0], worse=tuple(fates[1:]), stages=stages,
        undecided=tuple(_undecided(plan, measured, traffic, fates[0], stages, few, rng)),
        stopped=tuple(_stopped(measured, ended, groups[0])),
    )  # fmt: skip


def _stopped(measured: Sequence[Measured], ended: Ended, unchanged: Ints) -> Iterator[Stopped]:
    back = ended.outcome[unchanged] == ROLLED_BACK
    for index, one in enumerate(measured):
        stop_at, law = one.guardrail.stop_at, one.law
        if stop_at is not None and isinstance(law, RateLaw):
            chance = float(np.mean(back & (ended.bad[unchanged, index] >= stop_at)))
            if chance >= UNSURE:
                yield Stopped(one.guardrail.metric, stop_at, law.rate, chance)


def _fate(
    plan: Canary, measured: Sequence[Measured], ended: Ended, lanes: Ints, index: int | None, effect: float
) -> Fate:
    outcome = ended.outcome[lanes]
    passes, asked, back = (float(np.mean(outcome == end)) for end in (PASSED, ASKED, ROLLED_BACK))
    told = lanes[outcome == (PASSED if index is None else ROLLED_BACK)]
    told = told if len(told) >= _TOLD_MIN else told[:0]
    bad = extra = None
    if index is not None and len(told) and isinstance(measured[index].law, RateLaw):
        bad = float(ended.bad[told, index].mean())
        extra = bad * effect / (1 + effect)
    stages = ended.stage[lanes][outcome == ASKED]
    return Fate(
        metric=None if index is None else measured[index].guardrail.metric, effect=effect,
        passes=passes, asked=asked, rolled_back=back,
        minutes=spread(ended.seconds[told] / 60), requests=spread(ended.requests[told]),
        bad=bad, bad_extra=extra,
        asked_in=tuple(float(np.sum(stages == number)) / len(lanes) for number in range(len(plan.stages))),
    )  # fmt: skip


def spread(values: Floats) -> Spread:
    """Median and p90, as the smallest values that half and nine tenths do not exceed; None without values, or where infinite."""
    if not len(values):
        return Spread(None, None)
    found = [float(value) for value in np.quantile(values, (0.5, 0.9), method="inverted_cdf")]
    return Spread(*(value if math.isfinite(value) else None for value in found))


def _stage(
    plan: Canary, number: int, one: Measured, traffic: Traffic, runs: int, rng: np.random.Generator
) -> StageForecast:
    stage = plan.stages[number]
    log_harm = math.log(harm_threshold(plan, Reading(guardrail=one.guardrail, counts=None)))
    found = _reached(one, stage, EFFECTS, log_harm, traffic, runs, rng, safe=False)
    see = tuple(
        _answer(effect, requests, one, stage, traffic)
        for effect, requests in zip(EFFECTS, found, strict=True)
    )
    prove = None
    if one.guardrail.prove:
        (requests,) = _reached(
            one, stage, (0.0,), -math.log(plan.alpha_advance), traffic, runs, rng, safe=True
        )
        prove = _answer(0.0, requests, one, stage, traffic)
    return StageForecast(number, one.guardrail.metric, prove, see)


def _reached(
    one: Measured,
    stage: Stage,
    effects: Sequence[float],
    log_e: float,
    traffic: Traffic,
    runs: int,
    rng: np.random.Generator,
    *,
    safe: bool,
) -> Floats:
    """Requests until the evidence is there: a row per effect, a column per run."""
    first = traffic.look_every_s * candidates_per_s(one, stage, traffic)
    planned = [expected_requests(one, stage, effect, log_e, safe=safe) for effect in effects]
    # What can never be seen, because it is tolerated, must not be waited for.
    longest = max((requests for requests in planned if math.isfinite(requests)), default=0.0)
    found = reach(
        one, stage, np.repeat(np.array(effects), runs), log_e, rng, safe=safe, first=first,
        requests_max=max(_REACH_MAX * longest, 50 * first if longest else 0.0),
    )  # fmt: skip
    return found.reshape(len(effects), runs)


def _answer(effect: float, requests: Floats, one: Measured, stage: Stage, traffic: Traffic) -> Answer:
    needed = spread(requests)
    per_s = candidates_per_s(one, stage, traffic)
    seconds = [
        None if n is None else n / per_s + one.guardrail.matures_after for n in (needed.median, needed.p90)
    ]
    return Answer(effect, needed, Spread(*seconds))


def candidates_per_s(one: Measured, stage: Stage, traffic: Traffic) -> float:
    """Requests of the candidate that are measured on the guardrail, per second."""
    return traffic.requests_per_s * stage.share * one.part


def expected_requests(one: Measured, stage: Stage, effect: float, log_e: float, *, safe: bool) -> float:
    """About how many requests of the candidate it takes: the evidence over the information in one (Wald); infinite: never."""
    rail, law, share = one.guardrail, one.law, one.share_of(stage)
    nats = 0.0
    match law:
        case RateLaw(rate=p0):
            null = (
                eprocess.unsafe(stage.margin, rail.margin_floor, p0)
                if safe
                else eprocess.not_worse(rail.tolerance)
            )
            nats = eprocess.information(null, law.worse(effect), p0, share)
        case LatencyLaw():
            nats = max(_latency_information(one, law, stage, effect, edge, safe=safe) for edge in law.edges)
        case MeanLaw():
            m0, p1 = float(law.chances() @ law.values), law.chances(effect)
            variance = float(law.chances() @ law.values**2) - m0**2
            null = mean_watch.unsafe(rail, stage.margin, m0) if safe else eprocess.not_worse(rail.tolerance)
            beyond = float(p1 @ law.values) - float(null.ratio * m0 + null.shift)
            if (beyond < 0) == safe and beyond:
                nats = mean.information(null, abs(beyond), max(variance, mean.VARIANCE_MIN), share)
    return log_e / nats if nats > 0 else math.inf


def _latency_information(
    one: Measured, law: LatencyLaw, stage: Stage, effect: float, edge: int, *, safe: bool
) -> float:
    allowed = stage.margin if safe else one.guardrail.tolerance
    p1 = float(law.cells((latency.widened(edge, allowed),), effect)[1])
    p0 = float(law.cells((edge,))[1])
    if not 0 < p0 < 1 or not 0 < p1 < 1:
        return 0.0
    side = eprocess.Side.SAFETY if safe else eprocess.Side.HARM
    return eprocess.information(eprocess.Null(side), p1, p0, one.share_of(stage))


_MARGINS: Final = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
_FLOORS: Final = (0.01, 0.02, 0.03, 0.05)
_FLOOR_MAX: Final = 2.0
"""Times stable's rate: a larger floor would let a rate treble."""
_SHARES: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5)
_HOUR_S: Final = 3600.0
_DAY_S: Final = 86400.0
_FEW: Final = 0.05
"""A stage that fewer releases than this reach is judged by its proofs alone."""


def _undecided(
    plan: Canary, measured: Sequence[Measured], traffic: Traffic, unchanged: Fate,
    stages: Sequence[StageForecast], runs: int, rng: np.random.Generator,
) -> Iterator[Undecided]:  # fmt: skip
    """The stages where unchanged candidates end at a person, each with what would help."""
    reached = 1.0
    for number, stage in enumerate(plan.stages):
        chance = None if reached < _FEW else unchanged.asked_in[number] / reached
        reached -= unchanged.asked_in[number]
        proofs = [(one, one.prove) for one in stages if one.stage == number and one.prove is not None]
        slowest = max(proofs, key=lambda proof: _until(proof[1]), default=None)
        too_slow = slowest is not None and _until(slowest[1]) > stage.cap
        if too_slow if chance is None else chance >= UNSURE:
            needs_s = None if slowest is None else slowest[1].seconds.p90
            metric = "requests_min" if slowest is None else slowest[0].metric
            changes = _changes(plan, number, measured, metric, traffic, needs_s, runs, rng)
            yield Undecided(number, chance, metric, needs_s, tuple(changes))


def _until(proof: Answer) -> float:
    return math.inf if proof.seconds.p90 is None else proof.seconds.p90


def _changes(
    plan: Canary, number: int, measured: Sequence[Measured], slowest: str, traffic: Traffic,
    needs_s: float | None, runs: int, rng: np.random.Generator,
) -> Iterator[Change]:  # fmt: skip
    """A longer cap, a larger margin, floor or share: the smallest of each with which nine of ten proofs end before the cap."""
    stage = plan.stages[number]
    proven = [one for one in measured if one.guardrail.prove]

    def in_time(tried: Stage, rails: Sequence[Measured] = proven) -> bool:
        return all(_in_time(plan, tried, rail, traffic, runs, rng) for rail in rails)

    if needs_s is not None and needs_s <= 30 * _DAY_S:
        yield Change("cap", _round_up(needs_s))
    margins = (m for m in _MARGINS if m > stage.margin)
    margin = next((m for m in margins if in_time(stage.model_copy(update={"margin": m}))), None)
    if margin is not None:
        yield Change("margin", margin)
    floors = [
        (f, [_floored(one, f) if one.guardrail.metric == slowest else one for one in proven]) for f in _FLOORS
    ]
    floor = next((floor for floor, rails in floors if rails != proven and in_time(stage, rails)), None)
    if floor is not None:
        yield Change("margin_floor", floor)
    after = plan.stages[number + 1].share if number + 1 < len(plan.stages) else 1.0
    shares = (s for s in _SHARES if stage.share < s < after)
    share = next((s for s in shares if in_time(stage.model_copy(update={"share": s}))), None)
    if share is not None:
        yield Change("share", share)


def _in_time(
    plan: Canary, stage: Stage, one: Measured, traffic: Traffic, runs: int, rng: np.random.Generator
) -> bool:
    budget = (stage.cap - one.guardrail.matures_after) * candidates_per_s(one, stage, traffic)
    if expected_requests(one, stage, 0.0, _NATS_TO_PROVE, safe=True) > 2 * budget:
        return False  # far from it: not worth a simulation
    log_e = -math.log(plan.alpha_advance)
    (requests,) = _reached(one, stage, (0.0,), log_e, traffic, runs, rng, safe=True)
    p90 = spread(requests).p90
    return p90 is not None and p90 <= budget


def _floored(one: Measured, floor: float) -> Measured:
    """With a larger floor, where the guardrail has one to speak of."""
    if (
        not isinstance(one.law, RateLaw)
        or not one.guardrail.margin_floor < floor <= _FLOOR_MAX * one.law.rate
    ):
        return one
    return replace(one, guardrail=one.guardrail.model_copy(update={"margin_floor": floor}))


def _round_up(seconds: float) -> float:
    """To a duration that somebody would write: minutes below an hour, half hours below a day, days."""
    step = 60.0 if seconds < _HOUR_S else 1800.0 if seconds < _DAY_S else _DAY_S
    return math.ceil(seconds / step) * step
