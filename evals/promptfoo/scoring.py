"""How the scores of a row's assertions add up, in promptfoo's way: aggregate, threshold, scores by metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from promptship.evals.combining import combined
from promptship.evals.promptfoo.assertion_types import SET
from promptship.evals.rows import Asserted
from promptship.evals.score import Score, Scored, Unscored

UNASKED: Final = Scored(True, 1.0, "no assertions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One assertion, or a whole assert-set, as it counts in what it belongs to."""

    asserted: Asserted
    named: Mapping[str, float] = field(default_factory=dict)
    """Further scores by name: what a script returned, what the members of a set had."""
    named_weights: Mapping[str, float] = field(default_factory=dict)
    """What those weigh; 1 where nothing is said."""
    excuses: bool = False
    """It failed, and that is fine: a guardrail that stopped an attack passes the row whatever else was said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """What a row, or an assert-set, comes to."""

    score: Score
    named: Mapping[str, float] = field(default_factory=dict)
    """Weighted mean by metric; 0 for a metric whose assertions all weigh 0. A metric nobody could measure is absent."""
    named_weights: Mapping[str, float] = field(default_factory=dict)


def total(votes: Sequence[Vote], threshold: float | None) -> Total:
    """The whole of its parts.

    Without `threshold` it passes exactly when no vote that weighs something failed; with it, exactly when the weighted mean
    reaches it, even if votes failed. Without any vote the mean is 0. A set that weighs nothing adds nothing, but its failure counts.
    """
    asserted = [vote.asserted for vote in votes]
    weightless_sets = [one for one in asserted if one.type == SET and not one.weight]
    score = combined(asserted, [one.weight for one in asserted], threshold, vetoes=weightless_sets)
    if any(vote.excuses for vote in votes):
        mean = score.score if isinstance(score, Scored) else 0.0
        score = Scored(True, mean, "a guardrail of the provider stopped the attack")
    sums: dict[str, float] = {}
    weights: dict[str, float] = {}
    for vote in votes:
        one = vote.asserted
        if one.metric and isinstance(one.score, Scored):
            _add(sums, weights, one.metric, one.score.score, one.weight)
        for name, value in vote.named.items():
            if name != one.metric:
                _add(sums, weights, name, value, vote.named_weights.get(name, 1.0) * one.weight)
    means = {name: sums[name] / weights[name] if weights[name] > 0 else 0.0 for name in sums}
    return Total(score=score, named=means, named_weights=weights)


def _add(sums: dict[str, float], weights: dict[str, float], name: str, value: float, weight: float) -> None:
    sums[name] = sums.get(name, 0.0) + value * weight
    weights[name] = weights.get(name, 0.0) + weight


def with_missing_as_zero(score: float, parts: Sequence[Asserted]) -> float:
    """The score of a whole as promptfoo writes it: a part without a result counts as 0. Ours is the mean of what was measured."""
    if not any(_lacks(one) for one in parts):
        return score
    weight = sum(one.weight for one in parts)
    return sum(_value(one) * one.weight for one in parts) / weight if weight else score


def _lacks(one: Asserted) -> bool:
    return isinstance(one.score, Unscored) or (one.type == SET and any(map(_lacks, one.parts)))


def _value(one: Asserted) -> float:
    if isinstance(one.score, Unscored):
        return 0.0
    return with_missing_as_zero(one.score.score, one.parts) if one.type == SET else one.score.score


def counts_as_passed(one: Asserted) -> bool:
    """Whether promptfoo's results call it passed: what weighs nothing always, but not a set."""
    weightless = not one.weight and one.type != SET
    return weightless or (isinstance(one.score, Scored) and one.score.passed)
