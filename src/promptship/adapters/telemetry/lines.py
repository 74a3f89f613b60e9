"""Spool lines -> validated columns. A line counts exactly when its pydantic model accepts it strictly and its values are in bounds.

A whole batch is decoded at once by msgspec, whose strict types agree with the models' (a property test compares them in both
directions). Only when something in the batch looks odd are its lines judged one by one.
"""

from __future__ import annotations

import json
import math
import re
import types
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Any, Final, Union, get_args, get_origin

import msgspec
import numpy as np
from pydantic import BaseModel

from promptship.adapters.telemetry.decoders import UNSET, lenient, strict_rows
from promptship.adapters.telemetry.segments import Slice
from promptship.adapters.telemetry.validity import BOUNDS, NAMES, NAMES_PATTERN, WORD_CHARACTERS_MAX, WORDS

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
_PLACE: Final = ("release", "stage", "arm", "version", "prompt")
_NEWLINE, _BRACE, _COLON = b"\n{:"
_BLANK, _DELETE = b" \x7f"
_LONG: Final = 10_000
"""Bytes from which numpy counts faster."""
_PIECE: Final = 256 * 1024
_TYPE_PROBLEM: Final = re.compile(r"Expected `([^`]+)`, got `([^`]+)` - at `\$\.(\w+)`")
_FIELD_PROBLEM: Final = re.compile(r"(.*?)(?: '.*')? - at `\$\.(\w+)`", re.DOTALL)


@dataclass(frozen=True)
class Columns:
    """Fields of the records of a batch, one list each, in the order of the lines. A field that nobody asks for is never gathered."""

    model: type[BaseModel]
    rows: Sequence[Any]
    complete: bool = False
    """Whether no record leaves a field out."""
    _lists: dict[str, list[Any]] = field(default_factory=dict, repr=False, compare=False)
    _floats: dict[str, Floats] = field(default_factory=dict, repr=False, compare=False)

    @property
    def count(self) -> int:
        """Records in the batch."""
        return len(self.rows)

    def __getitem__(self, name: str) -> list[Any]:
        if name not in self._lists:
            column = list(map(attrgetter(name), self.rows))
            if not self.complete and UNSET in column:
                default = self.model.model_fields[name].default
                column = [default if value is UNSET else value for value in column]
            self._lists[name] = column
        return self._lists[name]

    @classmethod
    def empty(cls, model: type[BaseModel]) -> Columns:
        """No records."""
        return cls(model, ())

    def floats(self, name: str) -> Floats:
        """A column of numbers, exact below 2^53; None is NaN, what is beyond every float is infinite."""
        if name not in self._floats:
            try:
                self._floats[name] = self._straight(name)
            except OverflowError:
                self._floats[name] = np.array([_float(value) for value in self[name]])
        return self._floats[name]

    def _straight(self, name: str) -> Floats:
        """Without a list in between, where every record has the number."""
        if self.complete and name not in self._lists:
            try:
                return np.fromiter(map(attrgetter(name), self.rows), float, self.count)
            except TypeError:  # a None
                pass
        return np.array(self[name], dtype=float)

    @cached_property
    def places(self) -> tuple[Ints, list[tuple[Any, ...]]]:
        """For each record the number of its place, and the places: release, stage, arm, version, prompt."""
        code = np.zeros(self.count, dtype=np.int64)
        places: list[tuple[Any, ...]] = [()] if self.count else []
        # A column at a time, and none where all values are the same: ten thousand tuples would cost twice as much.
        for name in _PLACE:
            values = list(dict.fromkeys(self[name]))
            if len(values) > 1:
                numbers = {value: number for number, value in enumerate(values)}
                column = np.fromiter(map(numbers.__getitem__, self[name]), np.int64, self.count)
                known, code = numbered(code * len(values) + column)
                places = [(*places[at // len(values)], values[at % len(values)]) for at in known]
            else:
                places = [(*place, *values) for place in places]
        return code, places

    def different(self, name: str) -> Collection[Any]:
        """Values of a column, where it is cheap each once."""
        if name in _PLACE:
            return {place[_PLACE.index(name)] for place in self.places[1]}
        return self[name]

    def without(self, positions: Iterable[int]) -> Columns:
        """All but the records at these 0-based positions."""
        gone = set(positions)
        rows = [row for at, row in enumerate(self.rows) if at not in gone]
        return Columns(self.model, rows, complete=self.complete)


def read_columns(model: type[BaseModel], taken: Sequence[Slice]) -> tuple[Columns, dict[int, str]]:
    """The valid records of the slices' joined lines, and the bad lines: 1-based number -> reason. Blank lines are nothing."""
    data = taken[0].data if len(taken) == 1 else b"".join(piece.data for piece in taken)
    numbers: Sequence[int]
    columns = _all_at_once(model, data)
    if columns is None:
        rows, numbers, bad = _one_by_one(model, data.split(b"\n"))
        columns = Columns(model, rows)
        wrong = _wrong_words(columns) | _out_of_bounds(columns)
    else:
        numbers, bad = range(1, columns.count + 1), {}
        wrong = _wrong_words(columns)
    if wrong:
        bad |= {numbers[position]: reason for position, reason in wrong.items()}
        columns = columns.without(wrong)
    return columns, bad


def _all_at_once(model: type[BaseModel], data: bytes) -> Columns | None:
    """The records when every line is one, of the right types, each key once; None when somebody has to look closer."""
    if not data.startswith(b"{") or not data.endswith(b"}\n"):
        return None if data.strip(b"\n") else Columns.empty(model)
    try:
        rows = strict_rows(model, data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    lines = _lines(data)
    keys = len(rows) * len(model.model_fields)
    return Columns(model, rows, complete=True) if len(rows) == lines and _has_colons(data, keys) else None


def _lines(data: bytes) -> int:
    """How many lines there are; -1 when one does not begin with a brace.

    A record is flat: when every line begins with a brace, none of them reaches over a line's end.
    """
    text = np.frombuffer(data, dtype=np.uint8)
    lines = 0
    for at in range(0, len(text), _PIECE):
        ends = np.flatnonzero(text[at : at + _PIECE] == _NEWLINE) + (at + 1)
        lines += len(ends)
        if (text[ends[ends < len(text)]] != _BRACE).any():
            return -1
    return lines


def _has_colons(data: bytes, keys: int) -> bool:
    """Whether surely no key stands twice in a record, when the records have this many different keys together.

    Every key that is written has a colon behind it, so as many colons as different keys leave none for a second one. More of them
    may stand in strings: then `":` is counted, which takes longer; besides keys only an escaped quote can end in it.
    """
    if _times(_COLON, data) == keys:
        return True
    return data.count(b'":') == keys and not any(b'"' + blank in data for blank in (b" ", b"\t", b"\r"))


def _times(byte: int, data: bytes) -> int:
    """How often a byte is in data: numpy counts much faster, in pieces that stay in the processor's cache."""
    if len(data) < _LONG:
        return data.count(byte)
    text = np.frombuffer(data, dtype=np.uint8)
    return sum(int(np.count_nonzero(text[at : at + _PIECE] == byte)) for at in range(0, len(text), _PIECE))


def _one_by_one(
    model: type[BaseModel], lines: Sequence[bytes]
) -> tuple[list[Any], list[int], dict[int, str]]:
    decode = lenient(model).decode
    fields = len(model.model_fields)
    rows, numbers, bad = [], [], {}
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            row = decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            bad[number] = _reason(line, error)
            continue
        given = fields - msgspec.structs.astuple(row).count(UNSET)
        if not _has_colons(line, given):
            keys = json.loads(line, object_pairs_hook=lambda pairs: [key for key, _ in pairs])
            if len(set(keys)) < len(keys):
                bad[number] = "a key stands twice"
                continue
        rows.append(row)
        numbers.append(number)
    return rows, numbers, bad


def _reason(line: bytes, error: Exception) -> str:
    """What is wrong, without anything that stood in the line: an unknown key or a wrong value may hold anything."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return "not JSON"
    if matched := _TYPE_PROBLEM.fullmatch(text):
        expected, got, name = matched.groups()
        return f"{name} is {got}; expected {expected.replace(' | ', ' or ')}"
    if text.startswith("Object missing required field"):
        return f"{text.rpartition(' field ')[2].strip('`')} is missing"
    if text.startswith("Object contains unknown field"):
        return "unknown key"
    if matched := _FIELD_PROBLEM.fullmatch(text):
        return _OTHER.get(matched[2], f"{matched[2]} is out of range")
    return "not a record"


_OTHER: Final = {"arm": "arm is neither stable nor candidate"}


def _wrong_words(columns: Columns) -> dict[int, str]:
    """0-based position -> what is wrong. Columns are checked whole; only one with something wrong is walked."""
    wrong: dict[int, str] = {}
    fields = columns.model.model_fields
    for name in sorted(WORDS & fields.keys()):
        if not _are_words(columns.different(name)):
            wrong |= {
                at: f"{name} is not 1 to {WORD_CHARACTERS_MAX} printable characters"
                for at, value in enumerate(columns[name])
                if value is not None and not _are_words([value])
            }
    for name in sorted(NAMES & fields.keys()):
        if not all(map(NAMES_PATTERN.fullmatch, set(columns[name]))):
            wrong |= {
                at: f"{name} is not a lower-case word"
                for at, value in enumerate(columns[name])
                if not NAMES_PATTERN.fullmatch(value)
            }
    code, places = columns.places
    halves = [number for number, place in enumerate(places) if (place[0] is None) != (place[1] is None)]
    if halves:
        apart = np.flatnonzero(np.isin(code, halves)).tolist()
        wrong |= dict.fromkeys(apart, "release and stage belong together")
    return wrong


def _out_of_bounds(columns: Columns) -> dict[int, str]:
    """The same of numbers, where the decoder has not looked at their bounds."""
    wrong: dict[int, str] = {}
    for name, (low, high) in BOUNDS.items():
        if name in columns.model.model_fields:
            numbers = columns.floats(name)
            outside = np.flatnonzero((numbers < low) | (numbers > high))
            wrong |= dict.fromkeys(outside.tolist(), f"{name} is out of range")
    return wrong


def _are_words(words: Collection[str | None]) -> bool:
    known = [word for word in words if word is not None] if None in words else words
    text = "".join(known)  # type: ignore[arg-type]
    lengths = set(map(len, known))  # type: ignore[arg-type]
    if not known or not text.isascii() or min(lengths) < 1 or max(lengths) > WORD_CHARACTERS_MAX:
        return not known
    characters = np.frombuffer(text.encode(), dtype=np.uint8)
    return int(characters.min()) > _BLANK and int(characters.max()) < _DELETE


def numbered(numbers: Ints) -> tuple[list[int], Ints]:
    """The different ones among numbers from 0 on, ascending, and for each number its position among them."""
    most = int(numbers.max(initial=0)) + 1
    if most > max(_LONG, 4 * len(numbers)):  # too far apart to count: sort
        known, index = np.unique(numbers, return_inverse=True)
        return known.tolist(), index
    there = np.bincount(numbers, minlength=most) > 0
    return np.flatnonzero(there).tolist(), (np.cumsum(there) - 1)[numbers]


def _float(value: float | None) -> float:
    try:
        return math.nan if value is None else float(value)
    except OverflowError:
        return math.inf if value is not None and value > 0 else -math.inf


def sql_type(annotation: Any) -> str:
    """DuckDB's type of a field of a record."""
    if get_origin(annotation) in {Union, types.UnionType}:
        (annotation,) = (member for member in get_args(annotation) if member is not type(None))
    return {int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN"}.get(annotation, "VARCHAR")
