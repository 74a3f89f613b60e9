"""Rows of an answer, printed as they come."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from promptship.adapters.telemetry.query import Answer

TABLE_ROWS_MAX = 1000
"""Rows that a table on the terminal shows; the other formats have all."""


def as_csv(answer: Answer) -> None:
    """On stdout, with a header."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(answer.columns)
    out.writerows([_as_duckdb(value) for value in row] for row in answer.rows)


def as_json(answer: Answer) -> None:
    """An array, a row a line, as the rows come."""
    print("[", end="")
    separator = "\n"
    for row in answer.rows:
        print(
            separator
            + json.dumps(dict(zip(answer.columns, row, strict=True)), default=str, ensure_ascii=False),
            end="",
        )
        separator = ",\n"
    print("\n]")


def as_table(answer: Answer, file: Any) -> None:
    """The first rows, for people."""
    from rich.console import Console
    from rich.table import Table

    shown, more = _first(answer.rows)
    table = Table()
    for name in answer.columns:
        table.add_column(_plain(name), overflow="fold")
    for row in shown:
        table.add_row(*map(_plain, row))
    width = None if file.isatty() else max(80, 40 * len(answer.columns))
    Console(file=file, width=width, markup=False, highlight=False).print(table)
    if more:
        print(f"the first {TABLE_ROWS_MAX:,} rows; --format csv shows all", file=sys.stderr)


def _as_duckdb(value: Any) -> Any:
    """Truths as DuckDB writes them, into files too: `true`, not `True`."""
    return str(value).lower() if isinstance(value, bool) else value


def _first(rows: Iterable[Sequence[Any]]) -> tuple[list[Sequence[Any]], bool]:
    shown: list[Sequence[Any]] = []
    for row in rows:
        if len(shown) == TABLE_ROWS_MAX:
            return shown, True
        shown.append(row)
    return shown, False


def _plain(value: Any) -> Any:
    from rich.text import Text

    return Text("" if value is None else str(_as_duckdb(value)))
