"""What a look knows and what it concludes: plain frozen values between telemetry, statistics, ledger and people."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Counts(_Value):
    """Requests of one arm that were measured on a metric, and how many of them were bad. 0 <= events <= requests."""

    requests: Annotated[int, Field(ge=0)] = 0
    events: Annotated[int, Field(ge=0)] = 0


class ArmCounts(_Value):
    """Both arms of one guardrail, counted over the same time."""

    candidate: Counts = Counts()
    stable: Counts = Counts()


class Histogram(_Value):
    """Latency of one arm: log bucket -> requests. Bucket = floor(16 * log2(max(ms, 1))); about 4.4 % wide, exactly mergeable."""

    buckets: dict[int, int] = Field(default_factory=dict)


class LatencyCounts(_Value):
    """Both arms' latency histograms, counted over the same time."""

    candidate: Histogram = Histogram()
    stable: Histogram = Histogram()


class Values(_Value):
    """Both arms' histograms of one mean metric, counted over the same time; what a bin stands for is `promptship.canary.scale`'s."""

    candidate: Histogram = Histogram()
    stable: Histogram = Histogram()


class UnitSums(_Value):
    """One arm's units (users, sessions) on one metric: what a cluster-robust variance needs.

    With n requests and s bad ones of a unit: number of units, sum n, sum s, sum n^2, sum s^2, sum n*s (statistics 2(g)). Of latency
    and of means s is the sum of the bin numbers of the unit's answers (`LatencyCounts`, `StageCounts.means`).
    """

    units: Annotated[int, Field(ge=0)] = 0
    requests: Annotated[int, Field(ge=0)] = 0
    events: Annotated[int, Field(ge=0)] = 0
    requests_squared: Annotated[int, Field(ge=0)] = 0
    events_squared: Annotated[int, Field(ge=0)] = 0
    products: Annotated[int, Field(ge=0)] = 0


class ArmUnits(_Value):
    """Both arms' units on one metric."""

    candidate: UnitSums = UnitSums()
    stable: UnitSums = UnitSums()


class StageCounts(_Value):
    """Everything counted since a stage began (cumulative, matured rows only). A metric that nobody measured is absent."""

    rates: dict[str, ArmCounts] = Field(default_factory=dict)
    """By metric: error_rate, refusal_rate, feedback:<kind>, check:<name>."""
    latency: LatencyCounts | None = None
    means: dict[str, Values] = Field(default_factory=dict)
    """By metric: cost_usd, tokens_out, score:<name>."""
    requests: ArmCounts = ArmCounts()
    """Requests per arm regardless of maturity (events unused)."""
    units: dict[str, ArmUnits] = Field(default_factory=dict)
    """By metric, regardless of maturity; requests without a unit are in none. Absent: not known."""
    assigned: ArmCounts | None = None
    """Different units of this stage per arm (`requests` counts units, events unused); the sample ratio is judged on them."""


class Baseline(_Value):
    """History of the stable version before the release: seeds the predictable baseline. Empty when there is none."""

    rates: dict[str, Counts] = Field(default_factory=dict)
    latency: Histogram = Histogram()
    means: dict[str, Histogram] = Field(default_factory=dict)
    """By mean metric; bins as in `StageCounts.means`."""


class Health(_Value):
    """Whether the telemetry can be trusted at this look. `problems` are for people; any problem means HOLD."""

    problems: tuple[str, ...] = ()


class Outcome(StrEnum):
    """What a look concludes; later in this list is worse and wins."""

    ADVANCE = "advance"
    HOLD = "hold"
    ASK = "ask"  # the stage's cap is reached without an answer: a person decides, never promotion by itself
    ROLL_BACK = "roll_back"


SEVERITY = {Outcome.ADVANCE: 0, Outcome.HOLD: 1, Outcome.ASK: 2, Outcome.ROLL_BACK: 3}


class Finding(_Value):
    """What one guardrail (or one rule: dwell, requests_min, health, cap) says at this look, with both numbers.

    `because` is a whole sentence for people. Numbers are None when the thing was not measured: that is never a 0.
    """

    rule: str
    """Metric name, or `dwell`, `requests_min`, `units_min`, `telemetry`, `cap`, `sample_ratio`."""
    outcome: Outcome
    because: str
    counts: ArmCounts | None = None
    """Requests and bad ones; of a mean only requests; of `sample_ratio` units."""
    rate_candidate: float | None = None
    rate_stable: float | None = None
    mean_candidate: float | None = None
    """Of a mean, in its unit; amounts winsorised."""
    mean_stable: float | None = None
    e_value: float | None = None
    """Evidence (e-process) for the side the outcome is about: of harm for roll_back and hold, of safety for advance."""
    threshold: float | None = None
    threshold_safe: float | None = None
    """What the evidence of safety has to reach, where safety is still to be shown."""
    e_harm: float | None = None
    e_safe: float | None = None
    margin: float | None = None
    """Absolute margin in force: rate points, or the mean's unit."""
    design_effect: float | None = None
    """What repeat users divide the evidence and the requests by; None: 1, or not known."""
    units: int | None = None
    """Different candidate units of this stage behind the counts; None: not known."""
    needs: str = ""
    """What would change it, for example `about 400 more candidate requests`."""


class Verdict(_Value):
    """All findings of one look."""

    stage: int
    look: int
    findings: tuple[Finding, ...]
    kind: Literal["canary"] = "canary"

    @property
    def outcome(self) -> Outcome:
        """The worst finding wins; no findings is HOLD, never ADVANCE."""
        return max(
            (finding.outcome for finding in self.findings), key=SEVERITY.__getitem__, default=Outcome.HOLD
        )

    @property
    def decisive(self) -> Finding | None:
        """The first finding that has the verdict's outcome."""
        return next((finding for finding in self.findings if finding.outcome is self.outcome), None)
