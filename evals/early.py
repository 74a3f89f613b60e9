"""When a run may stop before its end: nothing that is still to be asked could change the outcome.

That is curtailment, not a sequential test: no chance of error is added, so no correction is needed. The price is modest
savings: a suite that passes is certain only late. A regression is often certain early, and that is where money is lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np

from promptship.evals.rows import Arm, CaseFacts, Row
from promptship.evals.score import Unscored
from promptship.evals.statistics import Floats, by_topic, student
from promptship.evals.suite_file import Severity
from promptship.evals.verdict import Rules, SuiteOutcome


@dataclass(frozen=True, slots=True)
class _Reach:
    """Least and greatest pass share a case can still come to with one arm."""

    low: float
    high: float


class Curtailment:
    """Follows a run of candidate against stable.

    Args:
        cases: of the suite, those that both arms are asked.
        trials: of each case, per arm.
        arms: `candidate` alone, or with `stable`.
        rules: by which the verdict will be given.
    """

    def __init__(
        self, cases: Iterable[CaseFacts], trials: Mapping[str, int], arms: Iterable[Arm], rules: Rules
    ) -> None:
        self._cases = tuple(cases)
        self._trials = trials
        self._arms = tuple(arms)
        self._rules = rules
        self._passed: Counter[tuple[str, Arm]] = Counter()
        self._failed: Counter[tuple[str, Arm]] = Counter()
        self._unscored = 0
        self._weights = np.array([case.weight for case in self._cases])
        self._topics = [case.topic for case in self._cases]

    def add(self, row: Row) -> None:
        """Count one finished trial."""
        key = (row.case, row.arm)
        if isinstance(row.score, Unscored):
            self._unscored += 1
        elif row.score.passed:
            self._passed[key] += 1
        else:
            self._failed[key] += 1

    def certain(self) -> SuiteOutcome | None:
        """The outcome that every completion of the run has; None: it is still open. Missing scores keep it open.

        Of the two that reject, the run to its end may name the other one: what was lost first is not all that would be lost.
        """
        if self._unscored or not self._cases:
            return None
        candidate = [self._reach(case, "candidate") for case in self._cases]
        if self._below_floor(candidate):
            return SuiteOutcome.BELOW_FLOOR
        if "stable" not in self._arms:
            return None
        stable = [self._reach(case, "stable") for case in self._cases]
        blocking = [case.severity is Severity.BLOCKING for case in self._cases]
        pairs = list(zip(candidate, stable, strict=True))
        if any(
            must and now.high == 0.0 and before.low > 0.0
            for must, (now, before) in zip(blocking, pairs, strict=True)
        ):
            return SuiteOutcome.REGRESSED
        low = np.array([now.low - before.high for now, before in pairs])
        high = np.array([now.high - before.low for now, before in pairs])
        could_be_lost = any(
            must and now.low == 0.0 and before.high > 0.0
            for must, (now, before) in zip(blocking, pairs, strict=True)
        )
        return self._by_limits(low, high, could_be_lost=could_be_lost)

    def _reach(self, case: CaseFacts, arm: Arm) -> _Reach:
        passed, failed = self._passed[case.id, arm], self._failed[case.id, arm]
        trials = self._trials[case.id]
        best = trials - failed
        if case.passes_min is not None:
            return _Reach(float(passed >= case.passes_min), float(best >= case.passes_min))
        return _Reach(passed / trials, best / trials)

    def _below_floor(self, candidate: list[_Reach]) -> bool:
        best = float((self._weights * [reach.high for reach in candidate]).sum() / self._weights.sum())
        return best < self._rules.pass_rate_min - 1e-9

    def _by_limits(self, low: Floats, high: Floats, *, could_be_lost: bool) -> SuiteOutcome | None:
        """Bounds of the two limits over all completions, from the worst mean together with the widest spread."""
        low, weights = by_topic(low, self._weights, self._topics)
        high, _ = by_topic(high, self._weights, self._topics)
        if len(low) < 2:  # noqa: PLR2004 - one fact has no spread
            return None
        alpha = self._rules.alpha
        # Non-inferiority is judged with one imagined case of average weight at -1 (`statistics.with_one_more`).
        imagined = np.append(weights, weights.mean())
        worst = _least_low(np.append(low, -1.0), np.append(high, -1.0), imagined, alpha)
        floor_open = self._rules.pass_rate_min > 0.0
        if worst > -self._rules.margin and not could_be_lost and not floor_open:
            return SuiteOutcome.PASSED
        # A drop that every completion shows, and that no completion brings inside the margin: a lower limit is below its mean.
        best = _mean(np.append(high, -1.0), imagined)
        shown = _greatest_high(low, high, weights, alpha) < 0.0 and 0.5 ** len(low) <= alpha
        return SuiteOutcome.REGRESSED if shown and best <= -self._rules.margin else None


def _mean(values: Floats, weights: Floats) -> float:
    return float((weights * values).sum() / weights.sum())


def _widest_error(low: Floats, high: Floats, weights: Floats) -> float:
    """An upper bound of the standard error of the mean over every point of the box.

    The spread around the mean is at most the spread around any centre, so the centre of the box bounds all of it.
    """
    total, count = float(weights.sum()), len(low)
    centre = _mean((low + high) / 2, weights)
    farthest = np.maximum(np.abs(low - centre), np.abs(high - centre))
    # With unequal weights the sum is around the weighted mean, which minimises sum(w d^2), not sum(w^2 d^2): allow for it.
    shift = float(np.max(np.abs(_mean_range(low, high, weights) - centre)))
    spread = float((weights**2 * (farthest + shift) ** 2).sum()) * count / (count - 1)
    return sqrt(spread) / total


def _mean_range(low: Floats, high: Floats, weights: Floats) -> Floats:
    return np.array([_mean(low, weights), _mean(high, weights)])


def _freedom(weights: Floats) -> float:
    return max(float(weights.sum()) ** 2 / float((weights**2).sum()) - 1.0, 1.0)


def _least_low(low: Floats, high: Floats, weights: Floats, alpha: float) -> float:
    return _mean(low, weights) - student(alpha, _freedom(weights)) * _widest_error(low, high, weights)


def _greatest_high(low: Floats, high: Floats, weights: Floats, alpha: float) -> float:
    return _mean(high, weights) + student(alpha, _freedom(weights)) * _widest_error(low, high, weights)
