"""msgspec decoders of spool lines, made from the records' models."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any, Final, Literal, Union, get_args

import msgspec
from pydantic import BaseModel

from promptship.adapters.telemetry.validity import BOUNDS, WORD_CHARACTERS_MAX

UNSET: Final = msgspec.UNSET
_ALWAYS_NEW: Final = frozenset({"id", "request", "unit"})
_KNOWN_MAX: Final = 64
"""Different values of a field beyond which it is not worth to know them."""

Decoder = msgspec.json.Decoder[Any]


def strict_rows(model: type[BaseModel], data: bytes) -> list[Any]:
    """Records of lines as our own gateways write them: every field is there, and its number within its bounds.

    Raises:
        msgspec.MsgspecError, UnicodeDecodeError, RecursionError: some line is not like that.
    """
    known = _known(model)
    if known.decoder is not None:
        try:
            return known.decoder.decode_lines(data)
        except msgspec.ValidationError:
            pass  # a value that was not there before, or something wrong: the next line tells
    rows = _strict(model, ()).decode_lines(data)
    known.learn(rows)
    return rows


@lru_cache(maxsize=8)
def lenient(model: type[BaseModel]) -> Decoder:
    """For any line. Optional fields are left unset, to tell how many keys a record has."""
    fields: list[Any] = []
    for name, model_field in model.model_fields.items():
        kind: Any = model_field.annotation
        fields.append(
            (name, kind) if model_field.is_required() else (name, Union[kind, msgspec.UnsetType], UNSET)  # noqa: UP007 - of a value
        )
    return _decoder(model, fields)


@dataclass(slots=True)
class _Known:
    """Words that stand in line after line: versions, prompts, models. Known ones need no new string a line, nor hashing it."""

    model: type[BaseModel]
    words: dict[str, set[str | None]]
    decoder: Decoder | None = field(default=None)

    def learn(self, rows: list[Any]) -> None:
        for name in list(self.words):
            self.words[name].update(map(attrgetter(name), rows))
            if len(self.words[name]) > _KNOWN_MAX or any(
                word is not None and len(word) > WORD_CHARACTERS_MAX for word in self.words[name]
            ):
                del self.words[name]
        if rows:
            closed = tuple((name, frozenset(words - {None})) for name, words in self.words.items())
            self.decoder = _strict(self.model, closed)


@lru_cache(maxsize=8)
def _known(model: type[BaseModel]) -> _Known:
    named = model.model_fields.items()
    names = [name for name, one in named if one.annotation in {str, str | None} and name not in _ALWAYS_NEW]
    return _Known(model, {name: set() for name in names})


@lru_cache(maxsize=16)
def _strict(model: type[BaseModel], closed: tuple[tuple[str, frozenset[Any]], ...]) -> Decoder:
    words = dict(closed)
    fields: list[Any] = []
    for name, model_field in model.model_fields.items():
        kind: Any = model_field.annotation
        if words.get(name):
            word: Any = Literal[tuple(sorted(words[name]))]
            kind = word if kind is str else Union[word, None]  # noqa: UP007 - of a value
        elif name in BOUNDS and kind is not bool:
            low, high = BOUNDS[name]
            members = [member for member in (get_args(kind) or (kind,)) if member is not type(None)]
            number: Any = Annotated[members[0], msgspec.Meta(ge=low, le=high)]
            kind = number if model_field.is_required() else Union[number, None]  # noqa: UP007 - of a value
        fields.append((name, kind))
    return _decoder(model, fields)


def _decoder(model: type[BaseModel], fields: list[Any]) -> Decoder:
    struct = msgspec.defstruct(model.__name__, fields, forbid_unknown_fields=True, kw_only=True, gc=False)
    return msgspec.json.Decoder(struct)
