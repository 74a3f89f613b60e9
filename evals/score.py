"""What an assertion says about one answer: a score, or openly no score.

"Not measured" is a type, never a number: a judge that timed out is neither a pass nor a zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from promptship.chat import ChatAnswer
from promptship.evals.services import ScriptFailed, Services


@dataclass(frozen=True, slots=True)
class Scored:
    """A measured result. `score` is finite, 0..1 but for scripts; `reason` may quote the answer: never in ledger or logs."""

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
class Subject:
    """One answer with everything an assertion may look at, and the services it may ask."""

    output: str
    """The answer as text: what a value that is no text looks like as JSON."""
    value: Any = None
    """The answer as a provider or a transform gave it, when that is no text (an object, a list, a number); None: `output`."""
    services: Services
    answer: ChatAnswer = field(default_factory=lambda: ChatAnswer(text=""))
    """What the provider said besides: cost, latency, log-probabilities, tool calls, metadata."""
    messages: tuple[Mapping[str, Any], ...] = ()
    """What the model was sent, before this answer."""
    prompt: str = ""
    """The same as one text: what was rendered from the prompt's file. Empty: join `messages`."""
    vars: Mapping[str, Any] = field(default_factory=dict)
    provider_config: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of the model, with its `tools` and `functions`."""
    test: Mapping[str, Any] = field(default_factory=dict)
    """The case as plain data, for scripts."""

    @property
    def said(self) -> Any:
        """The answer as scripts see it: `value` if there is one, else `output`."""
        return self.output if self.value is None else self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A score inside a score: one member of an assert-set, one component that a script returned."""

    label: str
    score: Score
    weight: float = 1.0
    metric: str | None = None
    type: str = ""
    value: Any = None
    """What was demanded, short."""
    said: str = ""
    """What a judge answered."""
    parts: tuple[Part, ...] = ()
    """Of a set in a set, of a script in a set."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Result of one assertion; `judge_tokens` were spent on it."""

    score: Score
    judge_tokens: int = 0
    judge_cost_usd: float = 0.0
    judge_unpriced: int = 0
    """Answers of judges whose cost nobody knows: `judge_cost_usd` is too low by theirs."""
    named: Mapping[str, float] = field(default_factory=dict)
    """Further scores by name, for metrics."""
    parts: tuple[Part, ...] = ()
    said: str = ""
    """What the judge answered, word for word; stays in the rows."""
    judge: str = ""
    """Who judged and by which orders: model, fingerprint, version of the rubrics; empty: no judge was asked."""


def yes_or_no(passed: bool, because: str) -> Scored:
    """A result without degrees; `because` is said when it fails."""
    return Scored(passed, 1.0 if passed else 0.0, "" if passed else because)


def unscored(error: ScriptFailed) -> Unscored:
    """No result, because a script gave none."""
    return Unscored(error.reason, error.detail)


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
