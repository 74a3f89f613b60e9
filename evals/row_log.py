"""Rows on disk: a line per finished trial. Kill the process anywhere and go on.

A row is written with one call before the next trial starts: a process that is killed loses no row it has finished, at most the
end of the last line, which is then asked again.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final, Self

import orjson

from promptship.errors import Conflict, Unavailable
from promptship.evals.rows import Row, from_json, to_json

DEPTH_MAX: Final = 200
"""Levels of nesting that a line keeps; JSON is written and read to a depth of about 250."""
TOO_DEEP: Final = "(nested too deeply to be kept)"
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class RowLog:
    """A file of rows that is being written, by one process at a time; `close` or `with` when done. Made if it is not there.

    Raises:
        Conflict: another process has it.
        Unavailable: the disk does not take it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _opened(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def add(self, row: Row) -> None:
        """Keep a row (`promptship.evals.runner.OnRow`). Raises Unavailable when the disk does not take it."""
        line = memoryview(json_line(to_json(row)))
        try:
            while line:  # a full disk or a signal may take less than all
                line = line[os.write(self._file, line) :]
        except OSError as error:
            raise disk_error(self.path, error) from None

    def rows(self) -> Iterator[Row]:
        """See `read_rows`."""
        return read_rows(self.path)

    def close(self) -> None:
        """Make sure that a power cut loses nothing either."""
        if self._file >= 0:
            os.fsync(self._file)
            os.close(self._file)
            self._file = -1


def read_rows(path: Path) -> Iterator[Row]:
    """Rows as they lie on disk, one per trial: of a trial that was done again, the last. A torn line is left out.

    Holds one row at a time. No file: no rows. What another process adds meanwhile is left for the next reading.
    """
    if not path.exists():
        return
    last = {(data["case"], data["arm"], data["trial"]): offset for offset, data in _parsed(path)}
    for offset, data in _parsed(path):
        if last.get((data["case"], data["arm"], data["trial"])) != offset:
            continue
        try:
            row = from_json(data)
        except (KeyError, TypeError):
            continue  # of another version: asked again
        yield row


def _parsed(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows as plain data, each with its offset; what is no row was torn by a kill."""
    offset = 0
    with path.open("rb") as file:
        for line in file:
            begin, offset = offset, offset + len(line)
            try:
                data = orjson.loads(line)
            except ValueError:
                continue
            if isinstance(data, dict) and {"case", "arm", "trial"} <= data.keys():
                yield begin, data


def _opened(path: Path) -> int:
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise disk_error(path, error) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise Conflict(f"another process writes {path}; wait for it, or start a new run") from None
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        os.write(file, b"\n")  # what was left half written must not swallow the next row
    return file


def json_line(data: Any) -> bytes:
    """JSON and a newline, whatever the data are: an answer that was paid for is kept.

    What JSON has no form for becomes text, or null if it is no number; half of a character becomes U+FFFD, and what is nested
    too deeply a word that says so.
    """
    try:
        return orjson.dumps(data, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # dates as keys, whole numbers beyond 64 bits, half an emoji that a script cut off
        return orjson.dumps(_plain(data, DEPTH_MAX), option=orjson.OPT_APPEND_NEWLINE)


def _plain(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return sound(value)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    is_nested = isinstance(value, Mapping | list | tuple | set | frozenset)
    if is_nested and not depth:
        return TOO_DEEP
    if isinstance(value, Mapping):
        return {sound(str(name)): _plain(one, depth - 1) for name, one in value.items()}
    return [_plain(one, depth - 1) for one in value] if is_nested else sound(str(value))


def sound(text: str) -> str:
    """Text that UTF-8 can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text)
    return text


def disk_error(path: Path, error: OSError) -> Unavailable:
    """What a disk that takes nothing more means for a run."""
    return Unavailable(f"{path} cannot be written: {error.strerror or error}; what was answered is kept")
