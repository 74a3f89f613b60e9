"""The arithmetic of holding a judge against people. Pure; labels of one case are alike and count as one fact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import atanh, sqrt, tanh
from statistics import NormalDist

import numpy as np

from promptship.evals.statistics import Floats, mean_of, student, with_one_more


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One answer as a person and as the judge judged it."""

    human: bool
    judge: bool
    case: str = ""
    human_score: float | None = None
    judge_score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A number with two-sided confidence limits."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The table of two by two. Positive: it passes."""

    both_pass: int
    only_judge: int
    only_human: int
    both_fail: int

    @property
    def total(self) -> int:
        """Labels with a verdict."""
        return self.both_pass + self.only_judge + self.only_human + self.both_fail


def counts_of(pairs: Sequence[Pair]) -> Counts:
    """How often each of the four."""
    return Counts(
        both_pass=sum(one.human and one.judge for one in pairs),
        only_judge=sum(one.judge and not one.human for one in pairs),
        only_human=sum(one.human and not one.judge for one in pairs),
        both_fail=sum(not one.human and not one.judge for one in pairs),
    )


def kappa(counts: Counts) -> float | None:
    """Cohen's kappa (1960), -1..1: agreement beyond chance. None: one of the two always says the same, so chance says all."""
    total = counts.total
    if not total:
        return None
    agreed = (counts.both_pass + counts.both_fail) / total
    human, judge = _shares(counts)
    chance = human * judge + (1 - human) * (1 - judge)
    return None if chance >= 1.0 else (agreed - chance) / (1 - chance)


def _shares(counts: Counts) -> tuple[float, float]:
    """Pass rates of the people and of the judge."""
    total = counts.total
    return (counts.both_pass + counts.only_human) / total, (counts.both_pass + counts.only_judge) / total


def kappa_error(counts: Counts) -> float:
    """Large-sample standard error of kappa (Fleiss, Cohen and Everitt 1969), with half a label more in every cell.

    The halves keep it honest when there is no disagreement at all.
    """
    table = np.array(
        [[counts.both_pass, counts.only_human], [counts.only_judge, counts.both_fail]], dtype=np.float64
    )
    table += 0.5
    total = float(table.sum())
    shares = table / total
    human, judge = shares.sum(axis=1), shares.sum(axis=0)
    agreed, chance = float(np.trace(shares)), float(human @ judge)
    value = (agreed - chance) / (1 - chance)
    on = sum(float(shares[i, i]) * (1 - (human[i] + judge[i]) * (1 - value)) ** 2 for i in range(2))
    off = (1 - value) ** 2 * sum(
        float(shares[i, j]) * (judge[i] + human[j]) ** 2 for i in range(2) for j in range(2) if i != j
    )
    variance = on + off - (value - chance * (1 - value)) ** 2
    return float(sqrt(max(0.0, variance) / total) / (1 - chance))


def share(values: Sequence[bool], cases: Sequence[str], alpha: float) -> Measured | None:
    """A share with Wilson's limits (1927), on as many labels as they are worth. None: there is none."""
    if not values:
        return None
    count = len(values) / design_effect(values, cases)
    value, z = sum(values) / len(values), _quantile(alpha, cases)
    middle = (value + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * sqrt(value * (1 - value) / count + z**2 / (4 * count**2))
    return Measured(value=value, low=max(0.0, middle - half), high=min(1.0, middle + half))


def design_effect(values: Sequence[bool], cases: Sequence[str]) -> float:
    """How many labels of these are worth one independent one, at least 1: the variance by cases over that by labels."""
    groups = units(cases)
    count, single = len(values), np.asarray(values, dtype=np.float64)
    mean = float(single.mean())
    plain = mean * (1 - mean) / count
    if plain <= 0 or len(groups) in {1, count}:
        return float(count) / len(groups)
    sums = np.array([float((single[group] - mean).sum()) for group in groups])
    clustered = float((sums**2).sum()) / count**2 * len(groups) / (len(groups) - 1)
    return min(max(1.0, clustered / plain), float(count) / 1.0)


def units(cases: Sequence[str]) -> list[list[int]]:
    """Positions that belong together: those of one case; a label without one is alone."""
    found: dict[str | int, list[int]] = {}
    for position, case in enumerate(cases):
        found.setdefault(case or position, []).append(position)
    return list(found.values())


def kappa_measured(pairs: Sequence[Pair], alpha: float) -> Measured | None:
    """Kappa with its limits; None: not defined."""
    counts = counts_of(pairs)
    value = kappa(counts)
    if value is None:
        return None
    agreed = [one.human == one.judge for one in pairs]
    error = kappa_error(counts) * sqrt(design_effect(agreed, [one.case for one in pairs]))
    half = _quantile(alpha, [one.case for one in pairs]) * error
    return Measured(value=value, low=max(-1.0, value - half), high=min(1.0, value + half))


def bias(pairs: Sequence[Pair], alpha: float) -> Measured:
    """The judge's pass rate minus the people's, -1..1: above 0 it is too kind. At least one pair."""
    groups = units([one.case for one in pairs])
    differences = np.array([float(one.judge) - float(one.human) for one in pairs])
    means = np.array([float(differences[group].mean()) for group in groups])
    weights = np.array([float(len(group)) for group in groups])
    plain = mean_of(means, weights)
    low, high = plain.low(alpha / 2), plain.high(alpha / 2)
    if not plain.error:  # without spread a limit of Student's would be the value itself
        low, high = (
            with_one_more(means, weights, -1.0).low(alpha / 2),
            with_one_more(means, weights, 1.0).high(alpha / 2),
        )
    return Measured(
        value=plain.value, low=max(-1.0, -1.0 if low is None else low), high=min(1.0, 1.0 if high is None else high)
    )  # fmt: skip


def correlation(pairs: Sequence[Pair], alpha: float) -> Measured | None:
    """Spearman's rank correlation of scores, with Bonett and Wright's limits (2000). None: fewer than 10 scores, or no spread."""
    scores = [
        (one.human_score, one.judge_score)
        for one in pairs
        if one.human_score is not None and one.judge_score is not None
    ]
    if len(scores) < 10:  # noqa: PLR2004 - its limits say nothing below
        return None
    left, right = (_ranks(np.array(side, dtype=np.float64)) for side in zip(*scores, strict=True))
    if not left.std() or not right.std():
        return None
    value = min(1.0, max(-1.0, float(np.corrcoef(left, right)[0, 1])))
    error = sqrt((1 + value**2 / 2) / (len(scores) - 3))
    middle, half = atanh(min(0.999999, max(-0.999999, value))), _normal(alpha) * error
    return Measured(value=value, low=tanh(middle - half), high=max(value, tanh(middle + half)))


def _ranks(values: Floats) -> Floats:
    """Ranks, ties share their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts).astype(np.float64)
    ranks: Floats = (ends - (counts - 1) / 2)[inverse]
    return ranks


def _quantile(alpha: float, cases: Sequence[str]) -> float:
    """The normal one; Student's where several labels share a case, because their variance is then estimated from few cases."""
    groups = len(units(cases))
    if groups in {1, len(cases)}:
        return _normal(alpha)
    return student(alpha / 2, groups - 1)


def _normal(alpha: float) -> float:
    return NormalDist().inv_cdf(1 - alpha / 2)
