"""Read-only SQL over everything that was ever taken down: the files of the manifest, and the lines that are still in the spool.

The statement must be one SELECT. It runs in a DuckDB of its own that may open the files of the history and nothing else, loads no
extension, and cannot be told otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Engine, select

from promptship.adapters.database import reading
from promptship.adapters.telemetry import manifest
from promptship.adapters.telemetry.lake import TRACEBACK, Lake, reason
from promptship.adapters.telemetry.segments import segments, whole
from promptship.adapters.telemetry.streams import STREAMS, add_lines, keep_first, make_table, span
from promptship.adapters.telemetry.tables import spool_files
from promptship.errors import ConfigError, Problem, Unavailable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ROWS_AT_ONCE: Final = 10_000
MEMORY: Final = "2GB"


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows as they come; `columns` name them."""

    columns: tuple[str, ...]
    rows: Iterator[Sequence[Any]]


class History:
    """Observations, feedback and scores as SQL views, each record once."""

    def __init__(self, engine: Engine, spool: Path, lake: Lake) -> None:
        self._engine = engine
        self._spool = spool
        self._lake = lake

    @contextmanager
    def select(self, sql: str) -> Iterator[Answer]:
        """The rows of a SELECT, streamed.

        Raises:
            ConfigError: the SQL is wrong, or does something else than read the views; with the place.
            Unavailable: the ledger, the spool or the history cannot be read.
        """
        with self._opened() as duck, _told(sql, self._lake):
            _lock(duck, self._files(), ())
            duck.execute(_only_select(duck, sql))
            columns = tuple(column[0] for column in duck.description or ())
            yield Answer(columns, _rows(duck, sql, self._lake))

    def export(self, sql: str, target: Path, kind: str) -> int:
        """Write the rows of a SELECT to a `parquet`, `csv` or `json` file, which appears whole; returns how many. Raises as `select`."""
        draft = target.with_name(f".{target.name}.tmp")
        options = {
            "parquet": "FORMAT parquet, COMPRESSION zstd",
            "csv": "FORMAT csv, HEADER",
            "json": "FORMAT json, ARRAY",
        }
        try:
            with self._opened() as duck, _told(sql, self._lake):
                _lock(duck, self._files(), (str(draft.resolve()),))
                statement = _only_select(duck, sql).rstrip().rstrip(";")
                path = str(draft.resolve()).replace("'", "''")
                # The line break ends a comment that the statement may end with.
                (row,) = duck.execute(f"COPY ({statement}\n) TO '{path}' ({options[kind]})").fetchall()
            draft.replace(target)
        except OSError as error:
            raise Unavailable(f"{target}: {error.strerror or error}") from error
        finally:
            draft.unlink(missing_ok=True)
        return int(row[0])

    def _files(self) -> list[str]:
        with reading(self._engine) as connection:
            # What was merged since the views were made is still there.
            return [self._lake.address(one.path) for one in manifest.files(connection, with_replaced=True)]

    @contextmanager
    def _opened(self) -> Iterator[DuckDBPyConnection]:
        import duckdb

        with duckdb.connect(":memory:") as duck:
            duck.execute(f"SET memory_limit = '{MEMORY}'").fetchall()
            duck.execute("SET temp_directory = ''").fetchall()
            self._lake.attach(duck)
            try:
                with self._lake.told():
                    self._views(duck)
            except FileNotFoundError as error:
                raise Unavailable(f"spool {self._spool}: {error.strerror or error}") from error
            yield duck

    def _views(self, duck: DuckDBPyConnection) -> None:
        """Lines first, then the list of files and what it has retired: what is compacted in between is read from the files."""
        for stream in STREAMS:
            make_table(duck, stream, f"{stream.name}_lines")
        taken = {stream.name: self._lines(stream.name) for stream in STREAMS}
        with reading(self._engine) as connection:
            listed = manifest.files(connection)
            retired = set(
                connection.execute(
                    select(spool_files.c.name).where(spool_files.c.retired_ms.is_not(None))
                ).scalars()
            )
            known = set(connection.execute(select(spool_files.c.name)).scalars())
        for stream in STREAMS:
            table = f"{stream.name}_lines"
            for name, path, size in taken[stream.name]:
                if name in retired:
                    continue
                try:
                    add_lines(duck, stream, table, whole(name, path, size))
                except FileNotFoundError:  # compacted a moment ago: then its lines are in a newer manifest
                    if name in known:
                        raise
            covered = span(duck, stream, table)
            files = [one for one in listed if one.stream == stream.name]
            near = [
                one for one in files if covered and one.first_ms <= covered[1] and one.last_ms >= covered[0]
            ]
            keep_first(duck, stream, table, [self._lake.address(one.path) for one in near])
            lines = f'SELECT * EXCLUDE (nth) FROM "{table}"'  # noqa: S608
            paths = ", ".join("'" + self._lake.address(one.path).replace("'", "''") + "'" for one in files)
            both = f"{lines} UNION ALL BY NAME SELECT * FROM read_parquet([{paths}], union_by_name = true, hive_partitioning = false)"  # noqa: S608
            duck.execute(
                f'CREATE VIEW "{stream.name}" AS SELECT *, make_timestamp_ms(at_ms) AS time FROM ({both if files else lines})'  # noqa: S608
            ).fetchall()

    def _lines(self, stream: str) -> list[tuple[str, Path, int]]:
        """Segments with the end of their last whole line."""
        found = []
        for segment in segments(self._spool, stream):
            try:
                found.append((segment.file, segment.path, _whole_bytes(segment.path)))
            except FileNotFoundError:
                continue
        return found


def _whole_bytes(path: Path) -> int:
    """Where the last whole line ends."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        while end > 0:
            start = max(0, end - 65_536)
            file.seek(start)
            cut = file.read(end - start).rfind(b"\n")
            if cut >= 0:
                return start + cut + 1
            end = start
    return 0


def _lock(duck: DuckDBPyConnection, files: Sequence[str], targets: Sequence[str]) -> None:
    # Some of fsspec's stores have no host in their URLs; DuckDB then asks for three slashes.
    spelled = {path for one in files for path in (one, one.replace("://", ":///", 1))}
    paths = ", ".join("'" + path.replace("'", "''") + "'" for path in sorted({*spelled, *targets}))
    duck.execute(f"SET allowed_paths = [{paths}]").fetchall()
    duck.execute("SET autoinstall_known_extensions = false").fetchall()
    duck.execute("SET autoload_known_extensions = false").fetchall()
    duck.execute("SET enable_external_access = false").fetchall()
    duck.execute("SET lock_configuration = true").fetchall()


def _only_select(duck: DuckDBPyConnection, sql: str) -> str:
    import duckdb

    statements = duck.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        kinds = ", ".join(str(one.type).rpartition(".")[2] for one in statements) or "nothing"
        raise _wrong(kinds, "expected one SELECT: history is read-only")
    return statements[0].query


def _rows(duck: DuckDBPyConnection, sql: str, lake: Lake) -> Iterator[Sequence[Any]]:
    with _told(sql, lake):
        while rows := duck.fetchmany(ROWS_AT_ONCE):
            yield from rows


@contextmanager
def _told(sql: str, lake: Lake) -> Iterator[None]:
    """DuckDB's errors as ours: with the place in the statement."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        if isinstance(error, duckdb.IOException | duckdb.HTTPException) or TRACEBACK in str(error):
            raise Unavailable(f"history {lake.place}: {reason(error)}") from error
        raise _wrong(
            _message(str(error), sql), "expected SQL over observations, feedback and scores"
        ) from error


def _message(text: str, sql: str) -> str:
    """DuckDB's message on one line; it draws a line of the statement with a caret below: that is a line and a column."""
    first, _, drawn = text.partition("\n\n")
    place = re.search(r"LINE (\d+): (.*)\n( *)\^", text)
    if not place:
        return " ".join(text.split())
    line, shown, blanks = int(place[1]), place[2], len(place[3])
    caret = blanks - len(f"LINE {line}: ")
    lines = sql.split("\n")
    # A long line is cut to a window; where the window begins is found by what it shows.
    offset = lines[line - 1].find(shown.strip(". ")) if line <= len(lines) else 0
    column = max(0, offset) + caret - (len(shown) - len(shown.lstrip(". "))) + 1
    hint = " ".join(first.split()) if drawn else " ".join(text[: place.start()].split())
    return f"{hint} (line {line}, column {column})"


def _wrong(got: str, expected: str) -> ConfigError:
    return ConfigError([Problem("query", "", got, expected)])
