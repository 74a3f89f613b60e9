"""Repeat users on latency, amounts and scores; and how far a proof is when only a part of the answers is measured."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulated.values import KINDS, Answers, canary, crossings
from promptship.canary.evidence import (
    ArmCounts,
    ArmUnits,
    Baseline,
    Counts,
    Finding,
    Health,
    Histogram,
    LatencyCounts,
    Outcome,
    StageCounts,
    UnitSums,
    Values,
)
from promptship.canary.look import take_look
from promptship.canary.state import State
from promptship.canary.units import bin_spreads, design_effect
from promptship.release.plan import Canary, Guardrail, Stage

Unit = list[int]
"""The bins of one unit's answers."""
UNITS = st.lists(st.lists(st.integers(0, 300), min_size=1, max_size=6), min_size=2, max_size=12)


def sums(units: list[Unit]) -> UnitSums:
    pairs = [(len(unit), sum(unit)) for unit in units]
    return UnitSums(
        units=len(pairs), requests=sum(n for n, _ in pairs), events=sum(s for _, s in pairs),
        requests_squared=sum(n * n for n, _ in pairs), events_squared=sum(s * s for _, s in pairs),
        products=sum(n * s for n, s in pairs),
    )  # fmt: skip


def histogram(units: list[Unit]) -> Histogram:
    numbers = [number for unit in units for number in unit]
    return Histogram(buckets={number: numbers.count(number) for number in set(numbers)})


@settings(max_examples=60)
@given(UNITS, UNITS)
def test_it_is_at_least_the_clustered_variance_of_the_bins_over_that_of_single_answers(
    one: list[Unit], zero: list[Unit]
) -> None:
    clustered = independent = 0.0
    for arm in (one, zero):
        numbers = np.concatenate([np.array(unit) for unit in arm])
        mean, n = numbers.mean(), len(numbers)
        beyond = sum((sum(unit) - mean * len(unit)) ** 2 for unit in arm)
        clustered += len(arm) / (len(arm) - 1) * beyond / n**2
        independent += numbers.var() / (n - 1)
    effect = design_effect(
        ArmUnits(candidate=sums(one), stable=sums(zero)), bin_spreads(histogram(one), histogram(zero))
    )
    assert effect >= 1
    if independent > 1e-9:
        assert effect >= clustered / independent * (1 - 1e-6)


PLAN = Canary(
    stages=(Stage(share=0.1, margin=1.0, dwell=0, cap=600), Stage(share=0.5, margin=1.0, dwell=0)),
    guardrails=(Guardrail(metric="latency"), Guardrail(metric="cost_usd"), Guardrail(metric="score:tone")),
    units_min=40,
)
SPREAD = 15


def answers(units: int, each: int, centre: int, rng: np.random.Generator) -> list[Unit]:
    """All of a unit's answers in one bin."""
    return [[int(number)] * each for number in np.clip(rng.normal(centre, SPREAD, units), 0, None)]


def told(units: int, each: int, *, slower: int = 0, seed: int = 1) -> StageCounts:
    """Nine times as many units of stable; the candidate's answers `slower` bins further, scores lower."""
    rng = np.random.default_rng(seed)
    found: dict[str, tuple[list[Unit], list[Unit]]] = {
        metric: (answers(units, each, centre + by, rng), answers(9 * units, each, centre, rng))
        for metric, centre, by in (("latency", 160, slower), ("cost_usd", 240, slower), ("score:tone", 100, -slower))
    }  # fmt: skip
    arms = {
        metric: {"candidate": histogram(one), "stable": histogram(zero)}
        for metric, (one, zero) in found.items()
    }
    return StageCounts(
        latency=LatencyCounts(**arms.pop("latency")),
        means={metric: Values(**both) for metric, both in arms.items()},
        requests=ArmCounts(candidate=Counts(requests=units * each), stable=Counts(requests=9 * units * each)),
        units={metric: ArmUnits(candidate=sums(one), stable=sums(zero)) for metric, (one, zero) in found.items()},
    )  # fmt: skip


def begun() -> State:
    past = told(300, 1, seed=2)
    history = {metric: values.stable for metric, values in past.means.items()}
    assert past.latency is not None
    return State.fresh(PLAN, Baseline(latency=past.latency.stable, means=history))


def test_every_kind_is_divided_by_what_its_units_repeat_and_says_so() -> None:
    counts = told(60, 20)
    state, verdict = take_look(PLAN, 0, 1, begun(), counts, Health(), elapsed_s=1.0)
    alone = take_look(PLAN, 0, 1, begun(), counts.model_copy(update={"units": {}}), Health(), elapsed_s=1.0)[
        0
    ]
    for watch, unaware, finding in zip(state.watches, alone.watches, verdict.findings, strict=False):
        assert watch.effect == pytest.approx(20, rel=0.35)
        assert unaware.effect == 1.0
        assert watch.log_harm == unaware.log_harm
        assert finding.e_harm == pytest.approx(np.exp(watch.log_harm / watch.effect))
        assert finding.units == 60
        assert (
            "as units ask repeatedly, the candidate's 1,200 requests of 60 units weigh as " in finding.because
        )
    moved = state.next_stage()
    assert [watch.effect for watch in moved.watches] == [watch.effect for watch in state.watches]


def test_units_that_ask_once_are_not_divided() -> None:
    state, verdict = take_look(PLAN, 0, 1, begun(), told(1200, 1), Health(), elapsed_s=1.0)
    assert [watch.effect for watch in state.watches] == pytest.approx([1.0] * 3, abs=0.01)
    assert "repeatedly" not in verdict.findings[0].because


def test_what_is_much_worse_is_rolled_back_however_often_units_ask() -> None:
    _, verdict = take_look(PLAN, 0, 1, begun(), told(60, 20, slower=24), Health(), elapsed_s=1.0)
    assert [found.outcome for found in verdict.findings[:3]] == [Outcome.ROLL_BACK] * 3


def test_unchanged_candidates_of_repeat_users_stay_whatever_is_measured() -> None:
    rng = np.random.default_rng(3)
    tables = [canary(Answers(0.3, 50), 1000, [100], rng) for _ in range(40)]
    for kind in KINDS:
        ours, plain, _, _ = crossings(kind, [table[kind][0] for table in tables])
        assert np.mean(ours > 0) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 40)
        assert np.mean(plain > 0) > np.mean(ours > 0)


JUDGED = Canary(
    stages=(Stage(share=0.02, margin=0.5, dwell=0), Stage(share=1.0)),
    guardrails=(Guardrail(metric="check:grounded"), Guardrail(metric="score:tone")),
)


def needed(stable: int) -> int:
    """Candidate requests that the check is told to need after 200 of the candidate and so many of stable's were judged."""
    history = Baseline(
        rates={"check:grounded": Counts(requests=5000, events=500)},
        means={"score:tone": Histogram(buckets={150: 2500, 170: 2500})},
    )
    rate = ArmCounts(
        candidate=Counts(requests=200, events=20), stable=Counts(requests=stable, events=stable // 10)
    )
    tone = [Histogram(buckets={150: n // 2, 170: n // 2}) for n in (200, stable)]
    # The evidence so far is left out: what is looked at is what one more request brings.
    counts = StageCounts(
        rates={"check:grounded": rate}, means={"score:tone": Values(candidate=tone[0], stable=tone[1])}
    )
    _, verdict = take_look(JUDGED, 0, 1, State.fresh(JUDGED, history), counts, Health(), elapsed_s=1.0)
    return _number(verdict.findings[0])


def _number(found: Finding) -> int:
    assert found.needs.endswith("more candidate requests if the candidate is as good as stable")
    return int(found.needs.split()[1].replace(",", ""))


def test_what_is_still_needed_goes_by_what_is_judged_and_not_by_the_share_of_traffic() -> None:
    """All of the candidate's answers are judged and a tenth of stable's: of 2 % of the traffic that makes 17 %."""
    all_of_it, a_tenth, a_hundredth = needed(9800), needed(980), needed(98)
    assert a_tenth > 1.1 * all_of_it
    assert a_hundredth > 2.5 * all_of_it
