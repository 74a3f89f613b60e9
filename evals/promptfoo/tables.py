"""Tables of text: CSV by promptfoo's rules, and sheets of Excel.

A CSV file that breaks the rules of quoting is read once more with relaxed rules, the whole of it; every line needs as many fields
as the header has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from promptship.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class TableRow:
    """One line of a table: 1-based `line` in the file, cells by column."""

    line: int
    cells: Mapping[str, str]


class _Quoting(Exception):
    def __init__(self, line: int, got: str) -> None:
        super().__init__(got)
        self.line, self.got = line, got


def read_csv(text: str, file: str, *, delimiter: str = ",", strict: bool = False) -> tuple[TableRow, ...]:
    """Lines of a CSV file.

    Raises:
        ConfigError: a quote is never closed, or a line has more or fewer fields than the header; with `strict` also a quote
            where none may stand.
    """
    text = text.removeprefix("\ufeff")
    try:
        try:
            lines = list(_fields(text, delimiter, relaxed=False))
        except _Quoting:
            if strict:
                raise
            lines = list(_fields(text, delimiter, relaxed=True))
    except _Quoting as wrong:
        problem = Problem(
            file, "", wrong.got, "expected quotes around a whole field, doubled inside of it", line=wrong.line
        )
        raise ConfigError([problem]) from None
    if not lines:
        return ()
    header = lines[0][1]
    problems = [
        Problem(
            file, "", f"{len(fields)} fields", f"expected {len(header)} as in the header ({', '.join(header)[:80]})",
            "a comma inside a field needs quotes around it", line=line,
        )
        for line, fields in lines[1:]
        if len(fields) != len(header)
    ]  # fmt: skip
    if problems:
        raise ConfigError(problems)
    return tuple(TableRow(line, dict(zip(header, fields, strict=True))) for line, fields in lines[1:])


def _fields(text: str, delimiter: str, *, relaxed: bool) -> Iterator[tuple[int, list[str]]]:
    """Records with the line each begins at."""
    fields: list[str] = []
    line = begins = 1
    at, end = 0, len(text)
    while at < end or fields:
        if text.startswith('"', at):
            value, at, line = _quoted(text, at, line, delimiter, relaxed=relaxed)
        else:
            value, at = _plain(text, at, line, delimiter, relaxed=relaxed)
        fields.append(value)
        if text.startswith(delimiter, at) and at < end:
            at += len(delimiter)
            continue
        at += 2 if text.startswith("\r\n", at) else 1
        yield begins, fields
        line += 1
        begins, fields = line, []


def _plain(text: str, at: int, line: int, delimiter: str, *, relaxed: bool) -> tuple[str, int]:
    found = _ending(delimiter).search(text, at)
    until = found.start() if found else len(text)
    if not relaxed and '"' in text[at:until]:
        raise _Quoting(line, f"a quote inside of the field {text[at:until][:40]!r}")
    return text[at:until], until


@lru_cache(maxsize=4)
def _ending(delimiter: str) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(delimiter)}|[\r\n]")


def _quoted(text: str, at: int, line: int, delimiter: str, *, relaxed: bool) -> tuple[str, int, int]:
    parts: list[str] = []
    began, line_began, here = at, line, at + 1
    while True:
        quote = text.find('"', here)
        if quote < 0:
            raise _Quoting(line_began, "a quote that is never closed")
        parts.append(text[here:quote])
        line += text.count("\n", here, quote)
        after = quote + 1
        if text.startswith('"', after):
            parts.append('"')
            here = after + 1
        elif after >= len(text) or text[after] in "\r\n" or text.startswith(delimiter, after):
            return "".join(parts), after, line
        elif relaxed:
            rest, until = _plain(text, after, line, delimiter, relaxed=True)
            return f'"{"".join(parts)}"{rest}', until, line
        else:
            raise _Quoting(line, f"text after the closing quote of {text[began:after][:40]!r}")


def read_xlsx(path: Path, sheet: str, file: str) -> tuple[TableRow, ...]:
    """Lines of one sheet, by its name or its number from 1; the first one when `sheet` is empty.

    Raises:
        ConfigError: not an Excel file, no such sheet, no header, no line with anything in it.
    """
    from openpyxl import load_workbook  # 60 ms

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # noqa: BLE001 - openpyxl lets out whatever zip, XML and its own parts raise
        problem = Problem(
            file,
            "",
            f"no Excel file ({type(error).__name__})",
            "expected an .xlsx workbook",
            "save it anew, or as CSV",
        )
        raise ConfigError([problem]) from None
    try:
        names = list(book.sheetnames)
        rows = [
            [_cell(value) for value in row]
            for row in book[_sheet(sheet, names, file)].iter_rows(values_only=True)
        ]
    finally:
        book.close()
    header = rows[0] if rows else []
    found = [
        TableRow(number, {name: row[place] if place < len(row) else "" for place, name in enumerate(header)})
        for number, row in enumerate(rows[1:], start=2)
    ]
    if not any(header) or not any(cell.strip() for row in found for cell in row.cells.values()):
        got = "an empty sheet" if not any(header) else "a header without any line below it"
        raise ConfigError([Problem(file, "", got, "expected a line of column names and tests below it")])
    while found and not any(cell.strip() for cell in found[-1].cells.values()):
        found.pop()  # Excel keeps lines that were only formatted
    return tuple(found)


def _sheet(wanted: str, names: Sequence[str], file: str) -> str:
    wanted = wanted.strip()
    if not wanted:
        return names[0]
    if re.fullmatch(r"[+-]?\d+", wanted):
        if 1 <= int(wanted) <= len(names):
            return names[int(wanted) - 1]
    elif wanted in names:
        return wanted
    raise ConfigError(
        [Problem(file, "sheet", repr(wanted), f"expected one of {', '.join(names)}, or 1 to {len(names)}")]
    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
