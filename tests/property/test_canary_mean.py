"""Means: every look's factor is an e-variable on the whole null, whatever the laws of the values are and however answers fell."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from promptship.canary import eprocess, mean
from promptship.canary.eprocess import Floats, Null, Side
from promptship.canary.evidence import (
    ArmCounts,
    Baseline,
    Counts,
    Health,
    Histogram,
    Outcome,
    StageCounts,
    Values,
)
from promptship.canary.look import take_look
from promptship.canary.mean_watch import MeanWatch, badness, cap_of, mean_of, unsafe
from promptship.canary.process import BLOCK_REQUESTS_MIN
from promptship.canary.scale import amount_bin, amount_of, score_bin
from promptship.canary.state import State
from promptship.release.plan import Canary, Guardrail, Stage

UNIT = st.floats(0, 1) | st.sampled_from((0.0, 0.5, 1.0))
PREDICTED = st.floats(1e-5, 1 - 1e-5) | st.sampled_from((1e-5, 0.2, 0.9, 1 - 1e-5))
VARIANCE = st.floats(1e-6, 0.25) | st.just(1e-6)
SLOPES = st.builds(Null, st.sampled_from(Side), ratio=st.sampled_from((1.0, 1.1, 2.0, 11.0)))
SHIFTS = st.builds(Null, st.sampled_from(Side), shift=st.sampled_from((0.0, 0.005, 0.1, 0.9)))
NULLS = SLOPES | SHIFTS
LAW = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1)).map(lambda w: np.array(w) / sum(w))


def histograms(requests: int, kinds: int) -> list[Floats]:
    """Every way in which answers can fall on values."""
    rows = itertools.product(range(requests + 1), repeat=kinds)
    return [np.array(row, dtype=float) for row in rows if sum(row) == requests]


def chance(histogram: Floats, law: Floats) -> float:
    """Multinomial probability."""
    ways = math.factorial(int(histogram.sum()))
    for times, p in zip(histogram, law, strict=True):
        ways *= p**times / math.factorial(int(times))
    return float(ways)


def into_null(null: Null, values: Floats, law1: Floats, law0: Floats) -> Floats:
    """The candidate's law, mixed with one value until its mean lies on the null's edge where it was outside: the hardest place."""
    line = float(null.ratio * (law0 @ values) + null.shift)
    average = float(law1 @ values)
    inside = average <= line if null.side is Side.HARM else average >= line
    if inside:
        return law1
    end = np.zeros(len(values))
    end[int(np.argmin(values) if null.side is Side.HARM else np.argmax(values))] = 1.0
    room = average - float(end @ values)
    assume(abs(room) > 1e-9)
    part = (average - line) / room
    assume(0 <= part <= 1)
    return (1 - part) * law1 + part * end


@settings(max_examples=80)
@given(
    NULLS, PREDICTED, VARIANCE, st.tuples(UNIT, UNIT, UNIT), LAW, LAW, st.integers(1, 3), st.integers(1, 3)
)
def test_the_evidence_of_a_look_has_mean_at_most_one_under_every_law_of_the_null(
    null: Null,
    m0: float,
    variance: float,
    kinds: tuple[float, ...],
    law1: Floats,
    law0: Floats,
    n1: int,
    n0: int,
) -> None:
    values = np.array(kinds)
    law1 = into_null(null, values, law1, law0)
    expected = np.zeros(len(eprocess.alternatives(null, m0)))
    for one, zero in itertools.product(histograms(n1, 3), histograms(n0, 3)):
        growth = mean.log_growth(null, m0, variance, values, one, zero)
        expected += chance(one, law1) * chance(zero, law0) * np.exp(growth)
    assert np.all(expected <= 1 + 1e-6)


@settings(max_examples=80)
@given(
    NULLS,
    PREDICTED,
    VARIANCE,
    st.lists(UNIT, min_size=2, max_size=2),
    st.integers(1, 200),
    st.integers(1, 5000),
)
def test_a_worse_value_is_more_harm_and_less_safety(
    null: Null, m0: float, variance: float, kinds: list[float], n1: int, n0: int
) -> None:
    values = np.array(sorted(kinds))
    assume(values[1] - values[0] > 1e-6)
    zero = np.array([n0, 0.0])
    better, worse = (
        mean.log_growth(null, m0, variance, values, np.array(one, dtype=float), zero)
        for one in ([n1, 0], [n1 - 1, 1])
    )
    bets = mean.bets(null, np.array(m0), np.array(variance), np.array(n1 / n0)) > 1e-9
    assert np.all((worse > better if null.side is Side.HARM else worse < better)[bets])


@settings(max_examples=60)
@given(NULLS, PREDICTED, VARIANCE, st.integers(0, 10**6), st.integers(0, 10**6))
def test_extremes_stay_finite_and_one_arm_alone_is_no_evidence(
    null: Null, m0: float, variance: float, n1: int, n0: int
) -> None:
    values = np.array([0.0, 1.0])
    for one, zero in (([n1, 0], [0, n0]), ([0, n1], [n0, 0])):
        growth = mean.log_growth(
            null, m0, variance, values, np.array(one, dtype=float), np.array(zero, dtype=float)
        )
        assert np.all(np.isfinite(growth))
        if not n1 or not n0:
            assert np.all(growth == 0)


def test_means_of_zero_and_one_are_predicted_as_rates_are() -> None:
    assert float(mean.predicted_mean(12, 200)) == float(eprocess.predicted_rate(12, 200))
    rate = float(eprocess.predicted_rate(12, 200))
    assert float(mean.predicted_variance(12, 12, 200)) == pytest.approx(rate * (1 - rate))


PLAN = Canary(
    stages=(Stage(share=0.1, margin=0.3, dwell=0), Stage(share=0.5, margin=0.15, dwell=0)),
    guardrails=(Guardrail(metric="score:help"), Guardrail(metric="cost_usd", tolerance=0.1)),
    requests_min=1,
)
PAST = Baseline(
    means={
        "score:help": Histogram(buckets={200: 600, 150: 300, 100: 100}),
        "cost_usd": Histogram(buckets={260: 700, 270: 250, 300: 50}),
    }
)
INCREMENT = st.tuples(*[st.integers(0, 30)] * 3, *[st.integers(0, 300)] * 3)
WHOLE = st.tuples(*[st.integers(BLOCK_REQUESTS_MIN, 30)] * 3, *[st.integers(BLOCK_REQUESTS_MIN, 300)] * 3)


def counts(*parts: tuple[int, ...]) -> StageCounts:
    a, b, c, d, e, f = (sum(column) for column in zip(*parts, strict=True))
    score = Values(
        candidate=Histogram(buckets={200: a, 150: b, 90: c}),
        stable=Histogram(buckets={200: d, 150: e, 90: f}),
    )
    cost = Values(
        candidate=Histogram(buckets={260: a, 270: b, 305: c}),
        stable=Histogram(buckets={260: d, 270: e, 305: f}),
    )
    arms = ArmCounts(candidate=Counts(requests=a + b + c), stable=Counts(requests=d + e + f))
    return StageCounts(means={"score:help": score, "cost_usd": cost}, requests=arms)


def run(*steps: StageCounts, state: State | None = None) -> State:
    state = state or State.fresh(PLAN, PAST)
    for step in steps:
        state = state.take(PLAN, step)
    return state


def means_of(state: State) -> list[MeanWatch]:
    return [watch for watch in state.watches if isinstance(watch, MeanWatch)]


@settings(max_examples=30)
@given(WHOLE, INCREMENT)
def test_cumulative_histograms_are_taken_in_as_increments_and_once(
    first: tuple[int, ...], second: tuple[int, ...]
) -> None:
    once = run(counts(first))
    forgotten = State(watches=tuple(watch.model_copy(update={"seen": Values()}) for watch in means_of(once)))
    cumulative, incremental = run(counts(first, second), state=once), run(counts(second), state=forgotten)
    for a, b in zip(means_of(cumulative), means_of(incremental), strict=True):
        assert a.log_harm == pytest.approx(b.log_harm, abs=1e-12)
        assert (a.safe_mean, a.stable_total) == (b.safe_mean, b.stable_total)
    assert run(counts(first, second), counts(first), state=cumulative) == cumulative


@settings(max_examples=20)
@given(st.lists(INCREMENT, min_size=1, max_size=3))
def test_the_next_stage_carries_harm_and_begins_safety_anew_and_survives_json(
    parts: list[tuple[int, ...]],
) -> None:
    state = run(*(counts(*parts[: k + 1]) for k in range(len(parts))))
    assert State.model_validate_json(state.model_dump_json()) == state
    for before, after in zip(means_of(state), means_of(state.next_stage()), strict=True):
        assert after.log_harm == before.log_harm
        assert after.log_safe == pytest.approx(0.0, abs=1e-12)
        assert (after.m0, after.variance, after.cap) == (before.m0, before.variance, before.cap)
        assert after.seen == Values()


@settings(max_examples=20)
@given(st.sampled_from(("candidate", "stable")), WHOLE)
def test_a_mean_that_one_arm_lacks_is_never_evidence_and_holds(silent: str, part: tuple[int, ...]) -> None:
    given_in = counts(part)
    means = {name: values.model_copy(update={silent: Histogram()}) for name, values in given_in.means.items()}
    for broken in (given_in.model_copy(update={"means": means}), given_in.model_copy(update={"means": {}})):
        state, verdict = take_look(PLAN, 0, 1, State.fresh(PLAN, PAST), broken, Health(), elapsed_s=1.0)
        assert state == State.fresh(PLAN, PAST)
        assert verdict.outcome is Outcome.HOLD


@given(st.lists(st.integers(0, 500), min_size=1, max_size=8, unique=True), st.floats(1e-6, 1e4))
def test_badness_lies_in_0_to_1_and_grows_with_an_amount_and_falls_with_a_score(
    bins: list[int], cap: float
) -> None:
    ordered = tuple(sorted(bins))
    cost = badness("cost_usd", ordered, cap)
    assert np.all((cost >= 0) & (cost <= 1))
    assert np.all(np.diff(cost) >= 0)
    scores = badness("score:x", tuple(number for number in ordered if number <= 200), 1.0)
    assert np.all((scores >= 0) & (scores <= 1))
    assert np.all(np.diff(scores) < 0)


def test_amounts_are_cut_at_twice_the_tail_of_stable_and_its_mean_is_told_in_its_unit() -> None:
    usual, tail = amount_bin(0.002), amount_bin(0.05)
    stable = Histogram(buckets={usual: 9980, tail: 20})
    cap = cap_of("cost_usd", stable)
    assert cap is not None
    assert cap == pytest.approx(2 * amount_of(tail))
    far = Histogram(buckets={usual: 99, amount_bin(50.0): 1})
    assert mean_of("cost_usd", far, cap) == pytest.approx((99 * amount_of(usual) + cap) / 100)
    assert cap_of("cost_usd", Histogram(buckets={usual: 99})) is None
    assert cap_of("tokens_out", Histogram(buckets={0: 500})) == amount_of(1)
    assert mean_of("score:help", Histogram(buckets={score_bin(0.5): 1, score_bin(1.0): 1}), 1.0) == 0.75


@given(st.floats(0.001, 0.999), st.floats(0.01, 10), st.floats(0.001, 1))
def test_the_margin_of_a_score_has_a_floor_in_points_and_that_of_an_amount_has_none(
    m0: float, margin: float, floor: float
) -> None:
    score, cost = (
        unsafe(Guardrail(metric=metric, margin_floor=floor), margin, m0) for metric in ("score:x", "cost_usd")
    )
    shift = float(score.ratio * m0 + score.shift) - m0
    assert shift == pytest.approx(max(margin * m0, min(floor, 0.99)), abs=0.011)
    assert float(cost.ratio * m0 + cost.shift) - m0 == pytest.approx(margin * m0)
