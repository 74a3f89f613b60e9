"""Built-in filters on arrays and objects, the tests of `is`, and the global functions."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping
from functools import cmp_to_key
from typing import Any, Final

from promptship.evals.promptfoo import javascript_text
from promptship.evals.promptfoo.nunjucks.members import Host, member
from promptship.evals.promptfoo.nunjucks.running import STEPS_MAX, limited, named_parameters
from promptship.evals.promptfoo.nunjucks.text_filters import TEXT_FILTERS
from promptship.evals.promptfoo.nunjucks.values import (
    UNDEFINED,
    Safe,
    TemplateError,
    add,
    bounded,
    calculate,
    length,
    less,
    not_more,
    number,
    same,
    shown,
    text,
    truthy,
)

# Arrays


def _array(value: Any, name: str) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    raise TemplateError(f"filter {name} needs an array, got {text(value)[:40]}")


def _items(value: Any, name: str) -> list[Any]:
    """The items of an array, the characters of a text; what has no length has none."""
    if value is None or value is UNDEFINED:
        raise TemplateError(f"filter {name} needs an array, got {text(value)}")
    return list(value) if isinstance(value, str | list | tuple) else []


def _batch(value: Any, size: Any = UNDEFINED, filling: Any = UNDEFINED) -> list[Any]:
    items, count = _items(value, "batch"), number(size) if size is not UNDEFINED else 0
    if not count >= 1:
        return [items] if items else []
    step = int(count)
    if step > STEPS_MAX:
        raise TemplateError(f"a batch of more than {STEPS_MAX:,} items")
    rows = [items[at : at + step] for at in range(0, len(items), step)]
    if rows and truthy(filling):
        rows[-1] += [filling] * (step - len(rows[-1]))
    return rows


def _slices(value: Any, count: Any = UNDEFINED, filling: Any = UNDEFINED) -> list[Any]:
    items = list(value) if isinstance(value, str) else _array(value, "slice")
    parts = int(number(count) if count is not UNDEFINED else 0)
    if parts > STEPS_MAX:
        raise TemplateError(f"more than {STEPS_MAX:,} slices")
    if parts < 1:
        return []
    short, longer = divmod(len(items), parts)
    waiting = iter(items)
    rows = [list(itertools.islice(waiting, short + (at < longer))) for at in range(parts)]
    if truthy(filling):
        for row in rows[longer:]:
            row.append(filling)
    return rows


def _length(value: Any) -> Any:
    if value is None or value is UNDEFINED or value is False:
        return 0
    if isinstance(value, Mapping):
        return len(value)
    return length(value) if isinstance(value, str) else member(value, "length")


def _list(value: Any) -> list[Any]:
    if isinstance(value, str):
        return list(value)
    if isinstance(value, Mapping):
        return [{"key": text(key), "value": value[key]} for key in javascript_text.keys(value)]
    return _array(value, "list")


def _join(value: Any, separator: Any = UNDEFINED, attribute: Any = UNDEFINED) -> Any:
    items = _array(value, "join")
    if truthy(attribute):
        items = [member(item, attribute) for item in items]
    return limited((text(separator) if truthy(separator) else "").join(map(shown, items)))


def _reverse(value: Any) -> Any:
    if isinstance(value, str | list | tuple):
        return value[::-1]
    return []


def _end(index: int, name: str) -> Callable[[Any], Any]:
    def filtered(value: Any) -> Any:
        if value is None or value is UNDEFINED:
            raise TemplateError(f"filter {name} needs an array, got {text(value)}")
        items = value if isinstance(value, str | list | tuple) else ()
        return items[index] if items else UNDEFINED

    return filtered


def _sum(value: Any, attribute: Any = UNDEFINED, start: Any = UNDEFINED) -> Any:
    total: Any = 0
    for item in _array(value, "sum"):
        total = add(total, member(item, attribute) if truthy(attribute) else item)
    return add(0 if start is UNDEFINED else start, total)


def _attribute(item: Any, path: Any) -> Any:
    """An attribute by its dotted path; only an object's own."""
    for part in path.split(".") if isinstance(path, str) else [path]:
        if isinstance(item, Mapping) and text(part) not in map(text, item):
            return UNDEFINED
        item = member(item, part)
    return item


@named_parameters("value", "reverse", "case_sensitive", "attribute")
def _sort(value: Any, backwards: Any, case_sensitive: Any, attribute: Any) -> list[Any]:
    def key(item: Any) -> Any:
        wanted = _attribute(item, attribute) if truthy(attribute) else item
        return wanted.lower() if isinstance(wanted, str) and not truthy(case_sensitive) else wanted

    def order(left: tuple[Any, Any], right: tuple[Any, Any]) -> int:
        sign = -1 if truthy(backwards) else 1
        return -sign if less(left[0], right[0]) else sign if less(right[0], left[0]) else 0

    items = value if isinstance(value, str | list | tuple) else ()
    known = [(key(item), item) for item in items if item is not UNDEFINED]
    return [item for _, item in sorted(known, key=cmp_to_key(order))]


def _groupby(value: Any, attribute: Any = UNDEFINED) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for item in _items(value, "groupby"):
        groups.setdefault(text(_attribute(item, attribute)), []).append(item)
    return groups


def _dictsort(value: Any, case_sensitive: Any = UNDEFINED, by: Any = UNDEFINED) -> list[Any]:
    if not isinstance(value, Mapping):
        raise TemplateError("filter dictsort needs an object")
    if by is not UNDEFINED and by not in {"key", "value"}:
        raise TemplateError("filter dictsort sorts by key or value only")
    side = 1 if by == "value" else 0

    def key(pair: list[Any]) -> Any:
        wanted = pair[side]
        return wanted.upper() if isinstance(wanted, str) and not truthy(case_sensitive) else wanted

    def order(left: list[Any], right: list[Any]) -> int:
        one, other = key(left), key(right)
        return 1 if less(other, one) else -1 if not same(one, other) else 0

    return sorted(([text(key), value[key]] for key in javascript_text.keys(value)), key=cmp_to_key(order))


def _chosen(*, wanted: bool) -> Callable[..., list[Any]]:
    def filtered(value: Any, name: Any = UNDEFINED, argument: Any = UNDEFINED) -> list[Any]:
        test = named_test("truthy" if name is UNDEFINED else text(name))
        items = value if isinstance(value, str | list | tuple) else ()
        return [item for item in items if test(item, argument) is wanted]

    return filtered


def _dump(value: Any, indent: Any = UNDEFINED, *_: Any) -> Any:
    if value is UNDEFINED or callable(value):
        return UNDEFINED
    by = indent if isinstance(indent, str) else int(indent) if isinstance(indent, int | float) else 0
    return limited(javascript_text.json_text(bounded(value), by))


def _default(value: Any, default: Any = UNDEFINED, falsy: Any = UNDEFINED) -> Any:
    if truthy(falsy):
        return value if truthy(value) else default
    return default if value is UNDEFINED else value


def _load(value: Any) -> Any:
    try:
        return javascript_text.parse_json(text(value))
    except (ValueError, RecursionError) as error:
        raise TemplateError(f"filter load: this is not JSON: {error}") from None


def _random(value: Any) -> Any:
    items = _items(value, "random")
    return random.choice(items) if items else UNDEFINED  # noqa: S311 - the filter is called random


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    **TEXT_FILTERS,
    "batch": _batch,
    "d": _default,
    "default": _default,
    "dictsort": _dictsort,
    "dump": _dump,
    "first": _end(0, "first"),
    "groupby": _groupby,
    "join": _join,
    "last": _end(-1, "last"),
    "length": _length,
    "list": _list,
    "load": _load,
    "random": _random,
    "reject": _chosen(wanted=False),
    "rejectattr": lambda value, name=UNDEFINED: [
        item for item in _array(value, "rejectattr") if not truthy(member(item, name))
    ],
    "reverse": _reverse,
    "select": _chosen(wanted=True),
    "selectattr": lambda value, name=UNDEFINED: [
        item for item in _array(value, "selectattr") if truthy(member(item, name))
    ],
    "slice": _slices,
    "sort": _sort,
    "sum": _sum,
}

# Tests

_Test = Callable[[Any, Any], bool]
_TESTS: Final[Mapping[str, _Test]] = {
    "callable": lambda value, _: callable(value),
    "defined": lambda value, _: value is not UNDEFINED,
    "divisibleby": lambda value, by: calculate("%", value, by) == 0,
    "eq": same,
    "equalto": same,
    "escaped": lambda value, _: isinstance(value, Safe),
    "even": lambda value, _: calculate("%", value, 2) == 0,
    "falsy": lambda value, _: not truthy(value),
    "ge": lambda value, other: not_more(other, value),
    "greaterthan": lambda value, other: less(other, value),
    "gt": lambda value, other: less(other, value),
    "iterable": lambda value, _: isinstance(value, str | list | tuple),
    "le": not_more,
    "lessthan": less,
    "lower": lambda value, _: text(value).lower() == text(value),
    "lt": less,
    "mapping": lambda value, _: isinstance(value, Mapping),
    "ne": lambda value, other: not same(value, other),
    "null": lambda value, _: value is None,
    "number": lambda value, _: isinstance(value, int | float) and not isinstance(value, bool),
    "odd": lambda value, _: calculate("%", value, 2) == 1,
    "sameas": same,
    "string": lambda value, _: isinstance(value, str) and not isinstance(value, Safe),
    "truthy": lambda value, _: truthy(value),
    "undefined": lambda value, _: value is UNDEFINED,
    "upper": lambda value, _: text(value).upper() == text(value),
}


def named_test(name: str) -> _Test:
    """A test of `is`. Raises TemplateError when there is none of that name."""
    if name not in _TESTS:
        raise TemplateError(f"there is no test {name}")
    return _TESTS[name]


# Globals


def _range(start: Any = UNDEFINED, stop: Any = UNDEFINED, step: Any = UNDEFINED) -> list[Any]:
    if stop is UNDEFINED:
        start, stop, step = 0, start, 1
    first, last, by = number(start), number(stop), number(step) if truthy(step) else 1
    if not abs((last - first) / by) <= STEPS_MAX:
        return _endless(first, last, by)
    count = 0
    numbers: list[Any] = []
    at = first
    while (at < last) if by > 0 else (at > last):
        numbers.append(at)
        count += 1
        at = first + count * by
    return numbers


def _endless(first: float, last: float, by: float) -> list[Any]:
    if (first < last and by > 0) or (first > last and by < 0):
        raise TemplateError(f"a range of more than {STEPS_MAX:,} numbers")
    return []


class _Cycler(Host):
    """Gives its items in turn."""

    def __init__(self, *items: Any) -> None:
        self._items = items
        self._at = -1

    def member(self, name: str) -> Any:
        """`next`, `reset` and `current`."""
        if name == "current":
            return None if self._at < 0 or not self._items else self._items[self._at]
        return {"next": self._next, "reset": self._reset}.get(name, UNDEFINED)

    def _next(self) -> Any:
        if not self._items:
            return UNDEFINED
        self._at = (self._at + 1) % len(self._items)
        return self._items[self._at]

    def _reset(self) -> Any:
        self._at = -1
        return UNDEFINED

    def __str__(self) -> str:
        return "[object Object]"


def _joiner(separator: Any = UNDEFINED) -> Callable[[], str]:
    pending = [""]

    def between(*_: Any) -> str:
        said, pending[0] = pending[0], text(separator) if truthy(separator) else ","
        return said

    return between


GLOBALS: Final[Mapping[str, Any]] = {"cycler": _Cycler, "joiner": _joiner, "range": _range}
