"""The `Measurements` port over a spool directory and a SQL database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from sqlalchemy import Engine

from promptship.adapters.database import reading
from promptship.adapters.telemetry import counts, docs_pages, gate, sample
from promptship.adapters.telemetry.compaction import Compacted, Compaction
from promptship.adapters.telemetry.lake import Lake
from promptship.adapters.telemetry.merge import Merge
from promptship.adapters.telemetry.retention import prune
from promptship.adapters.telemetry.rollup import Rollup
from promptship.adapters.telemetry.tables import unix_ms
from promptship.canary.evidence import Baseline, Health, StageCounts
from promptship.errors import Conflict
from promptship.ports import Clock, IngestReport, TidyReport


class SpoolMeasurements:
    """Telemetry of one spool directory. Several may share a database, on one host or on many; each ticks its own spool."""

    def __init__(
        self,
        engine: Engine,
        spool: Path,
        clock: Clock,
        *,
        bucket_s: float,
        history: str = "",
        docs: Path | None = None,
        keep_history_s: float = 90 * 86_400.0,
        keep_spool_s: float = 7 * 86_400.0,
    ) -> None:
        self._engine = engine
        self._spool = spool
        self._clock = clock
        self._bucket_s = bucket_s
        self._lake = Lake(history or str(spool.parent / "history"))
        self._docs = docs
        self._keep = (keep_history_s, keep_spool_s)

    @cached_property
    def _rollup(self) -> Rollup:
        return Rollup(self._engine, self._spool, self._clock, self._bucket_s)

    def ingest(self) -> IngestReport:
        """Read every spool file from its committed offset to its last newline; `Measurements.ingest`."""
        return self._rollup.tick()

    def counts(
        self, release_id: str, stage: int, *, matures_after_s: dict[str, float], as_of: datetime
    ) -> StageCounts:
        """Cumulative counts of a stage; `Measurements.counts`. Raises NotFound for a metric that nobody measures."""
        with reading(self._engine) as connection:
            return counts.stage_counts(connection, release_id, stage, matures_after_s, as_of)

    def baseline(self, version: str, metrics: Sequence[str], *, as_of: datetime, window_s: float) -> Baseline:
        """History of a version; `Measurements.baseline`. Raises NotFound for a metric that nobody measures."""
        with reading(self._engine) as connection:
            return counts.history(connection, version, metrics, as_of, window_s)

    def warm_up(self) -> None:
        """Import Great Expectations, which takes 5 s."""
        gate.load()

    def check(self, release_id: str, stage: int, *, as_of: datetime) -> Health:
        """The quality gate; `Measurements.check`. The first call imports Great Expectations, which takes seconds.

        Its Data Docs are kept as `<docs>/<release>-stage-<stage>-<part>.html`, where a directory for them was given.
        """
        found = self.examine(release_id, stage, as_of=as_of, pages=self._docs is not None)
        if self._docs is not None:
            docs_pages.keep(self._docs, release_id, stage, found.pages)
        return found.health

    def examine(
        self, release_id: str, stage: int, *, as_of: datetime, pages: bool = False
    ) -> gate.Examination:
        """The quality gate with Great Expectations' own results, for the audit trail."""
        with reading(self._engine) as connection:
            profile = gate.profile(connection, release_id, stage, as_of)
        newest = sample.newest(self._spool, release_id, stage)
        return gate.examine(profile, newest, as_of, pages=pages)

    def tidy(self) -> TidyReport:
        """Compact what can be, delete what is too old; `Measurements.tidy`."""
        compaction = Compaction(self._engine, self._spool, self._lake, self._clock)
        try:
            done = compaction.run()
        except Conflict:  # Somebody else is at it, and will finish.
            done = Compacted()
        history_s, spool_s = self._keep
        kept_until = self._clock.now() - timedelta(seconds=spool_s)
        compaction.delete_retired(bad_before_ms=unix_ms(kept_until))
        if self._docs is not None:
            docs_pages.remove_old(self._docs, kept_until.timestamp())
        expired = prune(self._engine, self._lake, self._clock, history_s=history_s, spool_s=spool_s)
        merged = Merge(self._engine, self._lake, self._clock).run()
        return TidyReport(
            rows=done.rows, files=done.files, segments=done.segments, merged=merged, expired=expired
        )

    def close(self) -> None:
        """Free memory; the next call builds it up again."""
        self.__dict__.pop("_rollup", None)
