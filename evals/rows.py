"""One trial as it is kept: a line of JSON. Rows hold answers; the verdict made from them does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, Final

from promptship.evals.score import Score, Scored, Unscored
from promptship.evals.services import Usage
from promptship.evals.suite_file import Severity

Arm = str
"""Who was asked: one prompt with one model. `candidate` and `stable` in a release; a matrix and promptfoo name their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asserted:
    """What one assertion said. `turn` counts from 0."""

    label: str
    turn: int
    score: Score
    type: str = ""
    weight: float = 1.0
    metric: str | None = None
    value: Any = None
    """What was demanded, short; None: nothing, or too long to repeat."""
    judge_tokens: int = 0
    said: str = ""
    """What a judge answered."""
    judge: str = ""
    """Which judge, and by which version of the rubrics (`Judged.judge`)."""
    judge_usage: Usage = field(default_factory=Usage)
    """`judge_tokens` in parts, where somebody counted them."""
    named: Mapping[str, float] = field(default_factory=dict)
    """Further scores that a script or the members of a set gave."""
    named_weights: Mapping[str, float] = field(default_factory=dict)
    parts: tuple[Asserted, ...] = ()
    """Members of an assert-set, components that a script returned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One trial of one case with one arm. Numbers are None when the provider did not say."""

    case: str
    arm: Arm
    trial: int
    digest: str
    """Of the case and of what the model was first sent: an equal row need not be paid again."""
    score: Score
    asserted: tuple[Asserted, ...] = ()
    answers: tuple[str, ...] = ()
    """One per turn."""
    value: Any = None
    """The last answer as a JSON value, when it is more than text."""
    sent: str = ""
    """What was asked last: text, or messages as JSON."""
    prompt_config: Mapping[str, Any] = field(default_factory=dict)
    """What the prompt's own function said about the call, besides the prompt (promptfoo)."""
    vars: Mapping[str, Any] | None = None
    """Variables as they were while running, when they differ from the case's; None: the case's."""
    named: Mapping[str, float] = field(default_factory=dict)
    """Scores by metric."""
    named_weights: Mapping[str, float] = field(default_factory=dict)
    """What each of `named` weighs when rows are added up; a metric that is missing here counts once per assertion."""
    error: str = ""
    """Why there is no answer; empty: there is one."""
    latency_ms: float | None = None
    """Sum over the turns."""
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None
    cost_usd: float | None = None
    """Of the answers, judges apart; what a cached answer cost when it was paid is not counted again."""
    judge_tokens: int = 0
    judge_cost_usd: float = 0.0
    judge_unpriced: int = 0
    """New answers of judges whose cost nobody knows: `judge_cost_usd` is too low by theirs."""
    cached: bool = False
    """Every answer came from an earlier run."""
    model: str = ""
    """Model that the provider says answered last."""
    fingerprint: str = ""
    finish_reason: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, Arm, int]:
        """Which trial it is."""
        return self.case, self.arm, self.trial

    def slim(self) -> Row:
        """Without what was said: enough for a verdict, and flat in memory."""
        return Row(
            case=self.case, arm=self.arm, trial=self.trial, digest=self.digest, score=_slim(self.score),
            asserted=_marks(tuple((one.label, one.turn, _slim(one.score)) for one in self.asserted)),
            named=self.named or _NONE, latency_ms=self.latency_ms, tokens_in=self.tokens_in, tokens_out=self.tokens_out,
            tokens_cached=self.tokens_cached, cost_usd=self.cost_usd, judge_tokens=self.judge_tokens,
            judge_cost_usd=self.judge_cost_usd, judge_unpriced=self.judge_unpriced, cached=self.cached, model=self.model, fingerprint=self.fingerprint,
            finish_reason=self.finish_reason,
        )  # fmt: skip


_NONE: Final[Mapping[str, float]] = {}


@lru_cache(maxsize=4096)
def _scored(passed: bool, score: float) -> Scored:
    """One value for many equal scores: a run holds thousands."""
    return Scored(passed, score)


@lru_cache(maxsize=4096)
def _marks(marks: tuple[tuple[str, int, Score], ...]) -> tuple[Asserted, ...]:
    """The same for what was demanded: most trials say the same of the same assertions."""
    return tuple(Asserted(label=label, turn=turn, score=score) for label, turn, score in marks)


def _slim(score: Score) -> Score:
    return _scored(score.passed, score.score) if isinstance(score, Scored) else Unscored(score.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFacts:
    """What the verdict and the reports need to know of a case."""

    id: str
    severity: Severity = Severity.WARNING
    weight: float = 1.0
    description: str = ""
    tags: tuple[str, ...] = ()
    """Slices the case belongs to; also names such as `owasp:LLM01`."""
    passes_min: int | None = None
    """So many of a case's trials must pass for the case to pass; None: the share counts."""
    topic: str = ""
    """Cases of one topic are alike and count as one fact; empty: the case stands for itself."""
    vars: Mapping[str, Any] = field(default_factory=dict)
    origin: str = "hand-written"
    """Where the case came from: hand-written, incident, red-team."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFacts:
    """What reports need to know of an arm."""

    key: Arm
    prompt: str
    """Name or label of the prompt."""
    model: str
    """Name or label of the model or provider."""
    prompt_text: str = ""


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
    """Plain data of a row, for one line of JSON; what has its default is left out."""
    data: dict[str, Any] = {"case": row.case, "arm": row.arm, "trial": row.trial, "digest": row.digest}
    data["score"] = _score_out(row.score)
    data["asserted"] = [_asserted_out(one) for one in row.asserted]
    data["answers"] = list(row.answers)
    for name, default in _PLAIN.items():
        value = getattr(row, name)
        if value != default:
            data[name] = value
    return data


def from_json(data: Mapping[str, Any]) -> Row:
    """The row of `to_json`. Raises KeyError or TypeError when it is not one."""
    return Row(
        case=data["case"], arm=data["arm"], trial=data["trial"], digest=data["digest"], score=_score_in(data["score"]),
        asserted=tuple(_asserted_in(one) for one in data["asserted"]), answers=tuple(data["answers"]),
        **{name: data[name] for name in _PLAIN if name in data},
    )  # fmt: skip


_PLAIN: dict[str, Any] = {
    "value": None, "sent": "", "prompt_config": {}, "vars": None, "named": {}, "named_weights": {}, "error": "", "latency_ms": None, "tokens_in": None,
    "tokens_out": None, "tokens_cached": None, "cost_usd": None, "judge_tokens": 0, "judge_cost_usd": 0.0, "judge_unpriced": 0,
    "cached": False, "model": "", "fingerprint": "", "finish_reason": "", "metadata": {},
}  # fmt: skip


_UNUSED: Final = Usage()
_PLAIN_ASSERTED: Final = (
    "type", "weight", "metric", "value", "judge_tokens", "said", "judge", "named", "named_weights",
)  # fmt: skip


def _asserted_out(one: Asserted) -> dict[str, Any]:
    data: dict[str, Any] = {"label": one.label, "turn": one.turn, "score": _score_out(one.score)}
    if one.type:
        data["type"] = one.type
    if one.weight != 1.0:
        data["weight"] = one.weight
    if one.metric is not None:
        data["metric"] = one.metric
    if one.value is not None:
        data["value"] = one.value
    if one.judge_tokens:
        data["judge_tokens"] = one.judge_tokens
    if one.said:
        data["said"] = one.said
    if one.judge:
        data["judge"] = one.judge
    if one.judge_usage != _UNUSED:
        data["judge_usage"] = asdict(one.judge_usage)
    if one.named:
        data["named"] = dict(one.named)
    if one.named_weights:
        data["named_weights"] = dict(one.named_weights)
    if one.parts:
        data["parts"] = [_asserted_out(part) for part in one.parts]
    return data


def _asserted_in(data: Mapping[str, Any]) -> Asserted:
    plain = {name: data[name] for name in _PLAIN_ASSERTED if name in data}
    if "judge_usage" in data:
        plain["judge_usage"] = Usage(**data["judge_usage"])
    parts = tuple(_asserted_in(part) for part in data.get("parts", ()))
    return Asserted(
        label=data["label"], turn=data["turn"], score=_score_in(data["score"]), parts=parts, **plain
    )


def _score_out(score: Score) -> dict[str, Any]:
    if isinstance(score, Unscored):
        return {"unscored": score.reason, "detail": score.detail}
    return {"passed": score.passed, "score": score.score, "reason": score.reason}


def _score_in(data: Mapping[str, Any]) -> Score:
    if "unscored" in data:
        return Unscored(data["unscored"], data["detail"])
    return Scored(data["passed"], data["score"], data["reason"])
