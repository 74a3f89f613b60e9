"""Small files of the history -> few large ones, usually one a day. A crash at any point loses nothing and doubles nothing.

1. The merged file is written, synced and renamed; nobody reads it yet, because it is not in the manifest.
2. One ledger transaction lists it and takes the files that it replaces off the list: readers see either them or it.
3. Replaced files stay for `REPLACED_S`, for queries that have begun; then they are deleted, and only then forgotten.

A record is written again only into a file at least twice as large as the one it comes from (a small remainder aside), so that
merging a day costs a handful of passes, however often it runs.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from sqlalchemy import Engine

from promptship.adapters.database import reading, writing
from promptship.adapters.telemetry import manifest
from promptship.adapters.telemetry.lake import Lake
from promptship.adapters.telemetry.manifest import HistoryFile
from promptship.adapters.telemetry.tables import unix_ms
from promptship.errors import Conflict
from promptship.ports import Clock

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SMALL_BYTES: Final = 4 * 1024 * 1024
"""Files up to this size are merged whenever there are two of a day."""
MERGED_BYTES_MAX: Final = 256 * 1024 * 1024
"""More is not put into one file; some ten million records."""
OVER_DAYS: Final = 2
"""A day that began so long ago is over: what still comes is little, so its files become one unless that is hardly worth it."""
WORTH: Final = 8
"""Of a day that is over a file is written again when the others together have at least this fraction of its bytes."""
REPLACED_S: Final = 3600.0
MEMORY: Final = "1GB"
_log = logging.getLogger(__name__)


class Merge:
    """Of one history. Several may run at once, on one host or on many. `after` is told each step: tests end it there."""

    def __init__(
        self, engine: Engine, lake: Lake, clock: Clock, *, after: Callable[[str], None] = lambda _: None
    ) -> None:
        self._engine = engine
        self._lake = lake
        self._clock = clock
        self._after = after

    def run(self) -> int:
        """Merge what is worth it, and delete what was replaced long ago; returns how many files were replaced.

        Raises:
            Unavailable: disk, remote store or database; what was done before stays done.
        """
        with reading(self._engine) as connection:
            listed = manifest.files(connection)
        over_before = (self._clock.now() - timedelta(days=OVER_DAYS)).date().isoformat()
        groups = [group for group in worth_merging(listed, over_before) if self._are_here(group)]
        replaced = sum(len(group) for group in groups if self._merge(group)) if groups else 0
        self._delete_replaced()
        return replaced

    def _are_here(self, group: Sequence[HistoryFile]) -> bool:
        """A directory that other hosts do not share holds only what was compacted on this one."""
        return not self._lake.is_local or all(Path(self._lake.address(one.path)).exists() for one in group)

    def _merge(self, group: Sequence[HistoryFile]) -> bool:
        import duckdb

        path = f"{group[0].stream}/dt={group[0].day}/{uuid4().hex}.parquet"
        with tempfile.TemporaryDirectory() as scratch, duckdb.connect(":memory:") as duck:
            _bound(duck, scratch)
            self._lake.attach(duck)
            addresses = ", ".join(
                "'" + self._lake.address(one.path).replace("'", "''") + "'" for one in group
            )
            rows = (
                f"SELECT * FROM read_parquet([{addresses}], union_by_name = true, hive_partitioning = false)"  # noqa: S608
            )
            size = self._lake.publish(duck, f"{rows} ORDER BY prompt, arm, at_ms, id", path)
            self._after("merged file published")
            with self._lake.told():
                made = self._made(duck, group, path, size)
        if made is None:
            self._lake.remove(path)
            return False
        return self._replace(group, made)

    def _made(
        self, duck: DuckDBPyConnection, group: Sequence[HistoryFile], path: str, size: int
    ) -> HistoryFile | None:
        """The merged file as the manifest lists it; None when it does not hold every record."""
        (counted,) = duck.execute(
            "SELECT count(*) FROM read_parquet($1)", [self._lake.address(path)]
        ).fetchall()
        rows = sum(one.rows for one in group)
        if counted[0] != rows:
            _log.error(
                "history of %s, %s: its files hold %d records, the manifest lists %d; they are not merged",
                group[0].stream, group[0].day, counted[0], rows,
            )  # fmt: skip
            return None
        first_ms, last_ms = min(one.first_ms for one in group), max(one.last_ms for one in group)
        return HistoryFile(path, group[0].stream, group[0].day, rows, size, first_ms, last_ms)

    def _replace(self, group: Sequence[HistoryFile], made: HistoryFile) -> bool:
        try:
            with writing(self._engine) as connection:
                manifest.replace_files(connection, group, made, unix_ms(self._clock.now()))
        except Conflict:  # Another merge was faster, or retention took one of the files.
            self._lake.remove(made.path)
            return False
        self._after("files replaced")
        return True

    def _delete_replaced(self) -> None:
        before = unix_ms(self._clock.now() - timedelta(seconds=REPLACED_S))
        with reading(self._engine) as connection:
            gone = manifest.replaced(connection, before)
        for path in gone:
            self._lake.remove(path)
        self._after("replaced files deleted")
        if gone:
            with writing(self._engine) as connection:
                manifest.forget_files(connection, gone)
        self._after("replaced files forgotten")


def worth_merging(listed: Sequence[HistoryFile], over_before: str) -> Iterator[list[HistoryFile]]:
    """Files to be merged, a group for each stream and day that has some. Pure.

    Args:
        listed: the manifest.
        over_before: ISO date; earlier days are over.
    """
    days: dict[tuple[str, str], list[HistoryFile]] = {}
    for one in listed:
        days.setdefault((one.stream, one.day), []).append(one)
    for (_, day), files in sorted(days.items()):
        factor = WORTH if day < over_before else 1
        group: list[HistoryFile] = []
        size = 0
        for one in sorted(files, key=lambda one: (one.bytes, one.path)):
            if one.bytes > max(SMALL_BYTES, factor * size) or size + one.bytes > MERGED_BYTES_MAX:
                break
            group.append(one)
            size += one.bytes
        if len(group) > 1:
            yield group


def _bound(duck: DuckDBPyConnection, scratch: str) -> None:
    """Sorting more than fits into memory goes to the disk."""
    quoted = scratch.replace("'", "''")
    for setting in ("threads = 2", f"memory_limit = '{MEMORY}'", f"temp_directory = '{quoted}'"):
        duck.execute(f"SET {setting}").fetchall()
