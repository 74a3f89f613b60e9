"""One trial as it is kept: a line of JSON. Rows hold answers; the verdict made from them does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from promptship.evals.score import Score, Scored, Unscored
from promptship.evals.suite_file import Severity

Arm = Literal["candidate", "stable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asserted:
    """What one assertion said. `turn` counts from 0."""

    label: str
    turn: int
    score: Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One trial of one case with one version. Numbers are None when the provider did not say."""

    case: str
    arm: Arm
    trial: int
    digest: str
    """Of the case and of what the model was first sent: an equal row need not be paid again."""
    score: Score
    asserted: tuple[Asserted, ...] = ()
    answers: tuple[str, ...] = ()
    """One per turn."""
    latency_ms: float | None = None
    """Sum over the turns."""
    tokens_in: int | None = None
    tokens_out: int | None = None
    judge_tokens: int = 0

    @property
    def key(self) -> tuple[str, Arm, int]:
        """Which trial it is."""
        return self.case, self.arm, self.trial

    def slim(self) -> Row:
        """Without what was said: enough for a verdict, and flat in memory."""
        asserted = tuple(replace(one, score=_slim(one.score)) for one in self.asserted)
        return replace(self, answers=(), asserted=asserted, score=_slim(self.score))


def _slim(score: Score) -> Score:
    return replace(score, reason="") if isinstance(score, Scored) else replace(score, detail="")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFacts:
    """What the verdict needs to know of a case."""

    id: str
    severity: Severity = Severity.WARNING
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun:
    """All trials of a suite, without answers. `arms` says which versions were asked, also when every call failed."""

    suite: str
    arms: tuple[Arm, ...]
    cases: tuple[CaseFacts, ...]
    rows: tuple[Row, ...]
    incomparable: tuple[str, ...] = ()
    """Cases whose variables the stable version cannot be rendered with: judged for the candidate alone."""
    reused: int = field(default=0, compare=False)
    """Rows taken over from an earlier run."""


def to_json(row: Row) -> dict[str, Any]:
    """Plain data of a row, for one line of JSON."""
    return {
        "case": row.case,
        "arm": row.arm,
        "trial": row.trial,
        "digest": row.digest,
        "score": _score_out(row.score),
        "asserted": [
            {"label": one.label, "turn": one.turn, "score": _score_out(one.score)} for one in row.asserted
        ],
        "answers": list(row.answers),
        "latency_ms": row.latency_ms,
        "tokens_in": row.tokens_in,
        "tokens_out": row.tokens_out,
        "judge_tokens": row.judge_tokens,
    }


def from_json(data: Mapping[str, Any]) -> Row:
    """The row of `to_json`. Raises KeyError or TypeError when it is not one."""
    asserted = [
        Asserted(label=one["label"], turn=one["turn"], score=_score_in(one["score"]))
        for one in data["asserted"]
    ]
    return Row(
        case=data["case"], arm=data["arm"], trial=data["trial"], digest=data["digest"], score=_score_in(data["score"]),
        asserted=tuple(asserted), answers=tuple(data["answers"]), latency_ms=data["latency_ms"],
        tokens_in=data["tokens_in"], tokens_out=data["tokens_out"], judge_tokens=data["judge_tokens"],
    )  # fmt: skip


def _score_out(score: Score) -> dict[str, Any]:
    if isinstance(score, Unscored):
        return {"unscored": score.reason, "detail": score.detail}
    return {"passed": score.passed, "score": score.score, "reason": score.reason}


def _score_in(data: Mapping[str, Any]) -> Score:
    if "unscored" in data:
        return Unscored(data["unscored"], data["detail"])
    return Scored(data["passed"], data["score"], data["reason"])
