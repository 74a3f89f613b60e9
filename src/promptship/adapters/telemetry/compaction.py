"""Sealed, fully read segments -> sorted Parquet. A crash at any point loses nothing and doubles nothing.

1. Parquet files are written, synced and renamed; nobody reads them yet, because they are not in the manifest.
2. One ledger transaction lists them and retires the segments they replace: from here on readers see the files, before it the lines.
3. The segments are deleted, and only then forgotten: a segment that is there and not known would be read again.

What a crash leaves behind: unlisted files (swept a day later) or retired segments (deleted by the next run).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from sqlalchemy import Engine, select

from promptship.adapters.database import insert_into, reading, writing
from promptship.adapters.telemetry import manifest
from promptship.adapters.telemetry.lake import Lake, sync_directory
from promptship.adapters.telemetry.manifest import HistoryFile, Retired
from promptship.adapters.telemetry.segments import Bad, Slice, whole
from promptship.adapters.telemetry.streams import STREAMS, Stream, add_lines, keep_first, make_table, span
from promptship.adapters.telemetry.tables import quarantined_lines, spool_files, unix_ms
from promptship.errors import Conflict, Unavailable
from promptship.ports import Clock

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ROUND_BYTES_MAX: Final = 64 * 1024 * 1024
"""Lines that are compacted at once; a segment is not divided."""
ABANDONED_S: Final = 3600.0
"""A segment that was not written for so long has lost its writer: a living one leaves its segment after a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """What one compaction did."""

    rows: int = 0
    files: int = 0
    segments: int = 0


@dataclass(frozen=True, slots=True)
class _Segment:
    name: str
    path: Path
    read_bytes: int
    torn: Bad | None = None


class Compaction:
    """Of one spool directory. Several may run at once, on one host or on many. `after` is told each step: tests end it there."""

    def __init__(
        self,
        engine: Engine,
        spool: Path,
        lake: Lake,
        clock: Clock,
        *,
        after: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._engine = engine
        self._spool = spool
        self._lake = lake
        self._clock = clock
        self._after = after

    def run(self) -> Compacted:
        """Compact everything there is.

        Raises:
            Conflict: another compaction of this spool is at work, and will finish it.
            Unavailable: disk, remote store or database; what was done before stays done.
        """
        import duckdb

        done = Compacted()
        with duckdb.connect(":memory:") as duck:
            duck.execute("SET threads = 2").fetchall()
            duck.execute("SET preserve_insertion_order = true").fetchall()
            self._lake.attach(duck)
            for stream in STREAMS:
                try:
                    for taken in self._rounds(stream):
                        rows, files = self._round(duck, stream, taken)
                        done = Compacted(
                            rows=done.rows + rows,
                            files=done.files + files,
                            segments=done.segments + len(taken),
                        )
                except FileNotFoundError as error:
                    raise Conflict("another compaction took a segment first") from error
                except OSError as error:
                    raise Unavailable(f"spool {self._spool}: {error.strerror or error}") from error
        self.delete_retired(bad_before_ms=0)
        return done

    def delete_retired(self, *, bad_before_ms: int) -> int:
        """Delete segments that are in the history; those with bad lines, which are nowhere else, when retired before that time."""
        with reading(self._engine) as connection:
            retired = manifest.retired(connection)
        gone = []
        for name, (at_ms, bad) in sorted(retired.items()):
            path = self._spool / name
            if bad and at_ms >= bad_before_ms:
                continue
            with suppress(FileNotFoundError):  # of another host, or another compaction was faster
                path.unlink()
                gone.append(name)
        for directory in {(self._spool / name).parent for name in gone}:
            sync_directory(directory)
        self._after("segments deleted")
        if gone:
            with writing(self._engine) as connection:
                manifest.forget(connection, gone)
        self._after("segments forgotten")
        return len(gone)

    def _rounds(self, stream: Stream) -> Iterator[list[_Segment]]:
        taken: list[_Segment] = []
        for segment in self._ready(stream):
            taken.append(segment)
            if sum(one.read_bytes for one in taken) >= ROUND_BYTES_MAX:
                yield taken
                taken = []
        if taken:
            yield taken

    def _ready(self, stream: Stream) -> list[_Segment]:
        """Segments of this spool that were read to their end and that nobody writes to any more."""
        query = select(spool_files.c.name, spool_files.c.read_bytes, spool_files.c.done).where(
            spool_files.c.retired_ms.is_(None),
            spool_files.c.name.startswith(f"{stream.name}/", autoescape=True),
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(spool_files.c.name)).all()
        found = []
        for name, read_bytes, done in rows:
            path = self._spool / name
            try:
                facts = path.stat()
            except FileNotFoundError:  # of another host
                continue
            if done:
                found.append(_Segment(name, path, int(read_bytes)))
            elif self._clock.now().timestamp() - facts.st_mtime > ABANDONED_S:
                rest = path.read_bytes()[read_bytes:]
                if b"\n" not in rest:
                    found.append(_Segment(name, path, int(read_bytes), _torn(name, int(read_bytes), rest)))
        return found

    def _round(self, duck: DuckDBPyConnection, stream: Stream, taken: list[_Segment]) -> tuple[int, int]:
        make_table(duck, stream, "fresh")
        add_lines(duck, stream, "fresh", self._slices(taken))
        covered = span(duck, stream, "fresh")
        with reading(self._engine) as connection:
            overlapping = manifest.files(connection, stream.name, covered) if covered else []
        with self._lake.told():
            keep_first(duck, stream, "fresh", [self._lake.address(one.path) for one in overlapping])
        self._after("lines read")
        made = []
        for day, first_ms, last_ms, rows in duck.execute(
            f'SELECT strftime(make_timestamp_ms("{stream.time}"), \'%Y-%m-%d\') AS day, min("{stream.time}"), '  # noqa: S608
            f'max("{stream.time}"), count(*) FROM fresh GROUP BY day ORDER BY day'
        ).fetchall():
            path = f"{stream.name}/dt={day}/{uuid4().hex}.parquet"
            of_day = f"strftime(make_timestamp_ms(\"{stream.time}\"), '%Y-%m-%d') = '{day}'"
            rows_of_day = f"SELECT * EXCLUDE (nth) FROM fresh WHERE {of_day} ORDER BY prompt, arm, at_ms, id"  # noqa: S608
            size = self._lake.publish(duck, rows_of_day, path)
            made.append(HistoryFile(path, stream.name, day, rows, size, first_ms, last_ms))
            self._after("file published")
        self._list(taken, made)
        self._after("segments retired")
        return sum(one.rows for one in made), len(made)

    def _slices(self, taken: list[_Segment]) -> Iterator[Slice]:
        for segment in taken:
            yield from whole(segment.name, segment.path, segment.read_bytes)

    def _list(self, taken: list[_Segment], made: list[HistoryFile]) -> None:
        """The moment it all becomes true. If it does not, the files are nobody's."""
        now_ms = unix_ms(self._clock.now())
        torn = [segment.torn for segment in taken if segment.torn is not None]
        try:
            with writing(self._engine) as connection:
                retired = [Retired(segment.name, segment.read_bytes) for segment in taken]
                manifest.replace_segments(connection, retired, made, now_ms)
                for bad in torn:
                    row = insert_into(connection, quarantined_lines).values(
                        file=bad.file, start_byte=bad.start_byte, length_bytes=bad.length_bytes, sha256=bad.sha256,
                        reason=bad.reason, found_at_ms=now_ms,
                    )  # fmt: skip
                    connection.execute(row.on_conflict_do_nothing())
        except Conflict:
            for one in made:
                self._lake.remove(one.path)
            raise


def _torn(name: str, start: int, rest: bytes) -> Bad | None:
    if not rest:
        return None
    reason = "unfinished line at the end of an abandoned segment"
    return Bad(name, start, len(rest), hashlib.sha256(rest).hexdigest(), reason)
