"""`promptship query` and `promptship compact`: SQL over the telemetry, and its history in files."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptship.cli.context import CONFIG, Config, Json, print_json, settings
from promptship.cli.context import app as connect
from promptship.errors import ConfigError, Problem

if TYPE_CHECKING:
    from promptship.adapters.telemetry.query import Answer

TABLE_ROWS_MAX = 1000
"""Rows that a table on the terminal shows; the other formats have all."""


class Format(StrEnum):
    """How rows are printed or written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def query(
    sql: Annotated[
        str, typer.Argument(help="One SELECT over observations, feedback and scores; - reads it from stdin.")
    ],
    format_: Annotated[
        Format | None,
        typer.Option("--format", "-f", help="Default: a table, or what the file's ending says."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write instead of stdout.")
    ] = None,
    config: Config = CONFIG,
) -> None:
    """Ask the telemetry in SQL (DuckDB's): every request, feedback and score that was kept, each once. Nothing can be changed.

    \b
    promptship query "select arm, count(*), avg(latency_ms) from observations where release = 'r-41' group by arm"
    promptship query "select * from scores where name = 'tone'" --output tone.parquet
    """
    from promptship.wiring import history

    kind = _format(format_, output)
    sql = sys.stdin.read() if sql == "-" else sql
    with history(settings(config)) as asked:
        if output is not None and kind is not Format.TABLE:
            rows = asked.export(sql, output, kind.value)
            print(f"{rows:,} rows in {output}", file=sys.stderr)
            return
        with asked.select(sql) as answer:
            if output is not None:
                with output.open("w", encoding="utf-8") as file:
                    _table(answer, file)
            elif kind is Format.CSV:
                _csv(answer)
            elif kind is Format.JSON:
                _json(answer)
            else:
                _table(answer, sys.stdout)


def compact(json: Json = False, config: Config = CONFIG) -> None:
    """Move this machine's telemetry from spool files into the history, and delete what is too old. Housekeeping does it every hour."""
    from dataclasses import asdict

    done = connect(config).measurements.tidy()
    if json:
        print_json(asdict(done))
    else:
        print(
            f"{done.rows:,} rows of {done.segments} spool files in {done.files} files; "
            f"{done.merged} small files merged; {done.expired} old files deleted"
        )


def _format(given: Format | None, output: Path | None) -> Format:
    endings = {".csv": Format.CSV, ".json": Format.JSON, ".parquet": Format.PARQUET}
    kind = given or (endings.get(output.suffix, Format.TABLE) if output else Format.TABLE)
    if kind is Format.PARQUET and output is None:
        raise ConfigError([Problem("query", "--format", "parquet", "expected --output FILE with it")])
    if output is not None and not output.absolute().parent.is_dir():
        raise ConfigError(
            [Problem("query", "--output", str(output), "expected a file in a directory that is there")]
        )
    return kind


def _csv(answer: Answer) -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(answer.columns)
    out.writerows(answer.rows)


def _json(answer: Answer) -> None:
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


def _table(answer: Answer, file: Any) -> None:
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


def _first(rows: Iterable[Sequence[Any]]) -> tuple[list[Sequence[Any]], bool]:
    shown: list[Sequence[Any]] = []
    for row in rows:
        if len(shown) == TABLE_ROWS_MAX:
            return shown, True
        shown.append(row)
    return shown, False


def _plain(value: Any) -> Any:
    from rich.text import Text

    return Text("" if value is None else str(value))
