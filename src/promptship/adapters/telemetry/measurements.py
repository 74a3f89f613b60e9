"""The `Measurements` port over a spool directory and a SQL database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path

from sqlalchemy import Engine

from promptship.adapters.database import reading
from promptship.adapters.telemetry import counts, gate
from promptship.adapters.telemetry.parse import Parser
from promptship.adapters.telemetry.rollup import Rollup
from promptship.canary.evidence import Baseline, Health, StageCounts
from promptship.ports import Clock, IngestReport


class SpoolMeasurements:
    """Telemetry of one spool directory. Several may share a database, on one host or on many; each ticks its own spool."""

    def __init__(self, engine: Engine, spool: Path, clock: Clock, *, bucket_s: float) -> None:
        self._engine = engine
        self._spool = spool
        self._clock = clock
        self._bucket_s = bucket_s

    @cached_property
    def _parser(self) -> Parser:
        return Parser(self._bucket_s)

    @cached_property
    def _rollup(self) -> Rollup:
        return Rollup(self._engine, self._spool, self._clock, self._parser)

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
        """The quality gate; `Measurements.check`. The first call imports Great Expectations, which takes seconds."""
        return self.examine(release_id, stage, as_of=as_of).health

    def examine(self, release_id: str, stage: int, *, as_of: datetime) -> gate.Examination:
        """The quality gate with Great Expectations' own results, for the audit trail."""
        with reading(self._engine) as connection:
            profile = gate.profile(connection, release_id, stage, as_of)
        with self._parser.lock:
            sample = self._parser.sample(self._spool, release_id, stage)
        return gate.examine(profile, sample, as_of)

    def close(self) -> None:
        """Free DuckDB's memory; the next call opens it again."""
        if "_parser" in self.__dict__:
            self._parser.close()
        self.__dict__.pop("_rollup", None)
        self.__dict__.pop("_parser", None)
