"""`promptship query` and `promptship compact`: SQL over the telemetry, and its history in files."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from promptship.cli.context import CONFIG, Config, Json, print_json, settings
from promptship.cli.context import app as connect
from promptship.cli.rows import as_csv, as_json, as_table
from promptship.errors import ConfigError, Problem


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
    json: Json = False,
    config: Config = CONFIG,
) -> None:
    """Ask the telemetry in SQL (DuckDB's): every request, feedback and score that was kept, each once. Nothing can be changed.

    \b
    promptship query "select arm, count(*), avg(latency_ms) from observations where release = 'r-41' group by arm"
    promptship query "select * from scores where name = 'tone'" --output tone.parquet
    """
    from promptship.numbers import plural
    from promptship.wiring import history

    kind = _format(Format.JSON if json else format_, output)
    sql = sys.stdin.read() if sql == "-" else sql
    with history(settings(config)) as asked:
        if output is not None and kind is not Format.TABLE:
            rows = asked.export(sql, output, kind.value)
            print(f"{plural(rows, 'row')} in {output}", file=sys.stderr)
            return
        with asked.select(sql) as answer:
            if output is not None:
                with output.open("w", encoding="utf-8") as file:
                    as_table(answer, file)
            elif kind is Format.CSV:
                as_csv(answer)
            elif kind is Format.JSON:
                as_json(answer)
            else:
                as_table(answer, sys.stdout)


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
