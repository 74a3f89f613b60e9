"""What a prompt may hold beside text: JSON values, because that is what travels to the model and into the ledger."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from promptship.errors import ConfigError, Problem

SHOWN_CHARS_MAX = 60


def compact(value: Any) -> str:
    """Canonical JSON: sorted keys, no whitespace, no escapes that UTF-8 does not need."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def ordered(value: Any) -> str:
    """Like `compact`, but the keys stay in the order they were written in."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def kind(value: Any) -> str:
    """What a value is, in JSON's words, with its article; never the value itself, which may be a user's."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a number"
        case str():
            return "a string"
        case list() | tuple():
            return "an array"
        case Mapping():
            return "an object"
    return f"a Python {type(value).__name__}"


def shown(value: Any) -> str:
    """A value of a file as an error message shows it: short, on one line."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[: SHOWN_CHARS_MAX - 1]}…"


def under(parent: str, key: str | int) -> str:
    """Dotted path of a key below another: `messages[0].content`."""
    if isinstance(key, int):
        return f"{parent}[{key}]"
    return f"{parent}.{key}" if parent else key


def not_json(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """(key, what it is) of every part of a value that JSON cannot carry without changing it."""
    match value:
        case None | bool() | int():
            return
        case str():
            if not _is_unicode(value):
                yield key, "text with half of a surrogate pair"
        case float():
            if not math.isfinite(value):
                yield key, str(value)
        case list() | tuple():
            for index, item in enumerate(value):
                yield from not_json(item, under(key, index))
        case dict():
            for name, item in value.items():
                if isinstance(name, str) and _is_unicode(name):
                    yield from not_json(item, under(key, name))
                else:
                    yield under(key, repr(name)), f"{kind(name)} as a key"
        case _:
            yield key, kind(value)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain(value: Any) -> Any:
    """A copy in which tuples are lists, as JSON reads them back."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


def sorted_keys(value: Any) -> Any:
    """A copy with the keys of all objects in order: what a default looks like to a template, whoever wrote it down."""
    if isinstance(value, list | tuple):
        return [sorted_keys(item) for item in value]
    if isinstance(value, dict):
        return {name: sorted_keys(value[name]) for name in sorted(value)}
    return value


def require_json(value: Any, *, file: str) -> None:
    """Raise ConfigError naming every part of a value that JSON cannot carry."""
    problems = [
        Problem(file=file, key=key, got=what, expected="expected a JSON value")
        for key, what in not_json(value, "")
    ]
    if problems:
        raise ConfigError(problems)
