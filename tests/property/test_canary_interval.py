"""Intervals of experiments: they cover the truth however often somebody looks, and say the same seen from either arm."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from promptship.canary.interval import (
    ALPHA,
    BLOCK_MIN,
    Blocks,
    Interval,
    histogram_increments,
    mean_effect,
    merge,
    rate_effect,
    rate_increments,
)

pytestmark = pytest.mark.slow

RATES = np.array([0.0, 1.0])
NEEDED = -math.log(ALPHA / 2)


def looks(
    p1: float, p0: float, share: float, rng: np.random.Generator, number: int = 60
) -> tuple[np.ndarray, np.ndarray]:
    n1 = rng.poisson(50, number)
    n0 = rng.poisson(50 * (1 - share) / share, number)
    return np.stack([n1, rng.binomial(n1, p1)], 1), np.stack([n0, rng.binomial(n0, p0)], 1)


@pytest.mark.parametrize(("p1", "p0", "share"), [(0.1, 0.1, 0.02), (0.2, 0.1, 0.5), (0.01, 0.03, 0.2)])
def test_hardly_any_interval_ever_misses_the_truth(p1: float, p0: float, share: float) -> None:
    """Looked at after every block, over 2,000 requests; 60 runs and three standard errors."""
    rng = np.random.default_rng(1)
    missed = np.zeros(2)
    for _ in range(60):
        blocks = Blocks(*merge(*looks(p1, p0, share, rng)), RATES)
        for index, (truth, relative) in enumerate(((p1 - p0, False), (p1 / p0 - 1, True))):
            missed[index] += np.max(blocks.log_e(np.array([truth]), relative=relative)) >= NEEDED
    assert np.all(missed / 60 <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / 60))


def test_an_interval_of_means_covers_it_too() -> None:
    rng, values = np.random.default_rng(2), np.linspace(0, 1, 6)
    law1, law0 = np.array([1, 2, 3, 4, 3, 2]) / 15, np.array([3, 4, 3, 2, 2, 1]) / 15
    truth, missed = float(law1 @ values - law0 @ values), 0
    for _ in range(60):
        arms = rng.multinomial(40, law1, 40).astype(float), rng.multinomial(300, law0, 40).astype(float)
        blocks = Blocks(*merge(*arms, rates=False), values, rates=False)
        missed += bool(np.max(blocks.log_e(np.array([truth]), relative=False)) >= NEEDED)
    assert missed <= 8


@settings(max_examples=3, deadline=None)
@given(st.sampled_from([0.0, 0.02, 0.2, 0.6]), st.sampled_from([0.02, 0.2, 0.5]), st.integers(0, 99))
def test_an_interval_grows_no_wider_by_looking_on(p1: float, p0: float, seed: int) -> None:
    one, zero = looks(p1, p0, 0.3, np.random.default_rng(seed), number=12)
    early, late = rate_effect(one[:5], zero[:5]), rate_effect(one, zero)
    assert early is not None and late is not None  # noqa: PT018
    assume(not late.absolute.empty)
    low, high = bounds(late.absolute)
    assert low < high
    wide_low, wide_high = bounds(early.absolute)
    step = (wide_high - wide_low) / 20  # limits are found on a grid
    assert wide_low <= low + step
    assert high <= wide_high + step


def bounds(interval: Interval) -> tuple[float, float]:
    return -1.0 if interval.low is None else interval.low, 1.0 if interval.high is None else interval.high


@settings(max_examples=3, deadline=None)
@given(st.sampled_from([0.05, 0.2, 0.6]), st.sampled_from([0.1, 0.5]), st.integers(0, 99))
def test_a_mean_of_zeros_and_ones_is_a_rate(p1: float, p0: float, seed: int) -> None:
    one, zero = looks(p1, p0, 0.4, np.random.default_rng(seed), number=12)
    histograms = [np.stack([rows[:, 0] - rows[:, 1], rows[:, 1]], 1) for rows in (one, zero)]
    rate, mean = rate_effect(one, zero), mean_effect(RATES, *histograms)
    assert rate is not None and mean is not None  # noqa: PT018
    assert mean.values == pytest.approx(rate.values)
    width = bounds(rate.absolute)[1] - bounds(rate.absolute)[0]
    assert bounds(mean.absolute) == pytest.approx(bounds(rate.absolute), abs=0.6 * width)


def test_a_real_difference_is_found_and_a_changed_one_is_said_to_have_changed() -> None:
    rng = np.random.default_rng(4)
    one, zero = looks(0.2, 0.1, 0.3, rng)
    found = rate_effect(one, zero)
    assert found is not None and found.absolute.low is not None and found.relative.low is not None  # noqa: PT018
    assert 0 < found.absolute.low < 0.1 < (found.absolute.high or 0)
    assert 0.3 < found.relative.low < 1.0 < (found.relative.high or 0)
    worse, better = looks(0.4, 0.1, 0.3, rng), looks(0.02, 0.1, 0.3, rng)
    changed = rate_effect(*(np.concatenate(pair) for pair in zip(worse, better, strict=True)))
    assert changed is not None
    assert changed.absolute.empty
    assert changed.absolute.low is None


def test_nothing_in_one_arm_is_no_effect_and_little_is_no_limit() -> None:
    nothing = np.zeros((3, 2))
    some = np.array([[30.0, 3.0]] * 3)
    assert rate_effect(nothing, some) is None
    assert rate_effect(some, nothing) is None
    little = rate_effect(some[:1], some[:1])
    assert little is not None
    assert little.absolute == Interval(0.0, None, None)


def test_repeat_users_make_an_interval_about_twice_as_wide_where_a_request_weighs_a_fourth() -> None:
    one, zero = looks(0.2, 0.1, 0.3, np.random.default_rng(5))
    widths = []
    for effect in (1.0, 4.0):
        found = rate_effect(one, zero, design_effect=effect)
        assert found is not None
        low, high = bounds(found.absolute)
        widths.append(high - low)
    assert 1.5 < widths[1] / widths[0] < 2.8


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90)), min_size=1, max_size=30), st.data())
def test_blocks_lose_nothing_but_their_end_and_never_span_two_stages(
    rows: list[tuple[int, int]], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(rows)))
    counts = np.array([(n + x, x) for n, x in rows], dtype=float)
    stages = [0] * cut + [1] * (len(rows) - cut)
    ones, zeros = merge(counts, counts[::-1], stages)
    assert len(ones) == len(zeros)
    assert np.all(ones.sum(0) <= counts.sum(0))
    if 0 < cut < len(rows):
        first = np.cumsum(ones[:, 0]).tolist()
        assert float(counts[:cut, 0].sum()) in [0.0, *first]
    left = float(counts[:, 0].sum() - ones[:, 0].sum())
    enough = min(left, float(counts[::-1][:, 0].sum() - zeros[:, 0].sum()))
    assert enough < max(BLOCK_MIN, 0.04 * counts[:, 0].sum()) or not len(rows)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=12))
def test_increments_are_never_negative_nor_more_bad_than_counted(cumulative: list[tuple[int, int]]) -> None:
    rows = rate_increments(cumulative)
    assert rows.shape == (len(cumulative), 2)
    assert np.all(rows >= 0)
    assert np.all(rows[:, 1] <= rows[:, 0])
    rising = sorted(n for n, _ in cumulative)
    if rising:
        assert rate_increments([(n, 0) for n in rising])[:, 0].sum() == rising[-1]
        assert histogram_increments([np.array([float(n)]) for n in rising]).sum() == rising[-1]
