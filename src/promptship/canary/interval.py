"""How much an arm differs from another, as an interval that holds however often it is looked at (a confidence sequence).

For every difference d that is tried, an e-process speaks against "the arm is at most d worse" and one against "it is at least d worse";
the interval is what neither has ever rejected at alpha/2. At the true difference each rejects with probability at most alpha/2, at any
time (Ville), so the interval misses it, ever, with probability at most alpha. It is the inversion of a family of tests by betting (Darling
and Robbins; Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences"; Waudby-Smith
and Ramdas, "Estimating means of bounded random variables by betting"), here with the e-variables of `promptship.canary.eprocess` for
rates and of `promptship.canary.mean` for means: for any split of any look, and for rates that drift together.

What is estimated is one difference that holds over the whole time: absolute (points) or relative. If no single one fits, because the
effect itself changed, every d gets rejected and the interval is empty; that is said instead of a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from promptship.canary import eprocess, mean
from promptship.canary.eprocess import Floats, Null, Side

ALPHA: Final = 0.05
"""Chance that an interval ever misses, both sides together."""
BLOCK_MIN: Final = 20
"""Requests of the arm that are taken in at once ..."""
BLOCK_GROWTH: Final = 0.04
"""... or this part of those before: a rule that never looks at what it counts, so blocks do not depend on who looks when."""
FACTORS: Final = np.array([1.01, 1.03, 1.08, 1.2, 1.5, 2.2, 4.0])
"""Alternatives: odds beyond the difference that is tried; the finest decides how narrow an interval can become."""
_WEIGHTS: Final = np.array([0.16, 0.2, 0.2, 0.16, 0.12, 0.1, 0.06])
_TRIED: Final = 41
_ROUNDS: Final = 2
_EVENTS_MIN: Final = 20.0
"""Requests of the other arm before the first bet."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference and the limits of its confidence sequence; a limit is None where nothing bounds it yet."""

    estimate: float | None
    low: float | None
    high: float | None
    empty: bool = False
    """No single difference fits: the effect changed on the way."""


@dataclass(frozen=True, slots=True)
class Effect:
    """How an arm differs from the one it is compared with on one metric."""

    requests: tuple[int, int]
    """Measured requests of the arm and of the other."""
    values: tuple[float, float]
    """Their rates or means."""
    absolute: Interval
    """Rate points (0..1), or the mean's unit."""
    relative: Interval
    """0.15: 15 % more."""


def rate_effect(
    arm: Floats,
    other: Floats,
    *,
    stages: Sequence[int] = (),
    alpha: float = ALPHA,
    design_effect: float = 1.0,
) -> Effect | None:
    """The effect on a rate. Arms: a row per look, (requests, events), what was new; None while one arm has nothing.

    `stages`: of each look; counts of different stages are never pooled. `design_effect`: what repeat users divide the evidence by
    (`promptship.canary.units`).
    """
    return _effect(_Looks(arm, other, stages, rates=True), np.array([0.0, 1.0]), 1.0, alpha, design_effect)


def mean_effect(
    values: Floats,
    arm: Floats,
    other: Floats,
    *,
    stages: Sequence[int] = (),
    scale: float = 1.0,
    alpha: float = ALPHA,
) -> Effect | None:
    """The effect on a mean of `values` (0..1). Arms: a row per look, how often each value came.

    `scale`: what a value of 1 stands for, so that the result is in the metric's unit.
    """
    return _effect(
        _Looks(arm, other, stages, rates=False), np.asarray(values, dtype=np.float64), scale, alpha, 1.0
    )


class _Looks:
    def __init__(self, arm: Floats, other: Floats, stages: Sequence[int], *, rates: bool) -> None:
        self.one, self.zero = (np.asarray(rows, dtype=np.float64) for rows in (arm, other))
        self.stages, self.rates = stages, rates

    def total(self, rows: Floats, values: Floats) -> tuple[float, float]:
        """Requests, and the sum of what they count as."""
        total = rows.sum(0)
        return (
            (float(total[0]), float(total[1])) if self.rates else (float(total.sum()), float(total @ values))
        )


def _effect(looks: _Looks, values: Floats, scale: float, alpha: float, design_effect: float) -> Effect | None:
    (n1, sum1), (n0, sum0) = looks.total(looks.one, values), looks.total(looks.zero, values)
    if min(n1, n0) <= 0:
        return None
    p1, p0 = sum1 / n1, sum0 / n0
    blocks = Blocks(*merge(looks.one, looks.zero, looks.stages, rates=looks.rates), values, rates=looks.rates)
    needed = -math.log(alpha / 2) * design_effect
    width = 8 * math.sqrt(design_effect * (p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0)) + 8 / n1
    found = _inverted(lambda d: blocks.log_e(d, relative=False), p1 - p0, width, (-1.0, 1.0), needed)
    relative = Interval(None, None, None)
    if p0 > 0:
        wide = width / p0 * (1 + p1 / p0)
        relative = _inverted(
            lambda d: blocks.log_e(d, relative=True), p1 / p0 - 1, wide, (-0.999, 50.0), needed
        )
    low, high = (None if limit is None else limit * scale for limit in (found.low, found.high))
    absolute = Interval((p1 - p0) * scale, low, high, found.empty)
    return Effect((int(n1), int(n0)), (p1 * scale, p0 * scale), absolute, relative)


def merge(
    one: Floats, zero: Floats, stages: Sequence[int] = (), *, rates: bool = True
) -> tuple[Floats, Floats]:
    """Looks merged into blocks of at least `BLOCK_MIN` requests in each arm, of the first one `BLOCK_GROWTH` of those before.

    A block ends with its stage; one that is not full yet is left out while its stage lasts.
    """
    sizes = [rows[:, 0] if rates else rows.sum(1) for rows in (one, zero)]
    stages = stages or [0] * len(one)
    begun, seen, others = 0.0, 0.0, 0.0
    kept: list[tuple[int, int]] = []
    for index, (n1, n0) in enumerate(zip(*sizes, strict=True)):
        seen, others = seen + n1, others + n0
        full = seen - begun >= max(BLOCK_MIN, BLOCK_GROWTH * begun) and others >= BLOCK_MIN
        over = index + 1 < len(one) and stages[index + 1] != stages[index]
        if full or over:
            kept.append((kept[-1][1] if kept else 0, index + 1))
            begun, others = seen, 0.0
    return _summed(one, kept), _summed(zero, kept)


def _summed(rows: Floats, kept: Sequence[tuple[int, int]]) -> Floats:
    return np.array([rows[begin:end].sum(0) for begin, end in kept]).reshape(-1, rows.shape[1])


@dataclass(frozen=True, slots=True)
class Blocks:
    """Both arms, block by block, and the evidence in them."""

    one: Floats
    zero: Floats
    values: Floats
    rates: bool = True

    def log_e(self, tried: Floats, *, relative: bool) -> tuple[Floats, Floats]:
        """Largest log e-values so far against "at most this" and "at least this", per difference tried."""
        low = self._against(tried, relative=relative, above=True)
        return low, self._against(tried, relative=relative, above=False)

    def _against(self, tried: Floats, *, relative: bool, above: bool) -> Floats:
        if not len(self.one):
            return np.zeros(len(tried))
        growth = self._rates if self.rates else self._means
        wealth = np.cumsum(growth(tried, relative, above), axis=0) + np.log(_WEIGHTS)
        return np.asarray(np.logaddexp.reduce(wealth, axis=-1).max(axis=0, initial=0.0))

    def _before(self, sums: Floats) -> Floats:
        return np.asarray(np.cumsum(sums, axis=0) - sums)

    def _rates(self, tried: Floats, relative: bool, above: bool) -> Floats:
        """Growth: blocks, differences, alternatives. Stable's rate is predicted; the arm's lies beyond the line by `FACTORS`."""
        requests, events = self._before(self.zero).T
        p0 = eprocess.predicted_rate(events, requests)[:, None, None]
        line = (1 + tried) * p0[..., 0] if relative else p0[..., 0] + tried
        edge = np.clip(line, eprocess.RATE_MIN, 1 - eprocess.RATE_MIN)[..., None]
        p1 = eprocess.shift_odds(edge, FACTORS if above else 1 / FACTORS)
        p0 = np.broadcast_to(p0, p1.shape)
        one, zero = ((rows[:, 0, None, None], rows[:, 1, None, None]) for rows in (self.one, self.zero))
        found = np.zeros(p1.shape)
        # The null is a line p1 = ratio p0 + shift; where that would fall below p0 it is written as one of p0 over p1.
        for swapped, at in ((False, tried >= 0), (True, tried < 0)):
            if not at.any():
                continue
            part = tried[at]
            null = Null(
                Side.HARM if above is not swapped else Side.SAFETY,
                ratio=_column(1 / (1 + part) if swapped else 1 + part) if relative else 1.0,
                shift=0.0 if relative else _column(np.minimum(np.abs(part), 1 - 1e-9)),
            )
            if swapped:
                found[:, at] = eprocess.log_growth(null, p0[:, at], p1[:, at], zero, one)
            else:
                found[:, at] = eprocess.log_growth(null, p1[:, at], p0[:, at], one, zero)
        return np.asarray(found * (requests >= _EVENTS_MIN)[:, None, None])

    def _means(self, tried: Floats, relative: bool, above: bool) -> Floats:
        """The same for means: bets on the distance from the line, as large as grows fastest if the mean lies there (`mean.bets`)."""
        before = self._before(self.zero)
        n, totals, squares = before.sum(1), before @ self.values, before @ self.values**2
        m0, variance = mean.predicted_mean(totals, n), mean.predicted_variance(totals, squares, n)
        ratio = 1 + tried if relative else np.ones_like(tried)
        line = m0[:, None] * ratio if relative else m0[:, None] + tried
        edge = np.clip(line, 1e-5, 1 - 1e-5)[..., None]
        factors = FACTORS if above else 1 / FACTORS
        from_line = np.abs(eprocess.shift_odds(edge, factors) - line[..., None])
        # Close to 0 and 1 odds move a mean hardly at all; the other arm's mean shows how far away it may well be.
        from_other = np.abs(eprocess.shift_odds(m0[:, None, None], factors) - m0[:, None, None])
        beyond = np.maximum(from_line, from_other)
        arms = (self.one.sum(1) / np.maximum(self.zero.sum(1), 1))[:, None, None] * ratio[:, None]
        spread = variance[:, None, None] * (1 + arms * ratio[:, None])
        m0 = m0[:, None, None]
        worst = (
            np.maximum(line[..., None], arms * (1 - m0))
            if above
            else np.maximum(1 - line[..., None], arms * m0)
        )
        bets = np.minimum(beyond / (spread + beyond**2), mean.LOSS_MAX / worst) * (1 if above else -1)
        found = np.zeros(bets.shape)
        for index, value in enumerate(self.values.tolist()):
            found += self.one[:, index, None, None] * np.log1p(bets * (value - line[..., None]))
            found += self.zero[:, index, None, None] * np.log1p(bets * arms * (m0 - value))
        both = (n >= _EVENTS_MIN) & (self.one.sum(1) > 0) & (self.zero.sum(1) > 0)
        return np.asarray(found * both[:, None, None])


def _column(values: Floats) -> Floats:
    return values[:, None]


Evidence = Callable[[Floats], tuple[Floats, Floats]]


def _inverted(
    log_e: Evidence, estimate: float, spread: float, bounds: tuple[float, float], needed: float
) -> Interval:
    """What neither side rejects, rounded outwards to the differences that were tried."""
    low, high = bounds
    grid = np.unique(np.clip(np.concatenate([
        np.linspace(estimate - spread, estimate + spread, _TRIED), np.linspace(low, high, _TRIED // 2),
    ]), low, high))  # fmt: skip
    outside = bounds
    for _ in range(_ROUNDS):
        above, below = log_e(grid)
        open_ = np.flatnonzero((above < needed) & (below < needed))
        if not open_.size:
            return Interval(estimate, None, None, empty=True)
        first, last = int(open_[0]), int(open_[-1])
        outside = float(grid[max(first - 1, 0)]), float(grid[min(last + 1, len(grid) - 1)])
        finer = np.linspace(outside[0], grid[first], 9), np.linspace(grid[last], outside[1], 9)
        grid = np.unique(np.concatenate([grid[first : last + 1], *finer]))
    return Interval(
        estimate, None if outside[0] <= low else outside[0], None if outside[1] >= high else outside[1]
    )


def rate_increments(cumulative: Sequence[tuple[int, int]]) -> Floats:
    """What each look of a stage found new, from cumulative (requests, events), as `process.Process` takes it.

    Never negative (a corrected feedback), never more events than requests (a late one waits for its turn).
    """
    rows, requests, events = [], 0, 0
    for now_requests, now_events in cumulative:
        new = max(now_requests - requests, 0)
        bad = min(max(now_events - events, 0), new)
        requests, events = requests + new, events + bad
        rows.append((new, bad))
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def histogram_increments(cumulative: Sequence[Floats]) -> Floats:
    """The same for histograms: a row per look, over the same bins."""
    rows = np.array(cumulative, dtype=np.float64)
    return np.asarray(np.maximum(np.diff(rows, axis=0, prepend=np.zeros((1, rows.shape[1]))), 0))
