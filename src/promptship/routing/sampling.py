"""Which answers are handed on to be scored, and the line that hands one on. Pure.

Chance alone decides: a hash of the request's id, drawn before there is an answer. The same number decides for every check of a
request, so that a check with a smaller share looks at some of the answers of one with a larger share, and fewer texts leave the gateway.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from promptship.routing.api import Api
from promptship.routing.observation import Arm
from promptship.routing.split import BUCKETS, bucket

SALT: Final = "online"


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Drawn(_Wire):
    """What a gateway has to know of a check."""

    name: str
    candidate: float = Field(gt=0, le=1)
    stable: float = Field(gt=0, le=1)
    variables: bool = False


class Sampling(_Wire):
    """The checks of one prompt now."""

    release: str
    """Whose plan they are from: the running release's, else that of the release which made the version stable."""
    checks: tuple[Drawn, ...]


class Sample(_Wire):
    """One answer to be scored. It holds what users wrote and what they were told: never in a log, deleted once it is scored."""

    id: str
    """Observation.id."""
    at_ms: int
    prompt: str
    version: str
    arm: Arm
    release: str | None = None
    stage: int | None = None
    unit: str | None = None
    plan: str
    """Release whose plan has the checks."""
    checks: tuple[str, ...]
    api: Api
    streamed: bool
    latency_ms: float
    question: str
    """The body that the provider got, JSON."""
    answer: str
    """The body that it sent: JSON, or server-sent events."""
    variables: dict[str, Any] = Field(default_factory=dict)
    """Of the prompt; empty unless a check wants them."""


def drawn(sampling: Sampling, request: str, arm: Arm) -> tuple[Drawn, ...]:
    """The checks that look at this request's answer: exactly those whose share for the arm is above the request's place in 0..1."""
    place = bucket(SALT, request)
    return tuple(
        check
        for check in sampling.checks
        if place < round((check.stable if arm == "stable" else check.candidate) * BUCKETS)
    )
