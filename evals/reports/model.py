"""A run that is to be reported: what ran, and where its rows are. Rows are streamed; nobody holds all answers in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from promptship.errors import PromptshipError
from promptship.evals.promptfoo.model import Note
from promptship.evals.rows import Arm, ArmFacts, CaseFacts, Row
from promptship.evals.verdict import SuiteVerdict

if TYPE_CHECKING:
    from promptship.evals.judges.calibration import Calibration


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What every format is written from."""

    title: str
    id: str = ""
    """Of the run, to find it again and to resume it."""
    at: datetime | None = None
    """When it began."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """What ran, for people: files, commit, trials."""
    arms: tuple[ArmFacts, ...]
    """In the order in which they are shown. `candidate` and `stable` are compared; other arms stand side by side."""
    cases: tuple[CaseFacts, ...]
    verdicts: tuple[SuiteVerdict, ...] = ()
    """Empty: nothing was to be decided (a matrix, a promptfoo run)."""
    rows: Callable[[], Iterator[Row]]
    """Every trial once, in any order; called again for every pass."""
    notes: tuple[Note, ...] = ()
    """Compatibility report: what of a promptfoo configuration works otherwise here."""
    duration_s: float | None = None
    reused: int = 0
    """Rows taken over from an earlier run."""
    pass_rate_min: float = 1.0
    """Share of all trials that must pass for a run without verdicts to pass, 0..1 (`promptship.evals.outcome.concluded`)."""
    down: Mapping[str, PromptshipError] = field(default_factory=dict)
    """Endpoints that could not answer, without which there is no verdict, and why."""
    calibrations: tuple[Calibration, ...] | None = None
    """Every one that is kept (`promptship.evals.judges.calibration.kept`); None: the run's judges cannot be calibrated."""

    @property
    def baseline(self) -> Arm | None:
        """With whom the others are compared: `stable`, if it was asked besides others."""
        others = [arm.key for arm in self.arms if arm.key != STABLE]
        return STABLE if others and len(others) < len(self.arms) else None


STABLE: Arm = "stable"
