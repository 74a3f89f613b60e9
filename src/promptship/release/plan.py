"""The release plan: what must be true before a candidate gets more traffic, and who has to agree.

A plan comes from `[plans.<name>]` in promptship.toml, read from the released commit, overridden key by key by the prompt's own
`release:` block. Who may approve is *not* part of a plan: it is service configuration, so that nobody can push himself
the right (`promptship.settings.Approvals`).
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

DURATION_S_MAX = 10 * 365 * 86400.0
"""Ten years: more is a slip, and cannot be added to a date."""
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(value: object) -> object:
    """Seconds from `90`, `"90s"`, `"10m"`, `"1h30m"`, `"2d"`, `"500ms"`; anything else is returned for pydantic to refuse."""
    if isinstance(value, str):
        parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", value.strip())
        if not parts or "".join(n + u for n, u in parts) != re.sub(r"\s+", "", value):
            message = f"expected a duration such as 90s, 10m or 1h30m, got {value!r}"
            raise ValueError(message)
        return sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    if isinstance(value, bool):
        message = f"expected a duration such as 90s, 10m or 1h30m, got {str(value).lower()}"
        raise ValueError(message)  # noqa: TRY004 - pydantic turns only this one into a finding
    return value


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(ge=0, le=DURATION_S_MAX),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d))+$"},
            ]
        }
    ),
]
"""Seconds as a float; written as a number or as `10m`."""

Fraction = Annotated[float, Field(ge=0, le=1)]


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
    """Non-inferiority margin of this stage, relative: 0.25 means a guardrail rate may be at most 25 % worse."""


class Metric(StrEnum):
    """What a guardrail may measure. Feedback kinds are written `feedback:<kind>`, for example `feedback:escalated`."""

    ERROR_RATE = "error_rate"
    REFUSAL_RATE = "refusal_rate"
    LATENCY_P95 = "latency_p95"


METRIC_PATTERN = r"^(error_rate|refusal_rate|latency_p95|feedback:[a-z][a-z0-9_]{0,39})$"


class Guardrail(_Plan):
    """A bad thing whose rate must not rise. All metrics are "lower is better"."""

    metric: Annotated[str, Field(pattern=METRIC_PATTERN)]
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Relative share of alpha spent on rolling back because of this guardrail (weighted Bonferroni)."""
    tolerance: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Relative worsening that is accepted: roll back only on evidence of more than this."""
    margin_floor: Annotated[float, Field(gt=0, le=1)] = 0.005
    """Smallest absolute non-inferiority margin, so that rare events stay provable (statistics: 0.5 points)."""
    matures_after: Duration = 0.0
    """A request counts only when it is this old (seconds): labels such as escalations arrive late."""
    prove: bool = True
    """Whether non-inferiority of this guardrail must be shown before a stage advances. False: it can only roll back."""


class Approval(_Plan):
    """Who has to agree before promotion."""

    required: Annotated[int, Field(ge=0, le=10)] = 1
    """Number of different approvers; 0 promotes without asking."""
    not_author: bool = False
    """The author of the commit may not approve."""
    expires: Duration = 24 * 3600.0
    """Seconds without a decision after which the release is rolled back. It never expires into promotion."""


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
    lease: Duration = 60.0
    """Dead man's switch: without a look for this long (seconds) gateways serve stable."""


class Plan(_Plan):
    """Everything a release of one prompt must pass."""

    regression: Regression = Regression()
    canary: Canary = Canary()
    approval: Approval = Approval()
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
