"""The release plan: what must be true before a candidate gets more traffic, and who has to agree.

A plan comes from `[plans.<name>]` in promptship.toml, read from the released commit, overridden key by key by the prompt's own
`release:` block. Who may approve is *not* part of a plan: it is service configuration, so that nobody can push himself
the right (`promptship.settings.Approvals`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from promptship.prompts.model import NAME_PATTERN
from promptship.release.duration import Duration
from promptship.release.online import Online
from promptship.release.policy import Experiment

Fraction = Annotated[float, Field(ge=0, le=1)]
PromptName = Annotated[str, Field(pattern=NAME_PATTERN)]


class _Plan(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Regression(_Plan):
    """How the suites are run and when they stop a release."""

    suites: tuple[str, ...] = ()
    """Suite names; empty means the suite that has the prompt's name."""
    trials: Annotated[int, Field(ge=1, le=100)] = 3
    """Answers per case and version."""
    margin: Fraction = 0.05
    """The candidate's pass rate may be at most this much lower (absolute, 0..1) than stable's."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """One-sided error of the verdict."""
    unscored_max: Fraction = 0.02
    """Largest share of trials without a score (judge or provider failed) with which a verdict is still given."""
    pass_rate_min: Fraction = 0.0
    """Absolute floor of the candidate's pass rate; the only rule when there is no stable version."""


class Stage(_Plan):
    """One step of the canary."""

    share: Annotated[float, Field(gt=0, le=1)]
    """Fraction of units that get the candidate, 0..1. At 1.0 nothing is left to compare with: only dwell is checked."""
    dwell: Duration = 600.0
    """Shortest time in the stage, seconds."""
    cap: Duration = 4 * 3600.0
    """Longest time in the stage, seconds; then a person is asked."""
    margin: Annotated[float, Field(gt=0, le=10)] = 0.25
    """Non-inferiority margin of this stage, relative: 0.25 means a guardrail may be at most 25 % worse."""


class Metric(StrEnum):
    """What a guardrail may measure.

    Feedback kinds are written `feedback:<kind>`, failures of an online check `check:<name>`, an online score's mean `score:<name>`.
    """

    ERROR_RATE = "error_rate"
    REFUSAL_RATE = "refusal_rate"
    LATENCY_P95 = "latency_p95"
    LATENCY = "latency"
    """p50, p90, p95 and p99 together."""
    COST_USD = "cost_usd"
    TOKENS_OUT = "tokens_out"


METRIC_PATTERN = r"^(error_rate|refusal_rate|latency_p95|latency|cost_usd|tokens_out|(feedback|check|score):[a-z][a-z0-9_]{0,39})$"


def is_latency(metric: str) -> bool:
    """Whether the metric compares quantiles of latency."""
    return metric in (Metric.LATENCY, Metric.LATENCY_P95)


def is_mean(metric: str) -> bool:
    """Whether the metric is the mean of a value: a score, cost or tokens. What is neither this nor latency is a rate."""
    return metric in (Metric.COST_USD, Metric.TOKENS_OUT) or metric.startswith("score:")


class Guardrail(_Plan):
    """Something that must not get worse: a rate of bad requests, latency, cost and tokens must not rise, a score must not fall."""

    metric: Annotated[str, Field(pattern=METRIC_PATTERN)]
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Relative share of alpha spent on rolling back because of this guardrail (weighted Bonferroni)."""
    tolerance: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Relative worsening that is accepted: roll back only on evidence of more than this."""
    margin_floor: Annotated[float, Field(gt=0, le=1)] = 0.005
    """Smallest absolute non-inferiority margin of rates and scores, so that rare events stay provable (statistics: 0.5 points)."""
    matures_after: Duration = 0.0
    """A request counts only when it is this old (seconds): labels such as escalations arrive late."""
    prove: bool = True
    """Whether non-inferiority of this guardrail must be shown before a stage advances. False: it can only roll back."""
    stop_at: Annotated[int, Field(ge=1)] | None = None
    """Hard stop: this many bad candidate requests in the release roll it back at once, whatever the statistics say (rates only)."""

    @model_validator(mode="after")
    def _stops_only_on_what_is_counted(self) -> Guardrail:
        if self.stop_at is not None and (is_mean(self.metric) or is_latency(self.metric)):
            message = f"stop_at counts bad requests, and {self.metric} has none; it fits a rate such as check:<name>"
            raise ValueError(message)
        return self


class Approval(_Plan):
    """Who has to agree before promotion."""

    required: Annotated[int, Field(ge=0, le=10)] = 1
    """Number of different approvers; 0 promotes without asking."""
    not_author: bool = False
    """The author of the commit may not approve."""
    expires: Duration = 24 * 3600.0
    """Seconds without a decision after which the question expires. It never expires into promotion."""
    expires_into: Literal["rollback", "cancel"] = "rollback"
    """How a release ends whose question expired; either way stable serves everybody. A cancelled one may be released again."""


class Canary(_Plan):
    """The canary's statistics and pace."""

    stages: Annotated[tuple[Stage, ...], Field(min_length=1)] = (
        Stage(share=0.01, margin=1.0),
        Stage(share=0.05, margin=0.3),
        Stage(share=0.25, margin=0.15),
        Stage(share=0.5, margin=0.1),
    )
    guardrails: Annotated[tuple[Guardrail, ...], Field(min_length=1)] = (
        Guardrail(metric="error_rate"),
        Guardrail(metric="refusal_rate"),
        Guardrail(
            metric="latency_p95", tolerance=0.25, prove=False
        ),  # a new prompt meets a cold prompt cache
    )
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """Chance of rolling back a candidate that is not worse, over the whole release, however often it is looked at."""
    alpha_advance: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    """Per guardrail chance of advancing a candidate that sits exactly on the margin."""
    requests_min: Annotated[int, Field(ge=1)] = 50
    """Candidate requests a stage needs before it may advance."""
    units_min: Annotated[int, Field(ge=0)] = 200
    """Different candidate units a stage needs where units that ask repeatedly are seen to matter (a design effect of 1.5 or more)."""
    lease: Duration = 60.0
    """Dead man's switch: without a look for this long (seconds) gateways serve stable."""
    holdback: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """After promotion this fraction of units keeps the version before, so that slow effects are seen; 0: none."""
    holdback_for: Duration = 7 * 86_400.0
    """How long it does (seconds)."""

    @model_validator(mode="after")
    def _leaves_room_for_the_holdback(self) -> Canary:
        largest = max(stage.share for stage in self.stages)
        if self.holdback and largest > 1 - self.holdback + 1e-9:
            message = (
                f"holdback = {self.holdback:g} leaves a share of {1 - self.holdback:g} to the stages, and one has {largest:g}: "
                "whoever had the candidate would get the version before again; lower that share or the holdback"
            )
            raise ValueError(message)
        return self


class Plan(_Plan):
    """Everything a release of one prompt must pass."""

    regression: Regression = Regression()
    canary: Canary = Canary()
    approval: Approval = Approval()
    online: Online = Online()
    experiment: Experiment = Experiment()
    together: Annotated[tuple[PromptName, ...], Field(max_length=19)] = ()
    """Other prompts that must change together with this one. What is named from either side, or over others, is one group."""
    on_newer: Literal["wait", "cancel"] = "wait"
    """A newer push while this canary runs: `wait` for its end, or `cancel` it. One without traffic is always superseded."""
    give_up_after: Duration = 3600.0
    """Seconds after which a release that cannot be judged (provider down) before its canary fails."""
    notify: tuple[str, ...] = ()
    """Slack channels told about the outcome, beside the configured one."""


def merge(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """`base` with every key of `override` put over it; tables merge, lists and values replace."""
    merged = dict(base)
    for key, value in override.items():
        here = merged.get(key)
        merged[key] = merge(here, value) if isinstance(here, dict) and isinstance(value, dict) else value
    return merged
