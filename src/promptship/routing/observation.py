"""What the gateway writes down: one line per served request, one per feedback. Never prompt text, answers or user names."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Arm = Literal["stable", "candidate"]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Observation(_Line):
    """One served request. The spool holds exactly one line of it per request, written when the answer has ended.

    `release` and `stage` are set only for units that were randomised under a live lease; everybody else is outside the
    experiment and counts as history of the stable version.
    """

    id: str
    """UUIDv7 made by the gateway."""
    at_ms: int
    """Unix time in ms when the request arrived."""
    prompt: str
    version: str
    arm: Arm
    release: str | None = None
    stage: int | None = None
    unit: str | None = None
    """sha256(salt, unit)[:16]: tells repeat users apart without naming them."""
    model: str = ""
    latency_ms: float
    """Whole answer; for streams until the last byte."""
    ttft_ms: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_usd: float | None = None
    """From the model's configured prices; None: not known."""
    status: int
    """HTTP status the client saw."""
    error: bool
    """The provider or the gateway failed: timeout, reset, malformed answer, any status from 400 on that the provider gave (a candidate's
    bad parameters show up that way). What the gateway itself refuses as the client's mistake, and a hang-up, are not errors."""
    error_type: str = ""
    refusal: bool | None = None
    """None: not measurable (no text)."""
    streamed: bool = False
    decision: str = ""
    """Why the request was in the experiment or outside it (`promptship.routing.eligibility.Decision`); empty: there was none."""


class Feedback(_Line):
    """What somebody said about one request later. Same request and kind again replaces the earlier value, never doubles it."""

    id: str
    at_ms: int
    request: str
    """Observation.id, from the signed token."""
    request_at_ms: int
    prompt: str
    version: str
    arm: Arm
    release: str | None = None
    stage: int | None = None
    kind: str
    """`thumbs_down`, `escalated`, or any lower-case word."""
    value: bool
    unit: str | None = None
    """As in the observation; None: outside an experiment, or a token of an older gateway."""


class Score(_Line):
    """What an online check or judge found in one sampled answer. Same request and name again counts once: the first stays."""

    id: str
    at_ms: int
    request: str
    request_at_ms: int
    prompt: str
    version: str
    arm: Arm
    release: str | None = None
    stage: int | None = None
    unit: str | None = None
    name: str
    """Of the check or judge: lower-case letters, digits, underscores."""
    value: float
    """0..1; a failed scorer writes no line: not measured is not zero."""
    passed: bool
    """Whether the check held; `check:<name>` counts those that did not."""
