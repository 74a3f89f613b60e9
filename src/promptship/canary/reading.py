"""What a look reads off one guardrail, and off the split: the input of `decide`, nothing but numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from promptship.canary.evidence import ArmCounts
from promptship.release.plan import Guardrail


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(_Value):
    """Latency thresholds in ms: what counts as slow (tau), and tau widened by the margin, which safety compares with."""

    slow_ms: float
    margin_ms: float
    quantile: float | None = None
    """Of stable's answers, which tau was when it was fixed, 0..1."""


class Means(_Value):
    """Both arms' means in the metric's own unit."""

    candidate: float
    stable: float
    cap: float | None = None
    """Amounts only: larger ones were counted as this."""


class Split(_Value):
    """How the units of this stage fell on the arms."""

    assigned: ArmCounts
    share: Annotated[float, Field(gt=0, lt=1)]
    """The candidate's part as it was configured."""
    e_value: Annotated[float, Field(ge=0)]
    """Evidence that they did not fall with that share."""
    threshold: float


class Reading(_Value):
    """One guardrail at one look."""

    guardrail: Guardrail
    counts: ArmCounts | None
    """Both arms in this stage; None: not measured in both, which is neither good nor bad. Of a mean only `requests`."""
    e_harm: Annotated[float, Field(ge=0)] = 1.0
    """E-value of "worse than tolerated", since the release began."""
    e_safe: Annotated[float, Field(ge=0)] = 1.0
    """E-value of "within the margin", in this stage alone; 1 when it need not be proven."""
    margin: float | None = None
    """Absolute margin in force: rate points, or the mean's unit; None for latency, whose margin is in `limits`."""
    limits: Limits | None = None
    """Latency only."""
    counts_margin: ArmCounts | None = None
    """Latency only: candidate beyond the widened threshold, stable beyond its own."""
    means: Means | None = None
    """Means only."""
    requests_needed: Annotated[int, Field(ge=0)] | None = None
    """About how many more candidate requests prove safety if the candidate is as good as stable; None: unknown."""
    design_effect: Annotated[float, Field(ge=1)] = 1.0
    """What the evidence was divided by because units ask repeatedly."""
    units: Annotated[int, Field(ge=0)] | None = None
    """Different candidate units of this stage; None: not known."""
    bad: Annotated[int, Field(ge=0)] = 0
    """The candidate's bad requests of the whole release, for the hard stop."""
