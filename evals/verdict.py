"""What a suite says about a candidate. Kept in the ledger: numbers, case ids and names of assertions; no prompt, no answer."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from promptship.evals.suite_file import Severity


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SuiteOutcome(StrEnum):
    """What was concluded. Only `unscored` is worth another try."""

    PASSED = "passed"  # non-inferiority is shown, or (without stable) the absolute rules hold
    TOO_SMALL = "too_small"  # neither a drop nor its absence is shown: more cases or trials would tell
    REGRESSED = "regressed"  # a drop is shown, or a blocking case was lost
    BELOW_FLOOR = "below_floor"  # an absolute rule is broken: pass rate, or a blocking case without stable
    UNSCORED = "unscored"  # too many trials have no score: no verdict at all


class Change(StrEnum):
    """What became of one case."""

    REGRESSED = (
        "regressed"  # passed in more than half of stable's trials, in less than half of the candidate's
    )
    IMPROVED = "improved"  # the reverse
    FLAKY = "flaky"  # some version sometimes passes and sometimes fails
    UNCHANGED = "unchanged"  # both always pass, or both always fail
    PASSES = "passes"  # always; there is nothing to compare with
    FAILS = "fails"  # always; there is nothing to compare with
    UNSCORED = "unscored"  # no trial of some version has a score


class Tally(_Value):
    """Trials of one case with one version."""

    passed: int = 0
    trials: int = 0
    """With a score."""
    unscored: int = 0
    passes_min: int | None = None
    """So many must pass for the case to pass; None: the share counts."""

    @property
    def rate(self) -> float | None:
        """Share that passed, or 1 or 0 under a k-of-n rule; None when nothing was scored, or too little to tell."""
        if not self.trials:
            return None
        if self.passes_min is None:
            return self.passed / self.trials
        if self.passed >= self.passes_min:
            return 1.0
        return 0.0 if self.passed + self.unscored < self.passes_min else None

    @property
    def flaky(self) -> bool:
        """Whether some trials passed and others failed."""
        return 0 < self.passed < self.trials


class CaseChange(_Value):
    """One case, both versions. `failing`: the assertions the candidate failed, and how often."""

    case: str
    change: Change
    severity: Severity
    candidate: Tally
    stable: Tally | None
    failing: tuple[tuple[str, int], ...] = ()


class ArmSummary(_Value):
    """One version over the whole suite. Limits are one-sided at alpha each, over cases, with one imagined extreme case."""

    pass_rate: float | None = None
    """Mean over cases of the share of trials that passed, 0..1; None when nothing was scored."""
    pass_rate_low: float | None = None
    pass_rate_high: float | None = None
    trials: int
    """With a score."""
    unscored: int
    k: int | None = None
    """Scored trials that every scored case has, in both versions."""
    pass_at_k: float | None = None
    """Mean chance that at least one of k trials passes."""
    pass_hat_k: float | None = None
    """Mean chance that all of k trials pass."""
    tokens_in: int | None = None
    tokens_out: int | None = None
    latency_ms_median: float | None = None
    judge_tokens: int = 0


class Difference(_Value):
    """Candidate - stable over the cases that have both (`promptship.evals.statistics.Paired`)."""

    cases: int
    topics: int | None = None
    """Independent facts among them: topics, and cases without one; None: every case is one."""
    mean: float
    error: float | None
    low: float
    high: float | None
    p_drop: float | None
    detectable_drop: float


class Rules(_Value):
    """What the run was judged by: the plan's `regression` block."""

    margin: float
    alpha: float
    unscored_max: float
    pass_rate_min: float


class SuiteVerdict(_Value):
    """One suite's answer, with its numbers."""

    kind: Literal["suite"] = "suite"
    suite: str
    outcome: SuiteOutcome
    passes: bool
    """Whether the release goes on. `too_small` goes on, with its warning: the canary follows."""
    because: str
    """Whole sentence for people."""
    warnings: tuple[str, ...] = ()
    rules: Rules
    cases: Annotated[int, Field(ge=0)]
    candidate: ArmSummary
    stable: ArmSummary | None = None
    difference: Difference | None = None
    counts: dict[Change, int] = Field(default_factory=dict)
    """Cases by what became of them."""
    changes: tuple[CaseChange, ...] = ()
    """Every case that is neither `unchanged` nor `passes`; worst first, at most CHANGES_MAX."""
    left_out: int = 0
    """Changes beyond that."""
    not_asked: int = 0
    """Trials left out because the outcome was certain without them."""
    unscored_because: tuple[tuple[str, int], ...] = ()
    """The commonest reasons of trials without a score, and how often."""
