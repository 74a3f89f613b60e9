"""The arithmetic of comparing two versions on the same cases. Pure; the case is the unit, never the single trial.

Trials of one case are alike, so N cases with K trials are not N*K facts: pooling them called 17 % of unchanged prompts
worse at 100 x 5. Each case gives one difference of pass shares, and the test is on those (Student's t, one-sided).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt

import numpy as np
from numpy.typing import NDArray

from promptship.evals.student import lower, quantile

POWER = 0.8
"""With which the minimum detectable drop would be seen."""

Floats = NDArray[np.float64]


def pass_at_k(trials: int, passed: int, k: int) -> float:
    """Chance that at least one of k trials passes, from `passed` of `trials`: 1 - C(n-c, k) / C(n, k). 1 <= k <= trials."""
    _check_k(trials, passed, k)
    return 1.0 - comb(trials - passed, k) / comb(trials, k)


def pass_hat_k(trials: int, passed: int, k: int) -> float:
    """Chance that all of k trials pass (pass^k), from `passed` of `trials`: C(c, k) / C(n, k). 1 <= k <= trials."""
    _check_k(trials, passed, k)
    return comb(passed, k) / comb(trials, k)


def _check_k(trials: int, passed: int, k: int) -> None:
    if not (1 <= k <= trials and 0 <= passed <= trials):
        raise ValueError(
            f"k={k}, passed={passed}, trials={trials}: want 1 <= k <= trials and 0 <= passed <= trials"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A weighted mean over cases with its standard error (None below two cases) and degrees of freedom.

    With equal weights the ordinary mean and s / sqrt(n); with others the linearised (Hajek) ratio and Kish's effective n.
    """

    value: float
    error: float | None
    freedom: float

    def low(self, alpha: float) -> float | None:
        """One-sided lower confidence limit at 1 - alpha; None when nothing can be said."""
        return None if self.error is None else self.value - student(alpha, self.freedom) * self.error

    def high(self, alpha: float) -> float | None:
        """One-sided upper confidence limit at 1 - alpha; None when nothing can be said."""
        return None if self.error is None else self.value + student(alpha, self.freedom) * self.error


def mean_of(values: Floats, weights: Floats) -> Mean:
    """Mean over at least one case; weights are positive."""
    total = float(weights.sum())
    value = float((weights * values).sum()) / total
    effective = total**2 / float((weights**2).sum())
    count = len(values)
    if count < 2:  # noqa: PLR2004 - one case has no spread
        return Mean(value=value, error=None, freedom=0.0)
    spread = float((weights**2 * (values - value) ** 2).sum()) * count / (count - 1)
    # A rounding residue of equal values is no spread.
    error = sqrt(spread) / total if spread > 1e-24 * total**2 else 0.0
    return Mean(value=value, error=error, freedom=max(effective - 1.0, 1.0))


def by_topic(values: Floats, weights: Floats, topics: Sequence[str]) -> tuple[Floats, Floats]:
    """One value per topic: the weighted mean of its cases, with their weights together. An empty topic is a case of its own.

    Cases of one topic fail together; counting them one by one would call a chance of one topic a proof. The mean over all
    stays the same, and the error becomes the cluster-robust one of the linearised mean.
    """
    names = [topic or f"\0{number}" for number, topic in enumerate(topics)]
    _, index = np.unique(names, return_inverse=True)
    together = np.asarray(np.bincount(index, weights), dtype=np.float64)
    return np.bincount(index, weights * values) / together, together


def student(alpha: float, freedom: float) -> float:
    """Quantile 1 - alpha of Student's t."""
    return quantile(1.0 - alpha, freedom)


def with_one_more(values: Floats, weights: Floats, worst: float) -> Mean:
    """Mean with one more case of average weight at the worst possible value.

    A t limit believes that what it has not seen does not exist: with flips in 5 of 100 cases it declares "no drop of 5
    points" falsely in 12 %, with 20 cases in 36 %. One imagined worst case brings that below alpha in every setting
    simulated (tests/property/test_evals_error_rates.py) and, when no case differs, comes close to the exact bound
    1 - alpha ** (1 / n).
    """
    return mean_of(np.append(values, worst), np.append(weights, weights.mean()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Differences candidate - stable of pass shares, over cases that have both."""

    cases: int
    mean: float
    error: float | None
    """Standard error of the mean; None with one case."""
    low: float
    """Lower limit of the mean with one imagined case at -1: what non-inferiority is judged by."""
    high: float | None
    """Upper limit of the mean: below 0 a drop is shown. None when the cases cannot say (see `shown_worse`)."""
    p_drop: float | None
    """One-sided p-value of "no drop"; None with fewer than two cases."""
    detectable_drop: float
    """Smallest true drop that a suite like this shows with 80 % power, 0..1."""


def paired(differences: Floats, weights: Floats, trials: int, alpha: float) -> Paired:
    """Compare over at least one case. `trials`: scored trials per version in all, for the case of complete separation."""
    plain = mean_of(differences, weights)
    guarded = with_one_more(differences, weights, -1.0)
    low = guarded.low(alpha)
    error = plain.error or guarded.error
    freedom = plain.freedom if plain.error else guarded.freedom
    reach = student(alpha, freedom) + student(1.0 - POWER, freedom)
    p_drop = _p_drop(differences, plain, trials)
    return Paired(
        cases=len(differences),
        mean=plain.value,
        error=plain.error,
        low=max(-1.0, -1.0 if low is None else low),  # never None: the imagined case is at least the second
        high=plain.high(alpha) if plain.error else None,
        p_drop=p_drop,
        detectable_drop=min(1.0, reach * (error or 1.0)),
    )


def _p_drop(differences: Floats, plain: Mean, trials: int) -> float | None:
    """Student's t. Without any spread the exact sign test, and Fisher's exact test when every trial turned from pass to fail."""
    if plain.error:
        return lower(plain.freedom, plain.value / plain.error)
    if plain.value >= 0:
        return 1.0 if plain.error is not None else None
    enough = min(trials, 50)  # 1 in 10^29 already
    every_trial = 1 / comb(2 * enough, enough) if plain.value <= -1.0 else 1.0
    sign = 0.5 ** len(differences)
    if plain.error is None:
        return every_trial if every_trial < 1.0 else None
    return min(sign, every_trial)
