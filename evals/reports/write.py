"""Where reports are written: the ending of a file, or a name, says which format."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from promptship.errors import ConfigError, Problem
from promptship.evals.reports.data import json_chunks, json_lines
from promptship.evals.reports.formats import Format, format_of
from promptship.evals.reports.html import html_chunks
from promptship.evals.reports.junit import junit_chunks
from promptship.evals.reports.markdown import report_markdown
from promptship.evals.reports.model import Report
from promptship.evals.reports.ordered import Ordered
from promptship.evals.reports.spreadsheet import csv_chunks
from promptship.evals.reports.summary import Summary
from promptship.evals.reports.text import WIDTH, report_text
from promptship.evals.row_log import sound
from promptship.render.colour import show


def write(report: Report, *paths: Path) -> None:
    """Write a report to each path, in the format of its ending. A file is there whole, or not at all.

    The rows are read once, for all that is counted; and once more when a format shows rows (JSON, JSONL, CSV, JUnit, HTML).

    Raises:
        ConfigError: an ending is unknown, or a file cannot be written; nothing is written when an ending is unknown.
    """
    formats = [format_of(path) for path in paths]
    with Ordered(report) as ordered:
        _write(ordered, paths, formats)


def write_to(report: Report, wanted: Format, out: TextIO, *, width: int = WIDTH) -> None:
    """Write a report to a stream; text in colour where `promptship.render.colour` says so."""
    with Ordered(report) as ordered:
        _write_to(ordered, wanted, out, width)


def publish(
    report: Report, paths: Sequence[Path], wanted: Format, out: TextIO, *, width: int = WIDTH
) -> Summary:
    """`write` and then `write_to` over the same readings of the rows; returns what they add up to. Raises as `write`."""
    formats = [format_of(path) for path in paths]
    with Ordered(report) as ordered:
        _write(ordered, paths, formats)
        _write_to(ordered, wanted, out, width)
        return ordered.summary


def _write(ordered: Ordered, paths: Sequence[Path], formats: Sequence[Format]) -> None:
    for path, wanted in zip(paths, formats, strict=True):
        try:
            _replace(path, chunks(ordered, wanted), bom=wanted is Format.CSV)
        except OSError as error:
            said = error.strerror or str(error)
            raise ConfigError(
                [Problem(str(path), "", f"not writable: {said}", "expected a place for the report")]
            ) from error


def _write_to(ordered: Ordered, wanted: Format, out: TextIO, width: int) -> None:
    if wanted is Format.TEXT:
        show(report_text(ordered.report, ordered.summary, width=width), out, os.environ)
        return
    out.writelines(chunks(ordered, wanted, width=width))


def chunks(ordered: Ordered, wanted: Format, *, width: int = WIDTH) -> Iterator[str]:
    """The document piece by piece, so that it need not be in memory as a whole; text that UTF-8 can hold."""
    return map(sound, _chunks(ordered, wanted, width))


def _chunks(ordered: Ordered, wanted: Format, width: int) -> Iterator[str]:
    report, summary = ordered.report, ordered.summary
    match wanted:
        case Format.TEXT:
            yield report_text(report, summary, width=width).plain
        case Format.MARKDOWN:
            yield report_markdown(report, summary)
        case Format.JSON:
            yield from json_chunks(ordered)
        case Format.JSONL:
            yield from json_lines(ordered)
        case Format.CSV:
            yield from csv_chunks(ordered)
        case Format.JUNIT:
            yield from junit_chunks(ordered)
        case Format.HTML:
            yield from html_chunks(ordered)


def _replace(path: Path, document: Iterator[str], *, bom: bool) -> None:
    """`bom`: a mark at the beginning, without which Excel does not know UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    encoding = "utf-8-sig" if bom else "utf-8"
    try:
        with part.open("w", encoding=encoding, newline="") as file:
            file.writelines(document)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
