"""Repeat users: the design effect against its definition, and what it does to a verdict."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulated.users import Users, race, unit_sums
from promptship.canary.evidence import (
    ArmCounts,
    ArmUnits,
    Baseline,
    Counts,
    Health,
    Outcome,
    StageCounts,
    UnitSums,
)
from promptship.canary.look import take_look
from promptship.canary.state import State
from promptship.canary.units import design_effect
from promptship.canary.watch import Watch
from promptship.release.plan import Canary, Guardrail, Stage

UNIT = st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
"""Requests and bad ones of one unit."""


def sums(units: list[tuple[int, int]]) -> UnitSums:
    return UnitSums(
        units=len(units),
        requests=sum(n for n, _ in units),
        events=sum(s for _, s in units),
        requests_squared=sum(n * n for n, _ in units),
        events_squared=sum(s * s for _, s in units),
        products=sum(n * s for n, s in units),
    )


@settings(max_examples=60)
@given(st.lists(UNIT, min_size=2, max_size=8), st.lists(UNIT, min_size=2, max_size=30))
def test_it_is_at_least_the_clustered_variance_over_the_binomial_one_and_at_least_1(
    one: list[tuple[int, int]], zero: list[tuple[int, int]]
) -> None:
    clustered = binomial = 0.0
    for arm in (one, zero):
        n, s = sum(n for n, _ in arm), sum(s for _, s in arm)
        rate, units = s / n, len(arm)
        clustered += units / (units - 1) * sum((s - rate * n) ** 2 for n, s in arm) / n**2
        binomial += rate * (1 - rate) / (n - 1)
    effect = design_effect(ArmUnits(candidate=sums(one), stable=sums(zero)))
    assert effect >= 1
    if binomial > 0:
        assert effect >= clustered / binomial - 1e-9


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 1), min_size=1, max_size=40), st.lists(st.integers(0, 1), min_size=1, max_size=40)
)
def test_units_that_ask_once_have_none(one: list[int], zero: list[int]) -> None:
    arms = ArmUnits(candidate=sums([(1, s) for s in one]), stable=sums([(1, s) for s in zero]))
    assert design_effect(arms) == pytest.approx(1.0, abs=1e-9)


def test_units_that_are_all_bad_or_all_good_count_once_each() -> None:
    arm = sums([(10, 10), (10, 0)] * 50)
    assert design_effect(ArmUnits(candidate=arm, stable=arm)) == pytest.approx(10, rel=0.1)


def test_one_heavy_candidate_unit_borrows_the_correlation_of_the_others() -> None:
    stable = sums([(10, 10), (10, 0)] * 50)
    assert design_effect(ArmUnits(candidate=sums([(40, 40)]), stable=stable)) > 30
    assert design_effect(ArmUnits(candidate=UnitSums(), stable=stable)) == 1
    assert design_effect(ArmUnits()) == 1


def test_unchanged_candidates_of_repeat_users_are_rolled_back_at_most_alpha_of_the_time() -> None:
    rng = np.random.default_rng(3)
    tables = np.stack([unit_sums(Users(0.3, 50), 1000, [100], rng)[0] for _ in range(60)])
    ours, plain, _, _ = race(tables)
    assert np.mean(ours > 0) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)
    assert np.mean(plain > 0) > 0.15


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.1, 0.3])
@pytest.mark.parametrize("each", [10, 50])
def test_at_every_size_of_look_unchanged_candidates_of_repeat_users_stay(
    correlation: float, each: int
) -> None:
    rng = np.random.default_rng([int(10 * correlation), each])
    runs = 60
    tables = [unit_sums(Users(correlation, each), 10_000, [20, 100, 500], rng) for _ in range(runs)]
    for size in range(3):
        ours = race(np.stack([table[size] for table in tables]))[0]
        assert np.mean(ours > 0) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs)


PLAN = Canary(
    stages=(Stage(share=0.1, margin=1.0, dwell=0, cap=600), Stage(share=0.5, margin=1.0, dwell=0)),
    guardrails=(Guardrail(metric="error_rate"),),
)
HISTORY = Baseline(rates={"error_rate": Counts(requests=1000, events=100)})


def counts(requests: int, bad: int, each: int) -> StageCounts:
    """Candidate requests, of them bad, by units of `each` that are bad or good as a whole; nine times as many of stable, 10 % bad."""

    def units(n: int, x: int) -> UnitSums:
        return sums([(each, each)] * (x // each) + [(each, 0)] * ((n - x) // each))

    rate = ArmCounts(
        candidate=Counts(requests=requests, events=bad),
        stable=Counts(requests=9 * requests, events=9 * requests // 10),
    )
    return StageCounts(
        rates={"error_rate": rate},
        requests=rate,
        units={
            "error_rate": ArmUnits(
                candidate=units(requests, bad), stable=units(9 * requests, 9 * requests // 10)
            )
        },
    )


def test_evidence_of_repeat_users_is_divided_and_the_verdict_says_what_their_requests_weigh() -> None:
    outcomes = {}
    for each in (1, 20):
        given_in = counts(400, 80, each)
        state, verdict = take_look(PLAN, 0, 1, State.fresh(PLAN, HISTORY), given_in, Health(), elapsed_s=1.0)
        outcomes[each] = verdict
        assert isinstance(state.watches[0], Watch)
        assert state.watches[0].effect == pytest.approx(each, rel=0.1)
    assert outcomes[1].outcome is Outcome.ROLL_BACK
    assert outcomes[20].outcome is Outcome.HOLD
    found = outcomes[20].findings[0]
    assert found.units == 20
    assert found.design_effect == pytest.approx(20, rel=0.1)
    assert "as units ask repeatedly, the candidate's 400 requests of 20 units weigh as " in found.because
    assert "repeatedly" not in outcomes[1].findings[0].because


def test_too_few_repeat_users_do_not_advance_and_say_so_and_units_that_ask_once_are_not_asked_for() -> None:
    rules = {}
    for each in (1, 20):
        given_in = counts(3000, 300, each)
        _, verdict = take_look(PLAN, 0, 1, State.fresh(PLAN, HISTORY), given_in, Health(), elapsed_s=1.0)
        rules[each] = verdict
    assert rules[1].outcome is Outcome.ADVANCE
    assert rules[20].outcome is Outcome.HOLD
    held = next(found for found in rules[20].findings if found.rule == "units_min")
    assert held.needs == "50 more candidate units"
    assert held.because.startswith(
        "The candidate has served 150 of the 200 units required in this stage; on error_rate"
    )
    many = counts(6000, 600, 20)
    _, enough = take_look(PLAN, 0, 1, State.fresh(PLAN, HISTORY), many, Health(), elapsed_s=1.0)
    assert enough.outcome is Outcome.ADVANCE


def test_a_new_stage_with_few_units_does_not_make_old_evidence_stronger() -> None:
    state, _ = take_look(PLAN, 0, 1, State.fresh(PLAN, HISTORY), counts(400, 80, 20), Health(), elapsed_s=1.0)
    before = state.watches[0].effect
    moved, verdict = take_look(PLAN, 1, 2, state, StageCounts(), Health(), elapsed_s=1.0)
    assert moved.watches[0].effect == before
    assert verdict.outcome is Outcome.HOLD
    later, _ = take_look(PLAN, 1, 3, moved, counts(10, 1, 1), Health(), elapsed_s=1.0)
    assert later.watches[0].effect == before
