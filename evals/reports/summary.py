"""A run in numbers, as it stands in every report and in the JSON. None: not measured."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from promptship.evals.verdict import Change, Tally


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Standing(StrEnum):
    """What a case came to over all arms: `Change` where there are two to compare, and `differs`."""

    REGRESSED = "regressed"
    DIFFERS = "differs"  # some arms pass it and others fail it
    FAILS = "fails"
    UNSCORED = "unscored"
    FLAKY = "flaky"
    IMPROVED = "improved"
    UNCHANGED = "unchanged"
    PASSES = "passes"

    @property
    def is_news(self) -> bool:
        """Whether somebody should look."""
        return self not in {Standing.UNCHANGED, Standing.PASSES}


WORST_FIRST = tuple(Standing)
STANDING = {change: Standing(change.value) for change in Change}


class Rate(_Value):
    """Share of trials that passed, as a mean over cases, 0..1.

    Limits are those of the verdict (`promptship.evals.verdict.ArmSummary`): one-sided at alpha each, over topics or cases, with
    one imagined extreme case. Together they are an interval at 1 - 2 alpha.
    """

    cases: int
    """With a score."""
    value: float | None = None
    low: float | None = None
    high: float | None = None


class Counted(_Value):
    """Trials, and what they took."""

    rows: int = 0
    passed: int = 0
    failed: int = 0
    unscored: int = 0
    """Without a score, with or without an answer."""
    errors: int = 0
    """Without an answer."""
    cached: int = 0
    """Answered by an earlier run: nothing was paid."""
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None
    """Part of `tokens_in` that the provider read from its own cache."""
    cost_usd: float | None = None
    """Of the answers that have a price."""
    unpriced: int = 0
    """New answers without one: `cost_usd` is too low by theirs."""
    cost_usd_per_1000: float | None = None
    """Of 1,000 new answers, from those that have a price."""
    judge_tokens: int = 0
    judge_cost_usd: float = 0.0
    judge_unpriced: int = 0
    """New answers of judges without a price: `judge_cost_usd` is too low by theirs."""


class ArmStats(_Value):
    """One arm over all cases."""

    arm: str
    prompt: str
    model: str
    counted: Counted
    rate: Rate
    k: int | None = None
    """Scored trials that every scored case has, with every arm."""
    pass_at_k: float | None = None
    """Mean chance that at least one of k trials passes."""
    pass_hat_k: float | None = None
    """Mean chance that all of k trials pass."""
    latency_ms_median: float | None = None
    """A trial's turns together. An answer from the cache counts with what it took when it was given."""
    latency_ms_p95: float | None = None
    """95 of 100 were at least as fast (nearest rank)."""


class SliceStats(_Value):
    """One arm over the cases with a tag."""

    tag: str
    arm: str
    rate: Rate


class MetricStats(_Value):
    """One named score with one arm."""

    metric: str
    arm: str
    count: int
    mean: float
    least: float
    greatest: float


class AssertionStats(_Value):
    """One assertion, by its label, with one arm."""

    label: str
    arm: str
    passed: int = 0
    failed: int = 0
    unscored: int = 0
    unscored_because: str = ""
    """The commonest reason."""


class WinStats(_Value):
    """Comparisons of one arm with stable by one `pairwise` assertion (`promptship.evals.judges.win_rate`)."""

    label: str
    arm: str
    cases: int
    wins: int
    ties: int
    losses: int
    rate: float
    """0..1; a tie is half a win; 0.5: as often better as worse."""
    low: float
    high: float
    """Limits one-sided at alpha each."""


class Why(_Value):
    """What the first trial that did not pass says. May quote the answer."""

    label: str = ""
    """Of the assertion; empty: the trial as a whole."""
    reason: str = ""


class CaseArm(_Value):
    """One case with one arm."""

    tally: Tally
    pass_at_k: float | None = None
    """Chance that at least one of the summary's k trials passes; None: fewer have a score."""
    pass_hat_k: float | None = None
    """Chance that all of them pass."""
    flaky: bool = False
    """Some trials passed and others failed."""
    failing: tuple[tuple[str, int], ...] = ()
    """Assertions that failed, and in how many trials."""
    why: Why | None = None
    """None: every trial passed."""


class CaseStats(_Value):
    """One case over all arms."""

    case: str
    standing: Standing
    arms: dict[str, CaseArm]
    attack: str = ""
    """What a red team's case sent, of its first trial that did not pass; empty: no such case, or it always passed."""


class JudgedRate(_Value):
    """How often a judge passed an arm's answers by `llm-rubric`, 0..1, as a mean over cases; and what people would have said."""

    arm: str
    cases: int
    value: float
    corrected: float | None = None
    """By the judge's calibration (`promptship.evals.judges.correction`, assuming the same errors as on the labels)."""
    low: float | None = None
    high: float | None = None
    """Two-sided limits of `corrected`, at 1 - 2 alpha."""
    drift: float | None = None
    """Standard errors between the judge's pass rate here and on the labels."""
    because: str = ""
    """Why it is not corrected."""


class Calibrated(_Value):
    """How far a judge agreed with people when it was calibrated; every number with its limits: value, low, high."""

    name: str
    labels: int
    at: date | None = None
    """None: the file does not say."""
    alpha: float
    """Of the limits, two-sided."""
    accuracy: tuple[float, float, float]
    kappa: tuple[float, float, float] | None
    bias: tuple[float, float, float]
    """Pass rate of the judge minus that of the people."""


class JudgeStats(_Value):
    """One judge: a model with its fingerprint, and the version of the rubrics it was asked by."""

    judge: str
    rubrics_version: str
    judged: int
    """Assertions that it decided or should have."""
    calibration: Calibrated | None = None
    because: str = ""
    """Why there is no calibration that fits."""
    rates: tuple[JudgedRate, ...] = ()


class Summary(_Value):
    """A whole run."""

    alpha: float = Field(gt=0, lt=0.5)
    """One-sided, of every limit."""
    k: int | None = None
    totals: Counted
    arms: tuple[ArmStats, ...]
    cases: tuple[CaseStats, ...]
    """In the order of the suite."""
    slices: tuple[SliceStats, ...] = ()
    metrics: tuple[MetricStats, ...] = ()
    assertions: tuple[AssertionStats, ...] = ()
    """Those that failed or had no score at least once with some arm; most failures first."""
    wins: tuple[WinStats, ...] = ()
    """Empty: nothing was compared with stable."""
    judges: tuple[JudgeStats, ...] = ()
    """Models that judged, with what is known of how far they agree with people."""
    unscored_because: tuple[tuple[str, int], ...] = ()
    """Reasons of trials without a score, commonest first."""
