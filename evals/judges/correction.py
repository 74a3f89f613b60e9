"""The pass rate that people would have given, from the judge's pass rate and a calibration."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import sqrt
from statistics import NormalDist
from typing import Final

from promptship.evals.judges.calibration import Calibration, Moments
from promptship.evals.score import Unscored
from promptship.evals.statistics import student

SEES_MIN: Final = 0.1
"""Below this sum of sensitivity and specificity minus 1 a judge tells good from bad hardly better than a coin."""


class Assuming(StrEnum):
    """What the labelled answers and those of the suite have in common.

    The first gives the shorter interval, half as long, and is right only when people labelled a random sample of these very
    answers: with 200 labels and a suite that is 6 points better than what was labelled, its 95 % interval held the truth in
    59 % of simulated runs; that of the second in 97 %, at any difference.
    """

    SAME_ANSWERS = (
        "same answers"  # the labelled ones are a random sample of such answers: prediction-powered inference
    )
    SAME_ERRORS = "same errors"  # only the judge's sensitivity and specificity are the same: Rogan and Gladen


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """A pass rate with two-sided limits at 1 - alpha, 0..1."""

    rate: float
    low: float
    high: float
    judged: float
    """As the judge gave it."""
    weight: float
    """How far the judge's verdicts on the suite count: 0 (the labels alone say it) to 1."""
    assuming: Assuming
    drift: float
    """How many standard errors the judge's pass rate on the suite lies from that on the labels. Beyond 2 or 3 the labelled
    answers are not like the suite's: label some of those."""


def corrected_pass_rate(
    rate: float,
    cases: int,
    calibration: Calibration,
    *,
    spread: float | None = None,
    assuming: Assuming = Assuming.SAME_ERRORS,
    alpha: float = 0.05,
) -> Corrected | Unscored:
    """The corrected pass rate of a suite that was judged.

    Args:
        rate: the judge's pass rate, 0..1.
        cases: how many cases it is the mean of, none of them among the labelled; at least 1.
        calibration: of the same judge and rubrics (`outdated`).
        spread: variance of the pass rate between cases; without it that of a single trial, which is never less.
        assuming: what the method rests on.
        alpha: of the limits.

    Unscored: the judge cannot tell good from bad, so nothing follows from its verdicts (`SAME_ERRORS` only).
    """
    if not 0 <= rate <= 1 or cases < 1:
        raise ValueError(f"rate {rate}, cases {cases}: want a rate from 0 to 1 of at least one case")
    spread = rate * (1 - rate) if spread is None else spread
    drift = _drift(rate, spread / cases, calibration.moments)
    if assuming is Assuming.SAME_ERRORS:
        return _rogan_gladen(rate, spread / cases, calibration, alpha, drift)
    return _prediction_powered(rate, spread, cases, calibration.moments, alpha, drift)


def _drift(rate: float, variance: float, moments: Moments) -> float:
    error = sqrt(variance + moments.variance_judge / moments.cases)
    difference = abs(rate - moments.mean_judge)
    return difference / error if error else (0.0 if difference < 1e-12 else float("inf"))  # noqa: PLR2004 - rounding


def _prediction_powered(
    rate: float, spread: float, cases: int, moments: Moments, alpha: float, drift: float
) -> Corrected:
    """PPI++ for a mean (Angelopoulos, Duchi and Zrnic 2023), with the weight that makes the interval shortest.

    rate = mean(y) + w (rate of the suite - mean(f)); w = cov(y, f) / ((1 + n/N) var(f)), kept in 0..1.
    """
    few, many = moments.cases, cases
    wanted = (1 + few / many) * moments.variance_judge
    weight = min(1.0, max(0.0, moments.covariance / wanted)) if wanted else 0.0
    value = moments.mean_human + weight * (rate - moments.mean_judge)
    rest = moments.variance_human - 2 * weight * moments.covariance + weight**2 * moments.variance_judge
    error = sqrt(max(0.0, rest) / few + weight**2 * spread / many)
    half = student(alpha / 2, few - 1) * error
    return _corrected(value, half, rate, weight, Assuming.SAME_ANSWERS, drift)


def _rogan_gladen(
    rate: float, variance: float, calibration: Calibration, alpha: float, drift: float
) -> Corrected | Unscored:
    """(rate + specificity - 1) / (sensitivity + specificity - 1): Rogan and Gladen (1978).

    Limits of Lang and Reiczigel (2014), who add a success and a failure to each.
    """
    counts = calibration.counts
    good, bad = counts.both_pass + counts.only_human, counts.only_judge + counts.both_fail
    sensitivity, specificity = (counts.both_pass + 1) / (good + 2), (counts.both_fail + 1) / (bad + 2)
    sees = sensitivity + specificity - 1
    if sees < SEES_MIN:
        return Unscored("the judge tells good answers from bad ones hardly better than a coin")
    value = min(1.0, max(0.0, (rate + specificity - 1) / sees))
    of_judge = value**2 * sensitivity * (1 - sensitivity) / (good + 2)
    of_judge += (1 - value) ** 2 * specificity * (1 - specificity) / (bad + 2)
    half = NormalDist().inv_cdf(1 - alpha / 2) * sqrt(variance + of_judge) / sees
    return _corrected(value, half, rate, 1.0, Assuming.SAME_ERRORS, drift)


def _corrected(
    value: float, half: float, judged: float, weight: float, assuming: Assuming, drift: float
) -> Corrected:
    value = min(1.0, max(0.0, value))
    return Corrected(
        rate=value, low=max(0.0, value - half), high=min(1.0, value + half), judged=judged, weight=weight,
        assuming=assuming, drift=drift,
    )  # fmt: skip
