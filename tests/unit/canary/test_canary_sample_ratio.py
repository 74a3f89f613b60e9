"""The sample ratio: its e-value against the formula, its error rate, and that a mismatch invalidates a look."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaln

from promptship.canary import sample_ratio
from promptship.canary.evidence import ArmCounts, Baseline, Counts, Health, Outcome, StageCounts
from promptship.canary.look import take_look
from promptship.canary.state import State
from promptship.canary.watch import Watch
from promptship.release.plan import Canary, Guardrail, Stage


def units(candidate: int, stable: int) -> ArmCounts:
    return ArmCounts(candidate=Counts(requests=candidate), stable=Counts(requests=stable))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from((0.0001, 0.01, 0.25, 0.5, 0.99)))
def test_it_is_the_dirichlet_multinomial_ratio(one: int, zero: int, share: float) -> None:
    each = [
        betaln(k * share + one, k * (1 - share) + zero)
        - betaln(k * share, k * (1 - share))
        - one * math.log(share)
        - zero * math.log(1 - share)
        for k in (20_000.0, 200.0)
    ]
    expected = np.logaddexp(*each) - math.log(2)
    assert sample_ratio.log_e(units(one, zero), share) == pytest.approx(float(expected), rel=1e-6, abs=1e-4)


@given(st.integers(1, 8), st.sampled_from((0.01, 0.3, 0.5)))
def test_its_mean_is_one_while_the_split_is_as_intended(number: int, share: float) -> None:
    expected = sum(
        math.comb(number, one)
        * share**one
        * (1 - share) ** (number - one)
        * math.exp(sample_ratio.log_e(units(one, number - one), share))
        for one in range(number + 1)
    )
    assert expected == pytest.approx(1.0, abs=1e-6)


def test_a_correct_split_is_seldom_called_wrong_and_a_lossy_one_is_found() -> None:
    rng = np.random.default_rng(4)

    def found(true: float) -> float:
        one = np.cumsum(rng.binomial(5000, true, (150, 25)), axis=1)
        stable = 5000 * np.arange(1, 26) - one
        alarms = [
            any(sample_ratio.log_e(units(a, b), 0.02) >= math.log(1000) for a, b in zip(*run, strict=True))
            for run in zip(one.tolist(), stable.tolist(), strict=True)
        ]
        return float(np.mean(alarms))

    assert sample_ratio.log_e(units(450, 930), 0.5) > math.log(1000)
    assert found(0.02) <= 0.02
    assert found(0.017) > 0.9


@pytest.mark.parametrize("share", [1.0, 0.00001, 0.99999])
def test_what_is_not_split_cannot_be_mismatched(share: float) -> None:
    assert sample_ratio.log_e(units(100, 5), share) == 0


PLAN = Canary(
    stages=(Stage(share=0.1, margin=1.0, dwell=0, cap=600), Stage(share=1.0, dwell=0)),
    guardrails=(Guardrail(metric="error_rate", stop_at=500),),
)
HISTORY = Baseline(rates={"error_rate": Counts(requests=1000, events=100)})


def counts(bad: int, assigned: ArmCounts | None) -> StageCounts:
    rate = ArmCounts(candidate=Counts(requests=1000, events=bad), stable=Counts(requests=9000, events=900))
    return StageCounts(rates={"error_rate": rate}, requests=rate, assigned=assigned)


@pytest.mark.parametrize("bad", [100, 400])
def test_a_mismatch_neither_rolls_back_nor_advances_takes_nothing_in_and_heals(bad: int) -> None:
    begun = State.fresh(PLAN, HISTORY)
    broken = counts(bad, units(700, 9000))
    state, verdict = take_look(PLAN, 0, 1, begun, broken, Health(), elapsed_s=10.0)
    assert verdict.outcome is Outcome.HOLD
    assert [found.rule for found in verdict.findings] == ["sample_ratio"]
    found = verdict.findings[0]
    assert found.threshold == pytest.approx(1000)
    assert found.e_value is not None
    assert found.e_value > 1000
    assert (
        "the candidate has 700 of 9,700 units of this stage (7.2%), and 10% were assigned to it"
        in found.because
    )
    assert [watch.log_harm for watch in state.watches] == [watch.log_harm for watch in begun.watches]
    _, late = take_look(PLAN, 0, 2, state, broken, Health(), elapsed_s=600.0)
    assert late.outcome is Outcome.ASK
    expected = take_look(PLAN, 0, 3, begun, counts(bad, None), Health(), elapsed_s=10.0)
    healed = take_look(PLAN, 0, 3, state, counts(bad, units(1000, 9000)), Health(), elapsed_s=10.0)
    assert healed == expected
    assert healed[1].outcome is (Outcome.ADVANCE if bad == 100 else Outcome.ROLL_BACK)


def test_a_hard_stop_needs_no_comparison_and_adds_up_over_stages() -> None:
    mismatched = counts(500, units(700, 9000))
    _, verdict = take_look(PLAN, 0, 1, State.fresh(PLAN, HISTORY), mismatched, Health(), elapsed_s=1.0)
    assert verdict.outcome is Outcome.ROLL_BACK
    assert verdict.decisive is not None
    assert verdict.decisive.because == (
        "error_rate has reached its hard stop: 500 bad candidate requests in this release, and 500 roll back whatever stable does."
    )
    state, first = take_look(
        PLAN, 0, 1, State.fresh(PLAN, HISTORY), counts(120, None), Health(), elapsed_s=1.0
    )
    assert first.outcome is not Outcome.ROLL_BACK
    for bad, outcome in ((379, Outcome.ADVANCE), (380, Outcome.ROLL_BACK)):
        _, later = take_look(PLAN, 1, 2, state, counts(bad, None), Health(), elapsed_s=1.0)
        assert later.outcome is outcome
    moved = state.next_stage().note(PLAN, counts(7, None)).next_stage()
    assert [watch.bad_before for watch in moved.watches if isinstance(watch, Watch)] == [127]
    untrusted = Health(problems=("12 % of the lines are broken",))
    assert (
        take_look(PLAN, 0, 1, state, counts(900, None), untrusted, elapsed_s=1.0)[1].outcome is Outcome.HOLD
    )
