"""What an assertion says about one answer: a score, or openly no score.

"Not measured" is a type, never a number: a judge that timed out is neither a pass nor a zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Scored:
    """A measured result. `score` is in 0..1; `reason` may quote the answer and therefore never goes to ledger or logs."""

    passed: bool
    score: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Unscored:
    """No result, and why. `reason` never quotes prompt or answer (ledger, Slack); `detail` may, and stays in the rows."""

    reason: str
    detail: str = ""


Score = Scored | Unscored


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One job for the limited process (`promptship.evals.checks_worker`); `arguments` must be JSON.

    `limit_s` None means the pool's default.
    """

    operation: str
    arguments: Mapping[str, Any]
    limit_s: float | None = None


class Checker(Protocol):
    """Runs checks where they can do little harm: patterns, JSON Schemas and Python of a suite."""

    async def check(self, check: Check) -> Score:
        """Score of one check; a crash, a timeout or too much memory is `Unscored`."""
        ...


class Judge(Protocol):
    """A model that grades an answer against a rubric."""

    async def grade(self, rubric: str, subject: Subject) -> tuple[Score, int]:
        """Score and tokens spent; a failing judge is `Unscored`. Raises Refused (401, 403): no answer can be graded then."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One answer with everything an assertion may look at, and the two services it may ask."""

    output: str
    checker: Checker
    judge: Judge | None = None
    messages: tuple[Mapping[str, Any], ...] = ()
    """What the model was sent, before this answer."""
    vars: Mapping[str, Any] = field(default_factory=dict)
    latency_ms: float | None = None
    """None: not measured."""
    finish_reason: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """Result of one assertion; `judge_tokens` were spent on it."""

    score: Score
    judge_tokens: int = 0


def yes_or_no(passed: bool, because: str) -> Scored:
    """A result without degrees; `because` is said when it fails."""
    return Scored(passed, 1.0 if passed else 0.0, "" if passed else because)


def inverted(score: Score) -> Score:
    """What `not-` makes of a score: passes exactly when the other fails; no score stays no score."""
    if isinstance(score, Unscored):
        return score
    because = "" if not score.passed else "it does, and should not"
    return Scored(not score.passed, 1.0 - score.score, because)


def excerpt(text: str, length_max: int = 80) -> str:
    """The beginning of an answer, on one line, for a reason."""
    line = " ".join(text.split())
    return repr(line if len(line) <= length_max else line[: length_max - 1] + "…")
