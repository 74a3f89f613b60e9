"""The tick: spool -> offsets and rollups in one transaction, every line exactly once.

Reading and parsing happen outside the transaction. Inside it each file's offset is moved by compare-and-set: if another tick moved
it first, nothing of this batch is written. A line that stands in the spool twice is caught by the id of its request.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Engine, Table, delete, select, text, update

from promptship.adapters.database import insert_into, reading, writing
from promptship.adapters.telemetry.batch import Batch, parsed
from promptship.adapters.telemetry.grouping import HOUR_MS, LATENCY, Group
from promptship.adapters.telemetry.said import add_feedback, listed
from promptship.adapters.telemetry.segments import STREAMS, Bad, Slice, sizes, slices, unread_bytes
from promptship.adapters.telemetry.tables import (
    TRAFFIC_KEY,
    TRAFFIC_SUMS,
    checks,
    intake_minutes,
    latency_bins,
    quarantined_lines,
    seen_requests,
    spool_files,
    traffic,
    unix_ms,
    value_bins,
)
from promptship.adapters.telemetry.unit_store import UnitStore
from promptship.adapters.telemetry.units import combined
from promptship.errors import Conflict, Unavailable
from promptship.ports import Clock, IngestReport

BATCHES_MAX: Final = 64
"""Batches of one tick; what is left then is `lag_bytes`, and the next tick's."""
SEEN_HOURS: Final = 24
"""How long a request id is remembered, by the hour of the request."""
QUARANTINE_ROWS_MAX: Final = 1000
"""Bad lines of one batch that are listed one by one; all are counted."""
_TRIES: Final = 3
_COUNTED: Final = {"preserve_rowcount": True}
"""SQLAlchemy forgets how many rows an INSERT added unless it is asked to remember."""


class _SeenBefore(Exception):
    """Some request ids of the batch were already counted: a signal inside this module that rolls the transaction back."""


class Rollup:
    """Takes in one spool directory. Any number of them, in any processes, may tick at once."""

    def __init__(self, engine: Engine, spool: Path, clock: Clock, bucket_s: float) -> None:
        self._engine = engine
        self._spool = spool
        self._clock = clock
        self._width_ms = max(1, round(bucket_s * 1000))
        self._units = UnitStore()
        self._finished: set[str] | None = None
        self._pruned_hour = 0
        self._one_at_a_time = threading.Lock()

    def tick(self) -> IngestReport:
        """Read every file from its committed offset to its last newline. Stops quietly where another tick is faster.

        Raises:
            Unavailable: the database does not answer or the spool cannot be read; what was committed before stays.
        """
        try:
            with self._one_at_a_time:
                return self._tick()
        except OSError as error:
            raise Unavailable(f"spool {self._spool}: {error.strerror or type(error).__name__}") from error

    def _tick(self) -> IngestReport:
        report = IngestReport()
        # Up to here and no further: under steady traffic there is always a little more, and a tick must end.
        there = sizes(self._spool)
        for _ in range(BATCHES_MAX):
            offsets, finished = self._positions()
            taken = [
                [
                    piece
                    for piece in slices(self._spool, stream, offsets, finished)
                    if piece.start < there.get(piece.file, 0) or piece.done
                ]
                for stream in STREAMS
            ]
            said, scored, served = taken
            if not any(taken):
                self._forget_old_ids()
                return report
            try:
                report = _sum(report, self._take_in(parsed(said, scored, served, self._width_ms)))
            except Conflict:
                break
            read = {piece.file: piece.end for pieces in taken for piece in pieces}
            offsets |= read
            if all(offsets.get(file, 0) >= size for file, size in there.items() if file not in finished):
                self._forget_old_ids()  # no need to look once more
                return report
        offsets, finished = self._positions()
        return replace(report, lag_bytes=unread_bytes(self._spool, offsets, finished))

    def _positions(self) -> tuple[dict[str, int], set[str]]:
        """Offsets of open files, and the finished ones, which are read from the ledger once."""
        with reading(self._engine) as connection:
            query = select(spool_files.c.name, spool_files.c.read_bytes, spool_files.c.done)
            if self._finished is None:
                self._finished = set(connection.execute(query.where(spool_files.c.done)).scalars())
            offsets = {name: read for name, read, _ in connection.execute(query.where(~spool_files.c.done))}
        return offsets, self._finished

    def _take_in(self, batch: Batch) -> IngestReport:
        now = self._clock.now()
        for _ in range(_TRIES):
            try:
                with writing(self._engine) as connection:
                    report, pending = self._write(connection, batch, now)
            except _SeenBefore:
                with reading(self._engine) as connection:
                    batch.drop(
                        (hour, name)
                        for hour, names in batch.ids.items()
                        for name in _known(connection, hour, names)
                    )
            else:
                self._units.keep(pending)
                if self._finished is not None:
                    self._finished |= {piece.file for piece in batch.taken if piece.done}
                return report
        raise Conflict("another tick counts the same requests at the same time")

    def _write(self, connection: Connection, batch: Batch, now: datetime) -> tuple[IngestReport, Any]:
        """One transaction's work. Keys are always written in the same order, so that two ticks queue instead of deadlocking."""
        for piece in sorted(batch.taken, key=lambda piece: piece.file):
            _move_offset(connection, piece)
            # A file that is new to the ledger because it was counted, compacted and forgotten since it was read is deleted by now.
            if not piece.known and not (self._spool / piece.file).exists():
                raise Conflict(f"{piece.file}: counted and compacted meanwhile")
        for hour, names in sorted(batch.ids.items()):
            _remember(connection, hour, names)
        _add_groups(connection, batch.groups)
        fresh, said_by_units = add_feedback(connection, batch.said)
        pending = self._units.add(connection, combined(batch.units, said_by_units), unix_ms(now))
        report = IngestReport(
            observations=batch.served.count, feedback=fresh, scores=batch.scored.count,
            duplicates=batch.duplicates + batch.said_lines - fresh, quarantined=len(batch.bad),
        )  # fmt: skip
        _put_aside(connection, batch.bad, now)
        _count_intake(connection, report, now)
        return report, pending

    def _forget_old_ids(self) -> None:
        hour = unix_ms(self._clock.now()) // HOUR_MS
        if hour > self._pruned_hour:
            with writing(self._engine) as connection:
                connection.execute(delete(seen_requests).where(seen_requests.c.hour < hour - SEEN_HOURS))
            self._pruned_hour = hour


def _move_offset(connection: Connection, piece: Slice) -> None:
    values = {"read_bytes": piece.end, "done": piece.done}
    if piece.known:
        at = (
            (spool_files.c.name == piece.file)
            & (spool_files.c.read_bytes == piece.start)
            & ~spool_files.c.done
        )
        moved = connection.execute(update(spool_files).where(at).values(values))
    else:
        fresh = insert_into(connection, spool_files).values(name=piece.file, **values)
        moved = connection.execute(fresh.on_conflict_do_nothing(), execution_options=_COUNTED)
    if moved.rowcount != 1:
        raise Conflict(f"{piece.file}: another tick read it first")


def _remember(connection: Connection, hour: int, names: Sequence[str]) -> None:
    """A batch is one statement: ten thousand bound parameters would cost more than everything else."""
    # SQLite needs a WHERE to tell ON CONFLICT from a join.
    values = f"SELECT :hour, value FROM {listed(connection)} WHERE true"  # noqa: S608
    statement = f"INSERT INTO seen_requests (hour, id) {values} ON CONFLICT DO NOTHING"
    done = connection.execute(text(statement), {"hour": hour, "ids": orjson.dumps(names).decode()})
    if done.rowcount != len(names):
        raise _SeenBefore


def _known(connection: Connection, hour: int, names: Sequence[str]) -> Sequence[str]:
    statement = (
        f"SELECT id FROM seen_requests WHERE hour = :hour AND id IN (SELECT value FROM {listed(connection)})"  # noqa: S608
    )
    values = {"hour": hour, "ids": orjson.dumps(names).decode()}
    return connection.execute(text(statement), values).scalars().all()


def _add_groups(connection: Connection, groups: Sequence[Group]) -> None:
    latency: list[tuple[Any, ...]] = []
    values: list[tuple[Any, ...]] = []
    scored: list[tuple[Any, ...]] = []
    for group in groups:
        row = (*group.key, *(group.sums.get(name, 0) for name in TRAFFIC_SUMS))
        statement = _adding(connection.dialect.name, traffic, (*TRAFFIC_KEY, *TRAFFIC_SUMS), TRAFFIC_KEY)
        slot = connection.exec_driver_sql(f"{statement} RETURNING slot", row).scalar_one()
        for metric, bins in sorted(group.bins.items()):
            if metric == LATENCY:
                latency += [(slot, number, n) for number, n in sorted(bins.items())]
            else:
                values += [(slot, metric, number, n) for number, n in sorted(bins.items())]
        scored += [(slot, name, *counts) for name, counts in sorted(group.checks.items())]
    _add_to(connection, latency_bins, latency, 2)
    _add_to(connection, value_bins, values, 3)
    _add_to(connection, checks, scored, 2)


def _add_to(connection: Connection, table: Table, rows: list[tuple[Any, ...]], keys: int) -> None:
    """Add rows, all columns of them, to those that may be there; the first `keys` columns are the key."""
    if rows:
        names = tuple(column.name for column in table.columns)
        connection.exec_driver_sql(_adding(connection.dialect.name, table, names, names[:keys]), rows)


@lru_cache(maxsize=32)
def _adding(dialect: str, table: Table, names: tuple[str, ...], key: tuple[str, ...]) -> str:
    """The statement, as the driver takes it: SQLAlchemy takes longer to prepare a row's parameters than SQLite to add the row."""
    given = ", ".join(["?" if dialect == "sqlite" else "%s"] * len(names))
    sums = ", ".join(f"{name} = {table.name}.{name} + excluded.{name}" for name in names if name not in key)
    return (
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({given}) "  # noqa: S608 - names of our own tables
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {sums}"
    )


def _put_aside(connection: Connection, bad: list[Bad], now: datetime) -> None:
    rows = [
        {
            "file": line.file, "start_byte": line.start_byte, "length_bytes": line.length_bytes, "sha256": line.sha256,
            "reason": line.reason, "found_at_ms": unix_ms(now),
        }
        for line in bad[:QUARANTINE_ROWS_MAX]
    ]  # fmt: skip
    if rows:
        connection.execute(insert_into(connection, quarantined_lines).on_conflict_do_nothing(), rows)


def _count_intake(connection: Connection, report: IngestReport, now: datetime) -> None:
    minute_ms = unix_ms(now) // 60_000 * 60_000
    row = (
        minute_ms,
        report.observations,
        report.feedback,
        report.scores,
        report.duplicates,
        report.quarantined,
    )
    _add_to(connection, intake_minutes, [row], 1)


def _sum(one: IngestReport, other: IngestReport) -> IngestReport:
    return IngestReport(
        observations=one.observations + other.observations,
        feedback=one.feedback + other.feedback,
        scores=one.scores + other.scores,
        duplicates=one.duplicates + other.duplicates,
        quarantined=one.quarantined + other.quarantined,
    )
