"""Telemetry: spool -> exactly-once rollup -> counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from promptship.canary.evidence import Baseline, Health, StageCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What one tick read from the spools."""

    observations: int = 0
    feedback: int = 0
    scores: int = 0
    duplicates: int = 0
    quarantined: int = 0
    """Lines that were not a valid record; kept aside with file and offset."""
    lag_bytes: int = 0
    """Complete but unread bytes that remain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TidyReport:
    """What one tidying of the telemetry did."""

    rows: int = 0
    """Records that went from spool lines into the history."""
    files: int = 0
    """Files of the history that were made."""
    segments: int = 0
    """Spool files that these replace."""
    merged: int = 0
    """Files of the history that were merged into larger ones."""
    expired: int = 0
    """Files of the history that were deleted because their time was over."""


class Measurements(Protocol):
    """Telemetry: spool -> exactly-once rollup -> counts."""

    def ingest(self) -> IngestReport:
        """Read every spool from its committed offset to its last newline; commit offsets and rollups in one transaction."""
        ...

    def counts(
        self, release_id: str, stage: int, *, matures_after_s: dict[str, float], as_of: datetime
    ) -> StageCounts:
        """Counts since the stage began.

        A metric counts a bucket of requests only when the bucket ended at least `matures_after_s[metric]` seconds before `as_of`;
        feedback later than that after its request does not count. Units and requests per arm are counted whatever their age.
        """
        ...

    def baseline(self, version: str, metrics: Sequence[str], *, as_of: datetime, window_s: float) -> Baseline:
        """History of a version outside any release within the window before `as_of`."""
        ...

    def tidy(self) -> TidyReport:
        """Move what was read into the history, delete what is too old. Nothing is lost or doubled wherever it is interrupted.

        Raises:
            Unavailable: spool, history or database; what was done before stays done.
        """
        ...

    def warm_up(self) -> None:
        """Load what the first `check` would otherwise wait for (seconds); harmless to leave out."""
        ...

    def check(self, release_id: str, stage: int, *, as_of: datetime) -> Health:
        """The quality gate (Great Expectations) over a per-arm profile and a sample of recent rows of this stage."""
        ...
