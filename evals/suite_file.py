"""The suite file: what people write. `promptship.evals.suite` makes from it what is run."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from promptship.evals.assertions import TYPES, AssertionSpec
from promptship.prompts.model import Message

Trials = Annotated[int, Field(ge=1, le=100)]


class Severity(StrEnum):
    """What a case means for the verdict.

    `warning` counts in the statistics. `blocking` counts too, and stops the release by itself when the candidate loses it
    (`promptship.evals.compare`).
    """

    BLOCKING = "blocking"
    WARNING = "warning"


class OriginKind(StrEnum):
    """Where a case came from."""

    HAND_WRITTEN = "hand-written"
    INCIDENT = "incident"  # something went wrong once, and must not again
    RED_TEAM = "red-team"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Origin(_Part):
    """Where a case came from, and where to read more: a ticket, a release, a red-team plugin."""

    kind: OriginKind = OriginKind.HAND_WRITTEN
    reference: str = ""


class Budget(_Part):
    """What one run of the suite may cost. When it is spent no further call starts, and the verdict is `unscored`."""

    usd_max: Annotated[float, Field(gt=0)]


class JudgeSettings(_Part):
    """Who grades."""

    model: Annotated[str, Field(min_length=1)]
    """Model name, as in `[models]` and `[providers]` of promptship.toml."""
    embeddings: str | None = None
    """Model that embeds, for `similar` and `answer-relevance`."""
    moderation: str | None = None
    """Model that moderates, for `moderation`."""
    parameters: dict[str, Any] = Field(default_factory=lambda: {"temperature": 0})
    """Sent with every call of the judge."""


class CaseMessage(Message):
    """A message of a conversation so far; of a tool, too."""

    tool_calls: tuple[dict[str, Any], ...] | None = None
    """What an assistant message called, in OpenAI's form."""
    tool_call_id: str | None = None
    """Which call a tool message answers."""


class TurnFile(_Part):
    """One turn: what the user says next, and what the answer must be like."""

    user: str | None = None
    """May use the case's variables. Only the first turn may leave it out: then the prompt itself is answered."""
    asserts: tuple[AssertionSpec, ...] = Field(default=(), alias="assert")


class AttackFile(_Part):
    """A conversation that an attacker model makes up while it is held (`attacker` of the suite)."""

    goal: Annotated[str, Field(min_length=1)]
    """What the attacker wants, in one sentence."""
    turns_max: Annotated[int, Field(ge=1, le=20)] = 5
    """The attacker speaks so often at most; the first answer that fails ends it."""


class AttackerSettings(_Part):
    """The model that attacks."""

    model: Annotated[str, Field(min_length=1)]
    """Model name, as in `[models]` and `[providers]` of promptship.toml."""
    parameters: dict[str, Any] = Field(default_factory=dict)


class CaseFile(_Part):
    """One case."""

    id: Annotated[str, Field(pattern=r"^[^\s/][^\n]{0,99}$", coerce_numbers_to_str=True)] | None = None
    """Unique in the suite; `case-<n>` without it."""
    description: str = ""
    vars: dict[str, Any] = Field(default_factory=dict)
    messages: tuple[CaseMessage, ...] = ()
    """A conversation so far, put after the prompt's messages. Contents may use the case's variables."""
    turns: tuple[TurnFile, ...] = ()
    """A conversation to be held: the model's real answers stand between the turns."""
    attack: AttackFile | None = None
    """After the turns, an attacker goes on; the assertions are about each of its answers."""
    asserts: tuple[AssertionSpec, ...] = Field(default=(), alias="assert")
    """On the last answer, after the suite's default assertions."""
    tags: tuple[str, ...] = ()
    """Slices the case belongs to: reports show each apart."""
    topic: str = ""
    """Cases of one topic are alike: together they count as one fact in the statistics."""
    origin: Origin = Origin()
    severity: Severity | None = None
    trials: Trials | None = None
    passes_min: Trials | None = None
    """The case passes when so many of its trials do (k of n); without it the share counts."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Share in the suite's pass rate."""
    threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    """With it a trial passes when its weighted score reaches it, even if an assertion failed. 0 would let every answer pass."""

    @model_validator(mode="after")
    def _turns_speak(self) -> CaseFile:
        if any(turn.user is None for turn in self.turns[1:]):
            message = "every turn but the first needs `user`"
            raise ValueError(message)
        return self


class DefaultsFile(_Part):
    """What every case has unless it says otherwise; `assert` and `vars` are added to, the rest is replaced."""

    asserts: tuple[AssertionSpec, ...] = Field(default=(), alias="assert")
    vars: dict[str, Any] = Field(default_factory=dict)
    trials: Trials | None = None
    passes_min: Trials | None = None
    severity: Severity = Severity.WARNING


class SuiteFile(_Part):
    """A whole file. A JSON-lines suite has only cases, one per line."""

    description: str = ""
    judge: JudgeSettings | None = None
    attacker: AttackerSettings | None = None
    budget: Budget | None = None
    slices: tuple[str, ...] = ()
    """Tags that must each have a case: what the suite promises to cover."""
    defaults: DefaultsFile = DefaultsFile.model_validate({})
    # The loader refuses an empty list: pydantic's min_length would also count the cases it just refused.
    cases: Annotated[tuple[CaseFile, ...], Field(json_schema_extra={"minItems": 1})]


def suite_schema() -> dict[str, Any]:
    """JSON Schema of a suite file, for editors: `# yaml-language-server: $schema=...`."""
    schema = SuiteFile.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "promptship suite"
    schema["$defs"]["AssertionSpec"]["properties"]["type"]["enum"] = list(TYPES)
    return schema
