"""What a plan says about online scoring: which sampled answers are looked at, by what, for how much money, and what is kept of them.

The plan of a release is frozen with it, so both arms are always scored by the same checks. What an assertion may say is the
evaluation engine's business (`promptship.evals.online.checks` refuses a wrong one before a release gets traffic).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from promptship.release.duration import Duration

Share = Annotated[float, Field(gt=0, le=1)]
"""Part of an arm's answers, more than 0: an arm without scores could not be compared."""


class _Online(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Judge(_Online):
    """The models that grade, by their names in `[models]`; as a suite's `judge`."""

    model: Annotated[str, Field(min_length=1)]
    embeddings: str | None = None
    moderation: str | None = None
    parameters: dict[str, Any] = Field(default_factory=lambda: {"temperature": 0})
    """Sent with every call of the judge."""


class Check(_Online):
    """One check or judge of single answers; the metrics `check:<name>` and `score:<name>` come from it."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    assertion: Annotated[dict[str, Any], Field(alias="assert")]
    """As in a suite: `{type = "contains", value = "..."}`."""
    candidate: Share = 1.0
    """Part of the candidate's answers that is scored."""
    stable: Share = 0.1
    """Part of stable's answers that is scored, in a canary and between releases."""
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """`passed` means a score of at least this; None: what the assertion itself says."""
    judge: Judge | None = None
    """Instead of the plan's."""
    spend_max_usd: Annotated[float, Field(gt=0)] | None = None
    """Most that its judge may cost per day (UTC) for this prompt; then it scores no more until the next day."""
    calls_per_minute: Annotated[int, Field(ge=1, le=100_000)] = 600
    """Most calls of models; more wait, and are given up after `give_up_after`."""
    variables: bool = False
    """Whether the request's prompt variables are handed on with the answer: for values with `{{ name }}`, and types that read them."""

    def scored_share(self, share: float) -> float:
        """The candidate's part of what is scored when it gets this share of traffic (statistics 2(f)): what plans of time go by."""
        candidate = share * self.candidate
        return candidate / (candidate + (1 - share) * self.stable) if candidate else 0.0


class Online(_Online):
    """Online scoring of one prompt."""

    checks: tuple[Check, ...] = ()
    judge: Judge | None = None
    """Of all checks that name none."""
    keep: Literal["nothing", "failed", "all"] = "nothing"
    """Which texts are kept after scoring, redacted. `nothing`: a text is deleted as soon as it is scored."""
    keep_for: Duration = 7 * 86400.0
    """Age at which a kept text is deleted, seconds."""
    redact_before_judging: bool = False
    """Whether the judge, too, sees texts only redacted: for a judge at another provider than the prompt's."""
    give_up_after: Duration = 900.0
    """Age at which an answer that could not be scored (judge down, too many at once) is deleted without a score, seconds."""

    @model_validator(mode="after")
    def _names_are_different(self) -> Online:
        names = [check.name for check in self.checks]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            message = f"expected one check per name; {', '.join(double)} is there twice"
            raise ValueError(message)
        return self
