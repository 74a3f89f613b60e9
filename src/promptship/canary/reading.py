"""What a look reads off one guardrail: the input of `decide`, nothing but numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from promptship.canary.evidence import ArmCounts
from promptship.release.plan import Guardrail


class Limits(BaseModel):
    """Latency thresholds in ms: what counts as slow (tau), and tau widened by the margin, which safety compares with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slow_ms: float
    margin_ms: float


class Reading(BaseModel):
    """One guardrail at one look."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    guardrail: Guardrail
    counts: ArmCounts | None
    """Both arms in this stage; None: not measured in both, which is neither good nor bad."""
    e_harm: Annotated[float, Field(ge=0)] = 1.0
    """E-value of "worse than tolerated", since the release began."""
    e_safe: Annotated[float, Field(ge=0)] = 1.0
    """E-value of "within the margin", in this stage alone; 1 when it need not be proven."""
    margin: float | None = None
    """Absolute margin in force, rate points; None for latency, whose margin is in `limits`."""
    limits: Limits | None = None
    """Latency only."""
    counts_margin: ArmCounts | None = None
    """Latency only: candidate beyond the widened threshold, stable beyond its own."""
    requests_needed: Annotated[int, Field(ge=0)] | None = None
    """About how many more candidate requests prove safety if the candidate is as good as stable; None: unknown."""
