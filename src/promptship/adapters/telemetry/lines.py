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
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Annotated, Any, Final, Union, get_args, get_origin

import msgspec
import numpy as np
from pydantic import BaseModel

from promptship.adapters.telemetry.segments import Slice
from promptship.adapters.telemetry.validity import BOUNDS, NAMES, NAMES_PATTERN, WORD_CHARACTERS_MAX, WORDS

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
_UNSET: Final = msgspec.UNSET
_PLACE: Final = ("release", "stage", "arm", "version", "prompt")
_NEWLINE, _BRACE, _COLON = b"\n{:"
_LONG: Final = 10_000
"""Bytes from which numpy counts faster."""
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
            if not self.complete and _UNSET in column:
                default = self.model.model_fields[name].default
                column = [default if value is _UNSET else value for value in column]
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
                self._floats[name] = np.array(self[name], dtype=float)
            except OverflowError:
                self._floats[name] = np.array([_float(value) for value in self[name]])
        return self._floats[name]

    @cached_property
    def places(self) -> tuple[Ints, list[tuple[Any, ...]]]:
        """For each record the number of its place, and the places: release, stage, arm, version, prompt."""
        codes: dict[tuple[Any, ...], int] = {}
        names = (self[name] for name in _PLACE)
        code = np.array(
            [codes.setdefault(key, len(codes)) for key in zip(*names, strict=True)], dtype=np.int64
        )
        return code, list(codes)

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


@lru_cache(maxsize=8)
def _strict_decoder(model: type[BaseModel]) -> msgspec.json.Decoder[Any]:
    """For lines as our own gateways write them: every field is there, and its number within its bounds."""
    fields: list[Any] = []
    for name, model_field in model.model_fields.items():
        kind: Any = model_field.annotation
        if name in BOUNDS and kind is not bool:
            low, high = BOUNDS[name]
            members = [member for member in (get_args(kind) or (kind,)) if member is not type(None)]
            number: Any = Annotated[members[0], msgspec.Meta(ge=low, le=high)]
            kind = number if model_field.is_required() else Union[number, None]  # noqa: UP007 - of a value
        fields.append((name, kind))
    struct = msgspec.defstruct(model.__name__, fields, forbid_unknown_fields=True, kw_only=True, gc=False)
    return msgspec.json.Decoder(struct)


@lru_cache(maxsize=8)
def _decoder(model: type[BaseModel]) -> msgspec.json.Decoder[Any]:
    """For any line. Optional fields are left unset, to tell how many keys a record has."""
    fields: list[Any] = []
    for name, model_field in model.model_fields.items():
        kind: Any = model_field.annotation
        fields.append(
            (name, kind) if model_field.is_required() else (name, Union[kind, msgspec.UnsetType], _UNSET)  # noqa: UP007 - of a value
        )
    struct = msgspec.defstruct(model.__name__, fields, forbid_unknown_fields=True, kw_only=True, gc=False)
    return msgspec.json.Decoder(struct)


def _all_at_once(model: type[BaseModel], data: bytes) -> Columns | None:
    """The records when every line is one, of the right types, each key once; None when somebody has to look closer."""
    text = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(text == _NEWLINE)
    lines = len(ends)
    # A record is flat: when every line begins with a brace, none of them reaches over a line's end.
    if not data.startswith(b"{") or not data.endswith(b"}\n") or (text[ends[:-1] + 1] != _BRACE).any():
        return None if data.strip(b"\n") else Columns.empty(model)
    try:
        rows = _strict_decoder(model).decode_lines(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if len(rows) != lines:
        return None
    return Columns(model, rows, complete=True) if _has_colons(data, lines * len(model.model_fields)) else None


def _has_colons(data: bytes, keys: int) -> bool:
    """Whether surely no key stands twice in a record, when the records have this many different keys together.

    Every key that is written has a colon behind it, so as many colons as different keys leave none for a second one. More of them
    may stand in strings: then `":` is counted, which takes longer; besides keys only an escaped quote can end in it.
    """
    colons = (
        data.count(b":")
        if len(data) < _LONG
        else np.count_nonzero(np.frombuffer(data, dtype=np.uint8) == _COLON)
    )
    if colons == keys:
        return True
    return data.count(b'":') == keys and not any(b'"' + blank in data for blank in (b" ", b"\t", b"\r"))


def _one_by_one(
    model: type[BaseModel], lines: Sequence[bytes]
) -> tuple[list[Any], list[int], dict[int, str]]:
    decode = _decoder(model).decode
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
        given = fields - msgspec.structs.astuple(row).count(_UNSET)
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
    known = [word for word in words if word is not None]
    text = "".join(known)
    lengths = list(map(len, known))
    return not known or (
        text.isascii() and text.isprintable() and " " not in text
        and min(lengths) >= 1 and max(lengths) <= WORD_CHARACTERS_MAX
    )  # fmt: skip


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
