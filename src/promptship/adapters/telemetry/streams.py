"""Spool lines as typed rows of a DuckDB table, each record once: what compaction writes and `promptship query` reads beside it."""

from __future__ import annotations

import types
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Union, get_args, get_origin

import numpy as np
from pydantic import BaseModel

from promptship.adapters.telemetry.lines import read_columns
from promptship.adapters.telemetry.segments import Slice
from promptship.adapters.telemetry.spool import FEEDBACK, OBSERVATIONS, SCORES
from promptship.routing.observation import Feedback, Observation, Score

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class Stream:
    """One kind of record: its model, what makes a record the same as another, and the time it belongs to."""

    name: str
    model: type[BaseModel]
    key: tuple[str, ...]
    time: str

    @property
    def columns(self) -> dict[str, str]:
        """Column -> DuckDB's type."""
        return {name: _sql_type(field.annotation) for name, field in self.model.model_fields.items()}


STREAMS: Final = (
    Stream(OBSERVATIONS, Observation, ("id",), "at_ms"),
    Stream(FEEDBACK, Feedback, ("request", "kind", "at_ms", "id"), "request_at_ms"),
    Stream(SCORES, Score, ("request", "name"), "request_at_ms"),
)


def make_table(duck: DuckDBPyConnection, stream: Stream, table: str) -> None:
    """An empty table of the stream's columns, and `nth` to tell earlier lines from later ones."""
    columns = ", ".join(f'"{name}" {kind}' for name, kind in stream.columns.items())
    duck.execute(f'CREATE OR REPLACE TABLE "{table}" ({columns}, nth BIGINT)').fetchall()


def add_lines(duck: DuckDBPyConnection, stream: Stream, table: str, taken: Iterable[Slice]) -> None:
    """Append the valid lines of slices; what does not count in the rollups does not count here."""
    layout = "{" + ", ".join(f'"{name}": "{kind}"' for name, kind in stream.columns.items()) + "}"
    names = ", ".join(f'"{name}"' for name in stream.columns)
    for piece in taken:
        _, bad = read_columns(stream.model, [piece])
        lines = [line for number, line in enumerate(piece.data.split(b"\n"), 1) if line and number not in bad]
        if not lines:
            continue
        (known,) = duck.execute(f'SELECT count(*) FROM "{table}"').fetchall()  # noqa: S608
        text = np.array([line.decode() for line in lines], dtype=object)
        duck.register("given", {"line": text, "nth": np.arange(known[0], known[0] + len(lines))})
        defaults = {
            name: field.default
            for name, field in stream.model.model_fields.items()
            if field.default in {"", False}
        }
        read = ", ".join(
            f'coalesce("{name}", {"false" if defaults[name] is False else chr(39) * 2})'
            if name in defaults
            else f'"{name}"'
            for name in stream.columns
        )
        duck.execute(
            f'INSERT INTO "{table}" ({names}, nth) SELECT {read}, nth FROM '  # noqa: S608
            f"(SELECT nth, unnest(from_json(line, '{layout}')) FROM given)"
        ).fetchall()
        duck.unregister("given")


def keep_first(duck: DuckDBPyConnection, stream: Stream, table: str, history: Iterable[str]) -> None:
    """Drop records that are twice in the table, or already in the files of the history."""
    key = ", ".join(f'"{name}"' for name in stream.key)
    duck.execute(
        f'DELETE FROM "{table}" WHERE nth IN (SELECT nth FROM '  # noqa: S608
        f'(SELECT nth, row_number() OVER (PARTITION BY {key} ORDER BY nth) AS times FROM "{table}") WHERE times > 1)'
    ).fetchall()
    covered = span(duck, stream, table)
    if covered is None:
        return
    for address in history:
        # The same record has the same time, so a large file need not be read whole.
        duck.execute(
            f'DELETE FROM "{table}" WHERE ({key}) IN '  # noqa: S608
            f'(SELECT ({key}) FROM read_parquet($1) WHERE "{stream.time}" BETWEEN $2 AND $3)',
            [address, *covered],
        ).fetchall()


def span(duck: DuckDBPyConnection, stream: Stream, table: str) -> tuple[int, int] | None:
    """Earliest and latest time of a table's records; None when it is empty."""
    (row,) = duck.execute(f'SELECT min("{stream.time}"), max("{stream.time}") FROM "{table}"').fetchall()  # noqa: S608
    return None if row[0] is None else (int(row[0]), int(row[1]))


def _sql_type(annotation: Any) -> str:
    if get_origin(annotation) in {Union, types.UnionType}:
        (annotation,) = (member for member in get_args(annotation) if member is not type(None))
    return {int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN"}.get(annotation, "VARCHAR")
