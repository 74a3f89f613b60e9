"""Types that compare the answers of all arms. Alone they say nothing: `promptship.evals.judges.settling` decides them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from promptship.evals.assertions.base import AssertionSpec, BuildContext, Dialect, invalid
from promptship.evals.assertions.judged_making import answer_of, only
from promptship.evals.assertions.judged_prompts import Orders, orders
from promptship.evals.score import Judged, Subject, Unscored

SELECT_BEST: Final = "select-best"
MAX_SCORE: Final = "max-score"
PAIRWISE: Final = "pairwise"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What is to be compared, once all answers are there. As an assertion about one answer it has no score."""

    type: str
    label: str
    weight: float = 1.0
    """What it weighs in the trial's score when it is decided."""
    metric: str | None = None
    orders: Orders = field(default_factory=lambda: Orders(order="best"))
    criterion: str = ""
    who: Any = None
    summed: bool = False
    """max-score: the sum of the scores instead of their mean."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """max-score: of scores, by type of assertion; 1 for the others."""
    threshold: float | None = None
    """max-score: least score of a winner."""

    async def judge(self, _subject: Subject) -> Judged:
        """Never a score."""
        return Judged(Unscored("it is decided when the answers of all arms are there"))


def chosen(spec: AssertionSpec, context: BuildContext) -> Compared:
    """`select-best` and `pairwise`. `value`: the criterion."""
    only(spec, context, "rubricPrompt")
    return Compared(
        type=spec.type, label=spec.metric or spec.type, weight=spec.weight, metric=spec.metric, who=spec.provider,
        criterion=answer_of(spec, "a criterion to compare by"), orders=orders("best", spec, context),
    )  # fmt: skip


def max_score(spec: AssertionSpec, context: BuildContext) -> Compared:
    """`value`: `method` (average or sum), `weights` by type of assertion, `threshold`; each may be left out."""
    only(spec, context)
    value = spec.value or {}
    if not isinstance(value, dict):
        raise invalid("value", repr(value)[:60], "expected a mapping with method, weights, threshold")
    unknown = sorted(set(value) - {"method", "weights", "threshold"})
    if unknown and context.dialect is Dialect.NATIVE:
        raise invalid(
            f"value.{unknown[0]}", repr(value[unknown[0]])[:60], "expected method, weights or threshold"
        )
    method, weights, threshold = (
        value.get("method", "average"),
        value.get("weights") or {},
        value.get("threshold"),
    )
    if method not in {"average", "sum"} and context.dialect is Dialect.NATIVE:
        raise invalid("value.method", repr(method)[:60], "expected average or sum")
    if not isinstance(weights, dict) or not all(_is_weight(weight) for weight in weights.values()):
        raise invalid("value.weights", repr(weights)[:60], "expected a weight of at least 0 per type")
    if threshold is not None and (isinstance(threshold, bool) or not isinstance(threshold, int | float)):
        raise invalid("value.threshold", repr(threshold)[:60], "expected a number")
    return Compared(
        type=spec.type, label=spec.metric or spec.type, weight=spec.weight, metric=spec.metric,
        summed=method == "sum", weights=weights, threshold=threshold,
    )  # fmt: skip


def _is_weight(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    )
