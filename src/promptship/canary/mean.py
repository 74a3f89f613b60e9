"""Anytime-valid evidence about two means: values in 0..1, lower is better, bounded and nothing else assumed (statistics 2(b)).

The null is linear as for rates (`eprocess.Null`): harm speaks against {m1 <= ratio*m0 + shift}, safety against {m1 >= ratio*m0 +
shift}. With c the mean of stable predicted from earlier looks, s = 1 for harm and -1 for safety, and r = n1/n0 of the look, a value y
multiplies the capital by

    candidate:  1 + l s (y - ratio c - shift)          stable:  1 + l s r ratio (c - y)

Of means a1 and a0, n1 a1 + n0 a0 = (n1 + n0) + l s n1 (m1 - ratio m0 - shift) <= n1 + n0 under the null, whatever c is. By the
inequality of means a1^n1 a0^n0 <= 1: a look's product is an e-variable given n1 and n0, exactly as for rates (decision 0008). It is
betting on bounded means (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting") for two samples.

l is D/(V + D^2), the bet that grows fastest if the mean lies D beyond the line and V is the variance that one candidate value brings
with its stable ones; it is cut so that no single value can take more than `LOSS_MAX` of the capital. Alternatives D are those of
rates (`eprocess.alternatives`): a score of only 0 and 1 is a rate, and its evidence moves like one's.

All functions broadcast over numpy arrays, releases first, then alternatives.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from promptship.canary.eprocess import Floats, Null, Side, alternatives

LOSS_MAX: Final = 0.9
"""Part of the capital that the worst single value can take: evidence never falls to exactly nothing."""
VARIANCE_MIN: Final = 1e-6
"""Values that never differed so far still may."""


def predicted_mean(total: ArrayLike, requests: ArrayLike) -> Floats:
    """Mean of stable as seen before this look, with one value of 1/2 added, as `eprocess.predicted_rate` does."""
    mean = (np.asarray(total, dtype=np.float64) + 0.5) / (np.asarray(requests, dtype=np.float64) + 1.0)
    return np.clip(mean, 1e-5, 1 - 1e-5)


def predicted_variance(total: ArrayLike, squares: ArrayLike, requests: ArrayLike) -> Floats:
    """Variance of stable's values as seen before this look, with half a 0 and half a 1 added: for 0 and 1 it is m (1 - m)."""
    mean = predicted_mean(total, requests)
    square = (np.asarray(squares, dtype=np.float64) + 0.5) / (np.asarray(requests, dtype=np.float64) + 1.0)
    return np.maximum(square - mean**2, VARIANCE_MIN)


def bets(null: Null, mean: Floats, variance: Floats, ratio_of_arms: Floats) -> Floats:
    """The bets l, one per alternative (last axis), for predicted stable `mean` and `variance`; `ratio_of_arms` is n1/n0."""
    ratio, shift = _parts(null)
    beyond = np.abs(alternatives(null, mean) - null.boundary(mean)[..., None])
    line = (ratio * mean + shift)[..., None]
    scaled = (ratio_of_arms * ratio)[..., None]
    best = beyond / (variance[..., None] * (1 + scaled * ratio[..., None]) + beyond**2)
    mean = mean[..., None]
    if null.side is Side.HARM:
        worst = np.maximum(line, scaled * (1 - mean))
    else:
        worst = np.maximum(1 - line, scaled * mean)
    return np.asarray(np.minimum(best, LOSS_MAX / worst))


def log_growth(
    null: Null,
    mean: ArrayLike,
    variance: ArrayLike,
    values: Floats,
    candidate: Floats,
    stable: Floats,
) -> Floats:
    """Log of each alternative's e-variable for new histograms: how often each of `values` (0..1) came in either arm.

    Histograms have the values on their last axis; 0 while one arm has no value.
    """
    mean, variance = np.asarray(mean, dtype=np.float64), np.asarray(variance, dtype=np.float64)
    n1, n0 = candidate.sum(axis=-1), stable.sum(axis=-1)
    both = (n1 > 0) & (n0 > 0)
    arms = np.divide(n1, n0, out=np.ones_like(n1, dtype=np.float64), where=both)
    ratio, shift = _parts(null)
    sign = 1.0 if null.side is Side.HARM else -1.0
    bet = sign * bets(null, mean, variance, arms)
    above = values - (ratio * mean + shift)[..., None]
    below = (arms * ratio)[..., None] * (mean[..., None] - values)
    growth = (candidate[..., None, :] * np.log1p(bet[..., None] * above[..., None, :])).sum(axis=-1)
    growth = growth + (stable[..., None, :] * np.log1p(bet[..., None] * below[..., None, :])).sum(axis=-1)
    return np.where(both[..., None], growth, 0.0)


def information(null: Null, beyond: float, variance: float, share: float) -> float:
    """About the growth per candidate request, in nats, if the candidate's mean lies `beyond` the line and that is bet on."""
    ratio = float(null.ratio)
    spread = variance * (1 + ratio**2 * share / (1 - share))
    return beyond**2 / (2 * (spread + beyond**2))


def _parts(null: Null) -> tuple[Floats, Floats]:
    return np.asarray(null.ratio, dtype=np.float64), np.asarray(null.shift, dtype=np.float64)
