"""Several scores become one: of a trial, of an assert-set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from promptship.evals.score import Score, Scored, Unscored

_ROUNDING: Final = 1e-12  # 0.1 + 0.2 reaches 0.3


class Labelled(Protocol):
    """A score with a name: `Asserted` of a trial, `Part` of an assert-set."""

    @property
    def label(self) -> str:
        """Shown in reasons."""
        ...

    @property
    def score(self) -> Score:
        """What was measured."""
        ...


def combined(
    asserted: Sequence[Labelled],
    weights: Sequence[float],
    threshold: float | None,
    *,
    vetoes: Sequence[Labelled] = (),
) -> Score:
    """Weighted mean of the scores; what weighs 0 has no vote.

    Without `threshold` it passes exactly when no vote failed; with it, exactly when the mean reaches it, even if votes failed.
    A missing score (taken as anything in 0..1) makes the whole Unscored only when it could change the result; the mean is
    then that of the measured ones. Without any vote the mean is 0. `vetoes` weigh nothing, but without `threshold` have to pass.
    """
    voting = [(one, weight) for one, weight in zip(asserted, weights, strict=True) if weight > 0]
    measured = [(one.label, one.score, weight) for one, weight in voting if isinstance(one.score, Scored)]
    missing = [(one.label, one.score, weight) for one, weight in voting if isinstance(one.score, Unscored)]
    known = sum(weight for _, _, weight in measured)
    reached = sum(score.score * weight for _, score, weight in measured)
    mean = reached / known if known else 0.0
    failed = [f"{label}: {score.reason}" for label, score, _ in measured if not score.passed]
    if threshold is None:
        failed += [
            f"{one.label}: {one.score.reason}"
            for one in vetoes
            if isinstance(one.score, Scored) and not one.score.passed
        ]
        missing += [(one.label, one.score, 0.0) for one in vetoes if isinstance(one.score, Unscored)]
        surely_failed, surely_passed = bool(failed), not failed and not missing
    else:
        open_weight = sum(weight for _, _, weight in missing)
        total = known + open_weight or 1.0
        surely_failed = (reached + open_weight) / total < threshold - _ROUNDING
        surely_passed = reached / total >= threshold - _ROUNDING
    if surely_passed:
        return Scored(True, mean)
    if surely_failed:
        return Scored(False, mean, "; ".join(failed) or f"score {mean:.2f}, wanted {threshold}")
    label, first, _ = missing[0]
    return Unscored(f"{label}: {first.reason}", first.detail)


def weighted_means(named: Iterable[tuple[str, float, float]]) -> dict[str, float]:
    """Weighted mean per metric, of metric, score and weight; plain mean when all weights of a metric are 0."""
    found: dict[str, list[tuple[float, float]]] = {}
    for metric, score, weight in named:
        found.setdefault(metric, []).append((score, weight))
    means = {}
    for metric, scores in found.items():
        total = sum(weight for _, weight in scores)
        plain = sum(score for score, _ in scores) / len(scores)
        means[metric] = sum(score * weight for score, weight in scores) / total if total else plain
    return means
