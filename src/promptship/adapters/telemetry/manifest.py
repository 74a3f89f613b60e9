"""The manifest in the ledger's database: the only list of what belongs to the history, and which segments it replaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, select, update

from promptship.adapters.telemetry.tables import history_files, quarantined_lines, spool_files
from promptship.errors import Conflict

REPLACED: Final = ""
"""Stream of a file whose records stand in a merged one; when it was replaced is its `made_ms`. It is no longer part of the history."""


@dataclass(frozen=True, slots=True)
class HistoryFile:
    """A Parquet file of one stream and day; times of its records in Unix milliseconds."""

    path: str
    stream: str
    day: str
    rows: int
    bytes: int
    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Retired:
    """A segment to be replaced: its name, and how far it must have been read."""

    name: str
    read_bytes: int


def files(
    connection: Connection,
    stream: str = "",
    span: tuple[int, int] | None = None,
    *,
    with_replaced: bool = False,
) -> list[HistoryFile]:
    """What the manifest lists, of one stream, of records within a span of time; `with_replaced`: also what is only kept for a while."""
    table = history_files.c
    query = select(
        table.path, table.stream, table.day, table.rows, table.bytes, table.first_ms, table.last_ms
    ).order_by(table.path)
    if stream:
        query = query.where(table.stream == stream)
    elif not with_replaced:
        query = query.where(table.stream != REPLACED)
    if span is not None:
        query = query.where(table.first_ms <= span[1], table.last_ms >= span[0])
    return [HistoryFile(*row) for row in connection.execute(query)]


def replace_segments(
    connection: Connection, segments: Sequence[Retired], made: Sequence[HistoryFile], at_ms: int
) -> None:
    """List files and retire the segments whose lines they hold, in the caller's transaction. Raises Conflict: somebody else did."""
    for segment in segments:
        at = (
            (spool_files.c.name == segment.name)
            & (spool_files.c.read_bytes == segment.read_bytes)
            & spool_files.c.retired_ms.is_(None)
        )
        retired = connection.execute(update(spool_files).where(at).values(retired_ms=at_ms, done=True))
        if retired.rowcount != 1:
            raise Conflict(f"{segment.name}: another compaction took it first")
    _list(connection, made, at_ms)


def replace_files(
    connection: Connection, group: Sequence[HistoryFile], made: HistoryFile, at_ms: int
) -> None:
    """List a file instead of others, in the caller's transaction; they stay known as replaced. Raises Conflict: one is not listed."""
    for one in sorted(group, key=lambda one: one.path):
        at = (history_files.c.path == one.path) & (history_files.c.stream == one.stream)
        done = connection.execute(update(history_files).where(at).values(stream=REPLACED, made_ms=at_ms))
        if done.rowcount != 1:
            raise Conflict(f"{one.path}: no longer listed")
    _list(connection, [made], at_ms)


def replaced(connection: Connection, before_ms: int) -> list[str]:
    """Files that were replaced before a time: no query can still read them."""
    old = (history_files.c.stream == REPLACED) & (history_files.c.made_ms < before_ms)
    return list(
        connection.execute(select(history_files.c.path).where(old).order_by(history_files.c.path)).scalars()
    )


def forget_files(connection: Connection, paths: Sequence[str]) -> None:
    """Replaced files that were deleted."""
    at = history_files.c.path.in_(paths) & (history_files.c.stream == REPLACED)
    connection.execute(delete(history_files).where(at))


def _list(connection: Connection, made: Sequence[HistoryFile], at_ms: int) -> None:
    if made:
        rows = [
            {
                "path": one.path, "stream": one.stream, "day": one.day, "rows": one.rows, "bytes": one.bytes,
                "first_ms": one.first_ms, "last_ms": one.last_ms, "made_ms": at_ms,
            }
            for one in made
        ]  # fmt: skip
        connection.execute(history_files.insert(), rows)


def retired(connection: Connection) -> dict[str, tuple[int, bool]]:
    """Segments whose lines are in the history: name -> (when, whether some of its lines were bad)."""
    odd = select(quarantined_lines.c.file).where(quarantined_lines.c.file == spool_files.c.name).exists()
    query = select(spool_files.c.name, spool_files.c.retired_ms, odd).where(
        spool_files.c.retired_ms.is_not(None)
    )
    return {name: (int(at_ms), bool(bad)) for name, at_ms, bad in connection.execute(query)}


def forget(connection: Connection, names: Sequence[str]) -> None:
    """Segments that were deleted, durably, from their spool: nobody can ever read them again."""
    for name in names:
        connection.execute(delete(spool_files).where(spool_files.c.name == name))


def drop_before(connection: Connection, at_ms: int) -> list[str]:
    """Take files whose last record is older than this off the list; returns their paths."""
    old = (history_files.c.last_ms < at_ms) & (history_files.c.stream != REPLACED)
    paths = list(connection.execute(select(history_files.c.path).where(old)).scalars())
    connection.execute(delete(history_files).where(old))
    return paths
