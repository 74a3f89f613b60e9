"""What makes the evidence honest: every factor is an e-variable on its whole null, and bets only ever look back."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from promptship.canary import eprocess
from promptship.canary.eprocess import Null, Side

RATES = st.floats(1e-5, 1 - 1e-5) | st.sampled_from((1e-5, 0.001, 0.05, 0.5, 0.95, 1 - 1e-5))
ANY_RATE = st.floats(1e-9, 1) | st.just(0.0)
SHARES = st.floats(0.0001, 0.9999) | st.sampled_from((0.01, 0.05, 0.25, 0.5))
# As `not_worse` and `unsafe` make them: a steeper line or a shifted one.
SLOPES = st.builds(Null, st.sampled_from(Side), ratio=st.sampled_from((1.0, 1.1, 1.5, 2.0, 11.0)))
SHIFTS = st.builds(Null, st.sampled_from(Side), shift=st.sampled_from((0.0, 0.005, 0.1, 0.9, 0.99)))
NULLS = SLOPES | SHIFTS


def mean_factor(null: Null, p1: float, p0: float, share: float, true1: float, true0: float) -> float:
    """Exact mean of one request's factor when the true rates are (true1, true0)."""
    q1, q0 = (float(q) for q in eprocess.project(null, p1, p0, share))
    candidate = true1 * p1 / q1 + (1 - true1) * (1 - p1) / (1 - q1)
    stable = true0 * p0 / q0 + (1 - true0) * (1 - p0) / (1 - q0)
    return share * candidate + (1 - share) * stable


@settings(max_examples=150)
@given(NULLS, RATES, RATES, SHARES, ANY_RATE, ANY_RATE)
def test_every_factor_has_mean_at_most_one_under_every_law_of_the_null(
    null: Null, p1: float, p0: float, share: float, true1: float, true0: float
) -> None:
    # Move the truth into the null, onto its boundary where it was outside: the hardest place.
    line = float(null.ratio * true0 + null.shift)
    if null.side is Side.HARM:
        true1 = min(true1, line)
    else:
        assume(line <= 1)
        true1 = max(true1, line)
    assert mean_factor(null, p1, p0, share, true1, true0) <= 1 + 1e-6


def binomial(n: int, p: float) -> eprocess.Floats:
    return np.array([math.comb(n, x) * p**x * (1 - p) ** (n - x) for x in range(n + 1)])


@settings(max_examples=60)
@given(NULLS, RATES, RATES, st.integers(0, 9), st.integers(0, 9), ANY_RATE, ANY_RATE)
def test_the_evidence_of_a_look_has_mean_at_most_one_however_requests_fell_on_the_arms(
    null: Null, p1: float, p0: float, n1: int, n0: int, true1: float, true0: float
) -> None:
    line = float(null.ratio * true0 + null.shift)
    assume(line <= 1 or null.side is Side.HARM)
    true1 = min(true1, line) if null.side is Side.HARM else max(true1, line)
    # Sum over every outcome of the look: exact, no sampling.
    x1, x0 = np.arange(n1 + 1)[:, None], np.arange(n0 + 1)[None, :]
    probability = binomial(n1, true1)[:, None] * binomial(n0, true0)[None, :]
    growth = eprocess.log_growth(null, np.array(p1), np.array(p0), (n1, x1), (n0, x0))
    assert float(np.sum(probability * np.exp(growth))) <= 1 + 1e-6


@settings(max_examples=60)
@given(NULLS, RATES, st.integers(0, 10**6), ANY_RATE, st.booleans())
def test_one_arm_alone_is_no_evidence(
    null: Null, p0: float, n: int, bad: float, candidate_is_silent: bool
) -> None:
    seen, silent = (n, round(bad * n)), (0, 0)
    arms = (silent, seen) if candidate_is_silent else (seen, silent)
    assert np.all(eprocess.log_growth(null, eprocess.alternatives(null, p0), np.array(p0), *arms) == 0)


@settings(max_examples=80)
@given(NULLS, RATES, SHARES)
def test_bets_are_outside_the_null_and_win_when_they_are_right(null: Null, p0: float, share: float) -> None:
    for p1 in eprocess.alternatives(null, p0):
        growth = eprocess.information(null, float(p1), p0, share)
        assert growth >= -1e-9
        outside = not null.holds(p1 + 1e-4 * (1 if null.side is Side.SAFETY else -1), np.array(p0))
        assert growth > 0 or not outside


@settings(max_examples=80)
@given(NULLS, RATES, RATES, SHARES)
def test_the_projection_lies_in_the_null_and_touches_it(
    null: Null, p1: float, p0: float, share: float
) -> None:
    q1, q0 = (float(q) for q in eprocess.project(null, p1, p0, share))
    line = null.ratio * q0 + null.shift
    if null.holds(np.array(p1), np.array(p0)):
        assert (q1, q0) == (p1, p0)
    else:
        assert q1 == pytest.approx(line, abs=1e-9)
        assert 0 < q1 < 1
        assert 0 < q0 < 1


@settings(max_examples=60)
@given(NULLS, RATES, st.integers(0, 10**7), st.integers(0, 10**7), ANY_RATE, ANY_RATE)
def test_extreme_counts_and_rates_stay_finite(
    null: Null, p0: float, n1: int, n0: int, bad1: float, bad0: float
) -> None:
    p1 = eprocess.alternatives(null, p0)
    growth = eprocess.log_growth(null, p1, np.array(p0), (n1, round(bad1 * n1)), (n0, round(bad0 * n0)))
    wealth = eprocess.open_bets(np.full(len(p1), 1 / len(p1))) + growth
    assert np.all(np.isfinite(growth))
    assert np.isfinite(eprocess.log_e_value(wealth, 0.1))


@settings(max_examples=60)
@given(NULLS, RATES, st.integers(1, 50), st.integers(1, 50), st.lists(ANY_RATE, min_size=4, max_size=4))
def test_for_fixed_bets_and_split_growth_adds_up_over_looks(
    null: Null, p0: float, n1: int, n0: int, numbers: list[float]
) -> None:
    p1 = eprocess.alternatives(null, p0)
    a, b, c, d = (round(number * n) for number, n in zip(numbers, (n1, n0, 3 * n1, 3 * n0), strict=True))

    def grow(times: int, x1: int, x0: int) -> eprocess.Floats:
        return eprocess.log_growth(null, p1, np.array(p0), (times * n1, x1), (times * n0, x0))

    assert grow(1, a, b) + grow(3, c, d) == pytest.approx(grow(4, a + c, b + d), rel=1e-9, abs=1e-6)


@settings(max_examples=60)
@given(RATES, st.integers(1, 500), st.integers(0, 500), st.integers(1, 5000), st.integers(0, 5000))
def test_a_bad_candidate_request_more_is_more_harm_and_less_safety(
    p0: float, n1: int, x1: int, n0: int, x0: int
) -> None:
    x1, x0 = min(x1, n1 - 1), min(x0, n0)
    for null in (eprocess.not_worse(), eprocess.not_worse(0.2), eprocess.unsafe(0.25, 0.005, p0)):
        p1 = eprocess.alternatives(null, p0)
        outside = ~null.holds(p1, np.array(p0))
        fewer = eprocess.log_growth(null, p1, np.array(p0), (n1, x1), (n0, x0))[outside]
        more = eprocess.log_growth(null, p1, np.array(p0), (n1, x1 + 1), (n0, x0))[outside]
        assert np.all(more > fewer) if null.side is Side.HARM else np.all(more < fewer)


@settings(max_examples=60)
@given(st.floats(0, 1), st.integers(0, 10**6), RATES)
def test_moving_cash_creates_and_destroys_no_capital(cash: float, requests: int, p0: float) -> None:
    weights = eprocess.HARM_WEIGHTS
    wealth = eprocess.open_bets(weights) + np.log(1 - cash + 1e-12)
    moved, kept = eprocess.move_cash(wealth, np.array(cash), requests, weights)
    before, after = eprocess.log_e_value(wealth, cash), eprocess.log_e_value(moved, kept)
    assert float(after) == pytest.approx(float(before), abs=1e-9)
    assert 0 <= float(kept) <= cash


@settings(max_examples=60)
@given(st.floats(0.001, 10), st.floats(1e-4, 1), RATES, RATES)
def test_evidence_of_safety_is_evidence_against_the_larger_of_both_margins(
    margin: float, floor: float, p0: float, true0: float
) -> None:
    # Whatever p0 was predicted, a truth at or beyond max(margin * p0, floor) lies in the null that was chosen.
    null = eprocess.unsafe(margin, floor, p0)
    true1 = true0 + max(margin * true0, floor)
    assume(true1 <= 1)
    assert bool(null.holds(np.array(true1 + 1e-12), np.array(true0)))


def test_the_weights_are_a_mixture() -> None:
    assert eprocess.HARM_WEIGHTS.sum() == pytest.approx(1)
    assert eprocess.SAFETY_WEIGHTS.sum() == pytest.approx(1)
    assert len(eprocess.HARM_WEIGHTS) == len(eprocess.HARM_ODDS)
    assert len(eprocess.SAFETY_WEIGHTS) == len(eprocess.SAFETY_STEPS)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5])
def test_without_two_arms_there_is_no_projection(share: float) -> None:
    with pytest.raises(ValueError, match="two concurrent arms"):
        eprocess.project(eprocess.not_worse(), 0.2, 0.1, share)
