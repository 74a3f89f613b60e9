"""`a.b`: what JavaScript's values have, as far as templates use it. Nothing of Python can be reached."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cmp_to_key, partial
from typing import Any, Final

from promptship.evals.promptfoo import javascript_text
from promptship.evals.promptfoo.nunjucks import values
from promptship.evals.promptfoo.nunjucks.running import CHARS_MAX, STEPS_MAX, limited, width
from promptship.evals.promptfoo.nunjucks.values import (
    SPACE,
    UNDEFINED,
    Pattern,
    TemplateError,
    number,
    same,
    text,
    truthy,
)

MUTATORS: Final = frozenset({"push", "pop", "shift", "unshift", "reverse", "sort", "splice"})
"""Methods that change their array: a rendering gets copies of its variables when it names one."""


def member(value: Any, key: Any) -> Any:
    """value[key]; UNDEFINED where JavaScript has undefined, also below null and undefined."""
    if value is None or value is UNDEFINED:
        return UNDEFINED
    if isinstance(value, Mapping):
        return _of_object(value, key)
    if isinstance(value, list | tuple):
        return _of_array(value, key)
    if isinstance(value, str):
        return _of_text(value, key)
    if isinstance(value, int | float):
        return _bound(_OF_NUMBERS, value, key)
    if isinstance(value, Pattern):
        return _bound(_OF_PATTERNS, value, key)
    return value.member(text(key)) if isinstance(value, Host) else UNDEFINED


class Host:
    """An object of the template language itself."""

    def member(self, name: str) -> Any:
        """What it has under a name."""
        raise NotImplementedError


def _bound(methods: Mapping[str, Callable[..., Any]], value: Any, key: Any) -> Any:
    method = methods.get(text(key))
    return UNDEFINED if method is None else partial(method, value)


def _of_object(value: Mapping[Any, Any], key: Any) -> Any:
    if isinstance(key, str) and key in value:
        return value[key]
    name = text(key)
    if name in value:
        return value[name]
    for own in value:
        if not isinstance(own, str) and text(own) == name:
            return value[own]
    return _bound(_OF_OBJECTS, value, name)


def _of_array(value: list[Any] | tuple[Any, ...], key: Any) -> Any:
    name = text(key)
    if javascript_text.is_index(name):
        index = int(name)
        return value[index] if index < len(value) else UNDEFINED
    return len(value) if name == "length" else _bound(_OF_ARRAYS, value, name)


def _of_text(value: str, key: Any) -> Any:
    name = text(key)
    if javascript_text.is_index(name):
        return value[int(name)] if int(name) < len(value) else UNDEFINED
    return values.length(value) if name == "length" else _bound(_OF_TEXTS, value, name)


def _span(length: int, begin: Any, end: Any) -> tuple[int, int]:
    """The bounds of slice(): negative ones count from the end."""

    def place(value: Any, default: int) -> int:
        at = default if value is UNDEFINED else _whole(value)
        return max(0, length + at) if at < 0 else min(at, length)

    return place(begin, 0), place(end, length)


def _whole(value: Any, default: int = 0) -> int:
    as_number = number(value) if value is not UNDEFINED else default
    if as_number != as_number:  # noqa: PLR0124 - NaN
        return 0
    return int(max(-(2**53), min(2**53, as_number)))


def _substring(value: str, begin: Any, end: Any = UNDEFINED) -> str:
    size = len(value)
    first = min(max(_whole(begin), 0), size)
    second = size if end is UNDEFINED else min(max(_whole(end), 0), size)
    return value[min(first, second) : max(first, second)]


def _substr(value: str, begin: Any, length: Any = UNDEFINED) -> str:
    start, _ = _span(len(value), begin, UNDEFINED)
    return value[start:] if length is UNDEFINED else value[start : start + max(0, _whole(length))]


def _slice(value: Any, begin: Any = UNDEFINED, end: Any = UNDEFINED) -> Any:
    first, last = _span(len(value), begin, end)
    return value[first:last]


def _padded(value: str, size: Any, filling: Any, *, before: bool) -> str:
    missing = width(number(size)) - len(value)
    with_text = " " if filling is UNDEFINED else text(filling)
    if missing <= 0 or not with_text:
        return value
    padding = (with_text * (missing // len(with_text) + 1))[:missing]
    return padding + value if before else value + padding


def _split(value: str, separator: Any = UNDEFINED, limit: Any = UNDEFINED) -> list[str]:
    if separator is UNDEFINED:
        parts = [value]
    elif isinstance(separator, Pattern):
        parts = [part or "" for part in separator.compiled.split(value)]
    else:
        parts = value.split(text(separator)) if text(separator) else list(value)
    return parts if limit is UNDEFINED else parts[: _whole(limit)]


def substituted(value: str, old: Any, new: Any, *, everywhere: bool = False) -> str:
    """value.replace(old, new), or replaceAll."""
    count = 0 if everywhere else 1
    if isinstance(old, Pattern):
        pattern, count = old.compiled, 0 if "g" in old.flags else 1
    else:
        pattern = re.compile(re.escape(text(old)))

    def replacement(match: re.Match[str]) -> str:
        if callable(new):
            return text(new(match[0], *(UNDEFINED if group is None else group for group in match.groups())))
        return _REFERENCE.sub(partial(_referred, match), text(new))

    return str(limited(pattern.sub(replacement, value, count=count)))


_REFERENCE: Final = re.compile(r"\$(\$|&|\d{1,2}|<[^>]*>)")


def _referred(match: re.Match[str], reference: re.Match[str]) -> str:
    name = reference[1]
    if name == "$":
        return "$"
    if name == "&":
        return match[0]
    try:
        return match[int(name) if name.isdigit() else name[1:-1]] or ""
    except (IndexError, KeyError):
        return reference[0]


def _match(value: str, pattern: Any) -> Any:
    wanted = pattern if isinstance(pattern, Pattern) else Pattern.of(text(pattern), "")
    if "g" in wanted.flags:
        return [found[0] for found in wanted.compiled.finditer(value)] or None
    found = wanted.compiled.search(value)
    return None if found is None else [found[0], *(g if g is not None else UNDEFINED for g in found.groups())]


def _at(value: Any, index: Any = UNDEFINED) -> Any:
    place = _whole(index)
    return value[place] if -len(value) <= place < len(value) else UNDEFINED


def _repeat(value: str, count: Any) -> str:
    times = number(count)
    if not 0 <= times <= STEPS_MAX:
        raise TemplateError(f"cannot repeat a text {text(times)} times")
    if len(value) * int(times) > CHARS_MAX:
        raise TemplateError("repeats a text too often")
    return value * int(times)


_OF_TEXTS: Final[Mapping[str, Callable[..., Any]]] = {
    "at": _at,
    "charAt": lambda s, at=0: s[_whole(at)] if 0 <= _whole(at) < len(s) else "",
    "charCodeAt": lambda s, at=0: ord(s[_whole(at)]) if 0 <= _whole(at) < len(s) else float("nan"),
    "codePointAt": lambda s, at=0: ord(s[_whole(at)]) if 0 <= _whole(at) < len(s) else UNDEFINED,
    "concat": lambda s, *more: limited(s + "".join(map(text, more))),
    "endsWith": lambda s, end: s.endswith(text(end)),
    "includes": lambda s, part, at=0: text(part) in s[max(0, _whole(at)) :],
    "indexOf": lambda s, part, at=0: s.find(text(part), max(0, _whole(at))),
    "lastIndexOf": lambda s, part: s.rfind(text(part)),
    "localeCompare": lambda s, other: (s > text(other)) - (s < text(other)),
    "match": _match,
    "normalize": lambda s, form="NFC": unicodedata.normalize(form, s),
    "padEnd": lambda s, size, filling=UNDEFINED: _padded(s, size, filling, before=False),
    "padStart": lambda s, size, filling=UNDEFINED: _padded(s, size, filling, before=True),
    "repeat": _repeat,
    "replace": substituted,
    "replaceAll": partial(substituted, everywhere=True),
    "search": lambda s, pattern: m.start() if (m := pattern.compiled.search(s)) else -1,
    "slice": _slice,
    "split": _split,
    "startsWith": lambda s, start, at=0: s.startswith(text(start), max(0, _whole(at))),
    "substr": _substr,
    "substring": _substring,
    "toLocaleLowerCase": lambda s: s.lower(),
    "toLocaleUpperCase": lambda s: s.upper(),
    "toLowerCase": lambda s: s.lower(),
    "toString": str,
    "toUpperCase": lambda s: s.upper(),
    "trim": lambda s: s.strip(SPACE),
    "trimEnd": lambda s: s.rstrip(SPACE),
    "trimStart": lambda s: s.lstrip(SPACE),
    "valueOf": str,
}


def _index(array: list[Any], item: Any, begin: Any = 0) -> int:
    start, _ = _span(len(array), begin, UNDEFINED)
    return next((at for at in range(start, len(array)) if same(array[at], item)), -1)


def _flat(array: list[Any], depth: Any = 1) -> list[Any]:
    flat: list[Any] = []
    for item in values.bounded(array):
        if isinstance(item, list | tuple) and number(depth) >= 1:
            flat += _flat(list(item), number(depth) - 1)
        else:
            flat.append(item)
    return flat


def _pushed(array: list[Any], *items: Any) -> int:
    if len(array) + len(items) > STEPS_MAX:
        raise TemplateError(f"an array of more than {STEPS_MAX:,} items")
    array.extend(items)
    return len(array)


def _unshifted(array: list[Any], *items: Any) -> int:
    _pushed(array)
    array[:0] = items
    return len(array)


def _reversed(array: list[Any]) -> list[Any]:
    array.reverse()
    return array


def _sorted(array: list[Any], order: Any = UNDEFINED) -> list[Any]:
    if order is UNDEFINED:
        array.sort(key=text)
    else:
        array.sort(key=cmp_to_key(lambda left, right: _whole(order(left, right))))
    return array


def _spliced(array: list[Any], begin: Any = 0, count: Any = UNDEFINED, *items: Any) -> list[Any]:
    start, _ = _span(len(array), begin, UNDEFINED)
    end = len(array) if count is UNDEFINED else min(len(array), start + max(0, _whole(count)))
    removed = array[start:end]
    array[start:end] = items
    return removed


_OF_ARRAYS: Final[Mapping[str, Callable[..., Any]]] = {
    "at": _at,
    "concat": lambda a, *more: [*a, *(x for one in more for x in (one if isinstance(one, list) else [one]))],
    "every": lambda a, test: all(truthy(test(item, at)) for at, item in enumerate(a)),
    "filter": lambda a, test: [item for at, item in enumerate(a) if truthy(test(item, at))],
    "find": lambda a, test: next((item for at, item in enumerate(a) if truthy(test(item, at))), UNDEFINED),
    "flat": _flat,
    "includes": lambda a, item: any(same(one, item) or (one != one and item != item) for one in a),  # noqa: PLR0124
    "indexOf": _index,
    "join": lambda a, separator=",": limited(
        text("," if separator is UNDEFINED else separator).join(map(values.shown, a))
    ),
    "keys": lambda a: list(range(len(a))),
    "lastIndexOf": lambda a, item: next((at for at in reversed(range(len(a))) if same(a[at], item)), -1),
    "map": lambda a, change: [change(item, at) for at, item in enumerate(a)],
    "pop": lambda a: a.pop() if a else UNDEFINED,
    "push": _pushed,
    "reverse": _reversed,
    "shift": lambda a: a.pop(0) if a else UNDEFINED,
    "slice": _slice,
    "some": lambda a, test: any(truthy(test(item, at)) for at, item in enumerate(a)),
    "sort": _sorted,
    "splice": _spliced,
    "toString": text,
    "unshift": _unshifted,
}


_PLACES_MAX: Final = 100
_PRECISE: Final = Context(prec=500)


def _fixed(value: float, digits: Any = 0) -> str:
    places = 0 if digits is UNDEFINED else width(number(digits))
    if not math.isfinite(value) or places > _PLACES_MAX:
        return text(value)
    return f"{Decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _PRECISE):f}"


_OF_NUMBERS: Final[Mapping[str, Callable[..., Any]]] = {
    "toFixed": _fixed,
    "toLocaleString": lambda n: text(n) if isinstance(n, bool) else f"{round(n, 3):,}".removesuffix(".0"),
    "toString": text,
    "valueOf": lambda n: n,
}
_OF_OBJECTS: Final[Mapping[str, Callable[..., Any]]] = {
    "hasOwnProperty": lambda o, name: any(text(key) == text(name) for key in o),
    "toString": text,
}
_OF_PATTERNS: Final[Mapping[str, Callable[..., Any]]] = {
    "exec": lambda p, value: _match(text(value), Pattern(p.body, p.flags.replace("g", ""), p.compiled)),
    "test": lambda p, value: p.compiled.search(text(value)) is not None,
    "toString": str,
}
