"""What promptfoo adds up per column, one row at a time: memory does not grow with the rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from promptship.evals.promptfoo.arithmetic import Compiled, Unreadable, compiled
from promptship.evals.promptfoo.scoring import counts_as_passed
from promptship.evals.rows import Asserted, Row
from promptship.evals.score import Scored
from promptship.evals.services import Usage


@dataclass(frozen=True, slots=True)
class Derived:
    """A metric computed from the others."""

    name: str
    value: Compiled


def derived_metrics(
    raw: Sequence[Mapping[str, Any]],
) -> tuple[tuple[Derived, ...], tuple[tuple[str, str], ...]]:
    """Those that can be computed here, and for each other one its name and why not."""
    ready: list[Derived] = []
    left: list[tuple[str, str]] = []
    for metric in raw:
        name, value = str(metric.get("name", "")), metric.get("value")
        try:
            if not isinstance(value, str):
                left.append((name, "its value is no expression"))
                continue
            ready.append(Derived(name, compiled(value)))
        except Unreadable as error:
            left.append((name, str(error)))
    return tuple(ready), tuple(left)


@dataclass(slots=True)
class Tokens:
    """Tokens of the answers and, apart from them, of the judges."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    total: int = 0
    requests: int = 0
    judges: int = 0
    """Tokens of judges in all."""
    judging: Usage = field(default_factory=Usage)

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            prompt=self.prompt + other.prompt, completion=self.completion + other.completion, cached=self.cached + other.cached,
            total=self.total + other.total, requests=self.requests + other.requests, judges=self.judges + other.judges,
            judging=self.judging + other.judging,
        )  # fmt: skip

    def add(self, row: Row, *, asked: bool) -> None:
        """Count a row in. `asked`: a provider was asked for it."""
        spent = (row.tokens_in or 0) + (row.tokens_out or 0)
        self.prompt += row.tokens_in or 0
        self.completion += row.tokens_out or 0
        self.total += spent
        self.cached += spent if row.cached else 0
        self.requests += asked and bool(row.answers)
        self.judges += row.judge_tokens
        self.judging += judge_usage(row)

    def shape(self) -> dict[str, Any]:
        """As it stands in results."""
        judging = self.judging
        return {
            "prompt": self.prompt, "completion": self.completion, "cached": self.cached, "total": self.total,
            "numRequests": self.requests, "completionDetails": completion_details(),
            "assertions": {
                "total": self.judges, "prompt": judging.prompt, "completion": judging.completion, "cached": judging.cached,
                "numRequests": judging.requests, "completionDetails": completion_details(),
            },
        }  # fmt: skip


def judge_usage(row: Row) -> Usage:
    """Where the tokens of a row's judges went."""
    return sum((one.judge_usage for whole in row.asserted for one in (whole, *whole.parts)), Usage())


def completion_details() -> dict[str, int]:
    """What promptfoo tells of answers besides; nothing of it is counted here."""
    return {
        "reasoning": 0, "acceptedPrediction": 0, "rejectedPrediction": 0, "cacheReadInputTokens": 0,
        "cacheCreationInputTokens": 0,
    }  # fmt: skip


@dataclass(slots=True)
class ColumnMetrics:
    """Sums over the rows of one prompt with one provider."""

    derived: tuple[Derived, ...] = ()
    score: float = 0.0
    passed: int = 0
    failed: int = 0
    errors: int = 0
    asserts_passed: int = 0
    asserts_failed: int = 0
    latency_ms: float = 0.0
    cost_usd: float = 0.0
    tokens: Tokens = field(default_factory=Tokens)
    named: dict[str, float] = field(default_factory=dict)
    """Score times weight, summed; derived metrics stand here too, as they were after the last row."""
    counts: dict[str, int] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)

    def add(self, row: Row, *, asked: bool = True, score: float | None = None) -> None:
        """Count a row in. `asked`: a provider was asked for it; False: its answer stands in the test.

        `score`: what the row's result says, where that is not its own score.
        """
        if isinstance(row.score, Scored):
            self.score += row.score.score if score is None else score
            self.passed += row.score.passed
            self.failed += not row.score.passed
            self._add_asserted(row)
        else:
            self.errors += 1  # and nothing of it is counted further
        self.latency_ms += row.latency_ms or 0.0
        self.cost_usd += row.cost_usd or 0.0
        self.tokens.add(row, asked=asked)
        self._derive()

    def _add_asserted(self, row: Row) -> None:
        flat = flattened(row.asserted)
        for one in flat:
            passed = counts_as_passed(one)
            self.asserts_passed += passed
            self.asserts_failed += not passed
        for name, value in row.named.items():
            count = sum(one.metric == name for one in flat if one.type != "assert-set") or 1
            weight = row.named_weights.get(name, float(count))
            total = value * weight if name in row.named_weights else value
            self.named[name] = self.named.get(name, 0.0) + total
            self.counts[name] = self.counts.get(name, 0) + count
            self.weights[name] = self.weights.get(name, 0.0) + weight

    def _derive(self) -> None:
        names = dict(self.named)
        names["__count"] = self.passed + self.failed + self.errors
        for metric in self.derived:
            self.named.setdefault(metric.name, 0.0)
            try:
                names[metric.name] = self.named[metric.name] = metric.value(names)
            except (ArithmeticError, KeyError, TypeError, ValueError):
                continue  # a name that has no score yet: as in promptfoo the last value stays

    def shape(self) -> dict[str, Any]:
        """As it stands in results."""
        return {
            "score": self.score, "testPassCount": self.passed, "testFailCount": self.failed,
            "testErrorCount": self.errors, "assertPassCount": self.asserts_passed,
            "assertFailCount": self.asserts_failed, "totalLatencyMs": round(self.latency_ms),
            "tokenUsage": self.tokens.shape(),
            "namedScores": {name: finite(value) for name, value in self.named.items()},
            "namedScoresCount": dict(self.counts), "namedScoreWeights": dict(self.weights), "cost": self.cost_usd,
        }  # fmt: skip


def finite(value: Any) -> Any:
    """JSON knows no Infinity and no NaN: null, as JavaScript writes them."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def flattened(asserted: Sequence[Asserted]) -> list[Asserted]:
    """Every assertion and behind it its parts, as results list them. Parts that a script returned bear its metric."""
    flat: list[Asserted] = []
    for one in asserted:
        flat.append(one)
        if one.type == "assert-set":
            flat.extend(one.parts)
        else:
            flat.extend(_named_as(part, one) for part in one.parts)
    return flat


def _named_as(part: Asserted, whole: Asserted) -> Asserted:
    return Asserted(
        label=part.label, turn=part.turn, score=part.score, type=part.type or whole.type, weight=part.weight,
        metric=part.metric or whole.metric,
    )  # fmt: skip
