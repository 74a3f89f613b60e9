"""The tick: spool -> offsets and rollups in one transaction, every line exactly once.

Reading and parsing happen outside the transaction. Inside it each file's offset is moved by compare-and-set: if another tick moved
it first, nothing of this batch is written. A line that stands in the spool twice is caught by its request id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, case, delete, select, text, update

from promptship.adapters.database import insert_into, reading, writing
from promptship.adapters.telemetry.parse import HOUR_MS, Group, Ids, Parser
from promptship.adapters.telemetry.segments import Bad, Slice, lines_at, sizes, slices, unread_bytes
from promptship.adapters.telemetry.spool import FEEDBACK, OBSERVATIONS
from promptship.adapters.telemetry.tables import (
    NO_RELEASE,
    TOTAL_MS,
    TRAFFIC_KEY,
    TRAFFIC_SUMS,
    feedback,
    feedback_kinds,
    intake_minutes,
    latency_bins,
    quarantined_lines,
    seen_requests,
    spool_files,
    traffic,
    unix_ms,
)
from promptship.errors import Conflict, Unavailable
from promptship.ports import Clock, IngestReport
from promptship.routing.observation import Feedback, Observation

BATCHES_MAX: Final = 64
"""Batches of one tick; what is left then is `lag_bytes`, and the next tick's."""
SEEN_HOURS: Final = 24
"""How long a request id is remembered, by the hour of the request."""
QUARANTINE_ROWS_MAX: Final = 1000
"""Bad lines of one batch that are listed one by one; all are counted."""
_TRIES: Final = 3
_COUNTED: Final = {"preserve_rowcount": True}
"""SQLAlchemy forgets how many rows an INSERT added unless it is asked to remember."""


@dataclass(slots=True)
class _Batch:
    """One parsed batch, ready to be written."""

    taken: list[Slice]
    ids: list[Ids]
    groups: list[Group]
    feedback: list[dict[str, Any]]
    bad: list[Bad]
    report: IngestReport


class _SeenBefore(Exception):
    """Some request ids of the batch were already counted: a signal inside this module that rolls the transaction back."""


class Rollup:
    """Takes in one spool directory. Any number of them, in any processes, may tick at once."""

    def __init__(self, engine: Engine, spool: Path, clock: Clock, parser: Parser) -> None:
        self._engine = engine
        self._spool = spool
        self._clock = clock
        self._parser = parser
        self._finished: set[str] | None = None
        self._pruned_hour = 0

    def tick(self) -> IngestReport:
        """Read every file from its committed offset to its last newline. Stops quietly where another tick is faster.

        Raises:
            Unavailable: the database does not answer or the spool cannot be read; what was committed before stays.
        """
        try:
            return self._tick()
        except OSError as error:
            raise Unavailable(f"spool {self._spool}: {error.strerror or type(error).__name__}") from error

    def _tick(self) -> IngestReport:
        report = IngestReport()
        # Up to here and no further: under steady traffic there is always a little more, and a tick must end.
        there = sizes(self._spool)
        for _ in range(BATCHES_MAX):
            offsets, finished = self._positions()
            with self._parser.lock:
                taken = [
                    [
                        piece
                        for piece in slices(self._spool, stream, offsets, finished)
                        if piece.start < there.get(piece.file, 0) or piece.done
                    ]
                    for stream in (FEEDBACK, OBSERVATIONS)
                ]
                if not any(taken):
                    self._forget_old_ids()
                    return report
                try:
                    report = _sum(report, self._take_in(*taken))
                except Conflict:
                    break
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

    def _take_in(self, said: list[Slice], served: list[Slice]) -> IngestReport:
        batch = self._parsed(said, served)
        now = self._clock.now()
        for _ in range(_TRIES):
            try:
                with writing(self._engine) as connection:
                    report = _write(connection, batch, now)
            except _SeenBefore:
                self._without_seen(batch)
            else:
                self._remember_finished(batch.taken)
                return report
        raise Conflict("another tick counts the same requests at the same time")

    def _parsed(self, said: list[Slice], served: list[Slice]) -> _Batch:
        bad = [line for piece in (*said, *served) for line in piece.bad]
        rows: list[dict[str, Any]] = []
        given = 0
        if said:
            bad += lines_at(said, self._parser.load(Feedback, said))
            rows, given = self._parser.feedback(), self._parser.count()
        bad += lines_at(served, self._parser.load(Observation, served))
        report = IngestReport(observations=self._parser.count(), feedback=given, quarantined=len(bad))
        return _Batch([*said, *served], self._parser.ids(), self._parser.groups(), rows, bad, report)

    def _without_seen(self, batch: _Batch) -> None:
        with reading(self._engine) as connection:
            seen = [(ids.hour, request) for ids in batch.ids for request in _known(connection, ids)]
        dropped = self._parser.drop_duplicates(seen)
        batch.ids, batch.groups = self._parser.ids(), self._parser.groups()
        batch.report = replace(
            batch.report,
            observations=batch.report.observations - dropped,
            duplicates=batch.report.duplicates + dropped,
        )

    def _remember_finished(self, taken: Sequence[Slice]) -> None:
        if self._finished is not None:
            self._finished |= {piece.file for piece in taken if piece.done}

    def _forget_old_ids(self) -> None:
        hour = unix_ms(self._clock.now()) // HOUR_MS
        if hour > self._pruned_hour:
            with writing(self._engine) as connection:
                connection.execute(delete(seen_requests).where(seen_requests.c.hour < hour - SEEN_HOURS))
            self._pruned_hour = hour


def _write(connection: Connection, batch: _Batch, now: datetime) -> IngestReport:
    """One transaction's work. Keys are always written in the same order, so that two ticks queue instead of deadlocking."""
    for piece in sorted(batch.taken, key=lambda piece: piece.file):
        _move_offset(connection, piece)
    for ids in batch.ids:
        _remember(connection, ids)
    _add_traffic(connection, _with_totals(batch.groups))
    fresh = _add_feedback(connection, batch.feedback)
    report = replace(
        batch.report, feedback=fresh, duplicates=batch.report.duplicates + batch.report.feedback - fresh
    )
    _put_aside(connection, batch.bad, now)
    _count_intake(connection, report, now)
    return report


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


def _remember(connection: Connection, ids: Ids) -> None:
    """A batch is one statement: ten thousand bound parameters would cost more than everything else."""
    # SQLite needs a WHERE to tell ON CONFLICT from a join.
    listed = f"SELECT :hour, value FROM {_listed(connection)} WHERE true"  # noqa: S608
    statement = f"INSERT INTO seen_requests (hour, id) {listed} ON CONFLICT DO NOTHING"
    done = connection.execute(text(statement), {"hour": ids.hour, "ids": ids.json})
    if done.rowcount != ids.count:
        raise _SeenBefore


def _known(connection: Connection, ids: Ids) -> Sequence[str]:
    statement = (
        f"SELECT id FROM seen_requests WHERE hour = :hour AND id IN (SELECT value FROM {_listed(connection)})"  # noqa: S608
    )
    return connection.execute(text(statement), {"hour": ids.hour, "ids": ids.json}).scalars().all()


def _listed(connection: Connection) -> str:
    if connection.dialect.name == "sqlite":
        return "json_each(:ids)"
    return "json_array_elements_text(CAST(:ids AS json)) AS listed(value)"


def _add_traffic(connection: Connection, groups: list[Group]) -> None:
    added = insert_into(connection, traffic)
    add = added.on_conflict_do_update(
        index_elements=list(TRAFFIC_KEY),
        set_={name: traffic.c[name] + added.excluded[name] for name in TRAFFIC_SUMS},
    ).returning(traffic.c.slot)
    bins = []
    for group in groups:
        row = dict(zip((*TRAFFIC_KEY, *TRAFFIC_SUMS), (*group.key, *group.sums), strict=True))
        slot = connection.execute(add, row).scalar_one()
        bins += [
            {"slot": slot, "bin": number, "requests": requests} for number, requests in group.bins.items()
        ]
    if bins:
        counted = insert_into(connection, latency_bins)
        more = {"requests": latency_bins.c.requests + counted.excluded.requests}
        connection.execute(counted.on_conflict_do_update(index_elements=["slot", "bin"], set_=more), bins)


def _with_totals(groups: list[Group]) -> list[Group]:
    """The groups and, for every stage they touch, the gain of its total."""
    totals: dict[tuple[Any, ...], Group] = {}
    for group in groups:
        if group.key[0] != NO_RELEASE:
            key = (*group.key[:-2], TOTAL_MS, TOTAL_MS)
            totals.setdefault(key, Group(key, [0] * len(group.sums), {})).add(group.sums, group.bins)
    return sorted((*groups, *totals.values()), key=lambda group: group.key)


def _add_feedback(connection: Connection, rows: list[dict[str, Any]]) -> int:
    """How many were new; a replayed line has the key it had."""
    if not rows:
        return 0
    inserted = insert_into(connection, feedback).on_conflict_do_nothing()
    added = connection.execute(inserted, rows, execution_options=_COUNTED).rowcount
    first: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row["prompt"], row["kind"])
        first[key] = min(row["at_ms"], first.get(key, row["at_ms"]))
    for (prompt, kind), at_ms in sorted(first.items()):
        seen = insert_into(connection, feedback_kinds).values(prompt=prompt, kind=kind, first_at_ms=at_ms)
        earlier = case(
            (seen.excluded.first_at_ms < feedback_kinds.c.first_at_ms, seen.excluded.first_at_ms),
            else_=feedback_kinds.c.first_at_ms,
        )
        connection.execute(
            seen.on_conflict_do_update(index_elements=["prompt", "kind"], set_={"first_at_ms": earlier})
        )
    return added


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
    sums = {
        "observations": report.observations, "feedback": report.feedback,
        "duplicates": report.duplicates, "quarantined": report.quarantined,
    }  # fmt: skip
    added = insert_into(connection, intake_minutes).values(minute_ms=unix_ms(now) // 60_000 * 60_000, **sums)
    connection.execute(
        added.on_conflict_do_update(
            index_elements=["minute_ms"],
            set_={name: intake_minutes.c[name] + added.excluded[name] for name in sums},
        )
    )


def _sum(one: IngestReport, other: IngestReport) -> IngestReport:
    return IngestReport(
        observations=one.observations + other.observations,
        feedback=one.feedback + other.feedback,
        duplicates=one.duplicates + other.duplicates,
        quarantined=one.quarantined + other.quarantined,
    )
