"""JavaScript's values and operators, as far as templates reach them.

null is None, undefined is UNDEFINED; strings, booleans, numbers, arrays and objects are Python's. A function is any callable.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from promptship.evals.promptfoo import javascript_text

SPACE: Final = " \t\n\v\f\r\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
"""What JavaScript takes for white space."""


class TemplateError(Exception):
    """A template that cannot be parsed or rendered. `line` is 1-based; 0: unknown."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.reason = message
        self.line = line


class _Undefined:
    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "undefined"


UNDEFINED: Final = _Undefined()


class Safe(str):
    """Text that need not be escaped; it matters to `escape` and `is escaped` only."""

    __slots__ = ()


class Keywords(dict[str, Any]):
    """Keyword arguments of a call: the last argument of what is called."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression literal: `r/body/flags`."""

    body: str
    flags: str
    compiled: re.Pattern[str] = field(compare=False)

    def __str__(self) -> str:
        return f"/{self.body}/{self.flags}"

    @staticmethod
    def of(body: str, flags: str) -> Pattern:
        """Raises TemplateError when it is no pattern."""
        options = (re.IGNORECASE if "i" in flags else 0) | (re.MULTILINE if "m" in flags else 0)
        try:
            return Pattern(body, flags, re.compile(re.sub(r"\(\?<(?![=!])", "(?P<", body), options))
        except re.error as error:
            raise TemplateError(f"the regular expression /{body}/ is wrong: {error}") from None


def truthy(value: Any) -> bool:
    """JavaScript's truth: empty arrays and objects are true, NaN is false."""
    if isinstance(value, float):
        return value == value and value != 0  # noqa: PLR0124 - NaN
    if isinstance(value, list | tuple | Mapping):
        return True
    return bool(value)


ITEMS_MAX: Final = 1_000_000
"""Items of one value that is printed: an array may hold another one many times over."""


def bounded(value: Any) -> Any:
    """The same value. Raises TemplateError when it has more items than can be printed, however they are nested."""
    waiting, count = [value], 0
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            one = list(one.values())
        if isinstance(one, list | tuple):
            count += len(one)
            if count > ITEMS_MAX:
                raise TemplateError(f"a value of more than {ITEMS_MAX:,} items")
            waiting += [item for item in one if isinstance(item, list | tuple | Mapping)]
    return value


def text(value: Any) -> str:
    """String(value)."""
    if isinstance(value, str):
        return value
    if value is UNDEFINED:
        return "undefined"
    if isinstance(value, list | tuple):
        return ",".join(map(shown, bounded(value)))
    if callable(value):
        return f"function {getattr(value, '__name__', '')}() {{ }}"
    return javascript_text.text(value)


def shown(value: Any) -> str:
    """A value as a template prints it: null and undefined are nothing."""
    return "" if value is None or value is UNDEFINED else text(value)


_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z", re.ASCII)
_RADIX: Final = {"0x": 16, "0o": 8, "0b": 2}


def number(value: Any) -> float:
    """Number(value): NaN for what is none."""
    if isinstance(value, bool) or value is None:
        return int(bool(value))
    if isinstance(value, int | float):
        return value
    if isinstance(value, str):
        return _parsed(value.strip(SPACE))
    if isinstance(value, list | tuple):
        return _parsed(text(value).strip(SPACE))
    return math.nan


def _parsed(digits: str) -> float:
    if not digits:
        return 0
    if _NUMBER.match(digits):
        return tidy(float(digits))
    if digits in {"Infinity", "+Infinity", "-Infinity"}:
        return -math.inf if digits.startswith("-") else math.inf
    try:
        return int(digits[2:], _RADIX[digits[:2].lower()])
    except (KeyError, ValueError):
        return math.nan


def tidy(value: float) -> float:
    """The same number, as an int where it is whole and exact; beyond that a double, as all of JavaScript's numbers."""
    if isinstance(value, int):
        if -javascript_text.INTEGER_MAX < value < javascript_text.INTEGER_MAX:
            return value
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    whole = value.is_integer() and abs(value) < javascript_text.INTEGER_MAX
    return int(value) if whole and (value or math.copysign(1, value) > 0) else value


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object"


def same(left: Any, right: Any) -> bool:
    """Whether left === right: objects and arrays are equal only to themselves."""
    if left is right:
        return left == left or not isinstance(left, float)  # noqa: PLR0124 - NaN
    kind = _kind(left)
    return kind == _kind(right) != "object" and left == right


def equal(left: Any, right: Any) -> bool:
    """Whether left == right, with JavaScript's conversions."""
    left_empty = left is None or left is UNDEFINED
    right_empty = right is None or right is UNDEFINED
    if left_empty or right_empty:
        return left_empty and right_empty
    left_kind, right_kind = _kind(left), _kind(right)
    if left_kind == right_kind:
        return same(left, right)
    if left_kind == "object" and right_kind != "boolean":
        return equal(text(left), right)
    if right_kind == "object" and left_kind != "boolean":
        return equal(left, text(right))
    return number(left) == number(right)


def _primitive(value: Any) -> Any:
    return text(value) if _kind(value) == "object" and value is not None and value is not UNDEFINED else value


def less(left: Any, right: Any) -> bool:
    """Whether left < right."""
    left, right = _primitive(left), _primitive(right)
    if isinstance(left, str) and isinstance(right, str):
        return left < right
    return number(left) < number(right)


def not_more(left: Any, right: Any) -> bool:
    """Whether left <= right."""
    left, right = _primitive(left), _primitive(right)
    if isinstance(left, str) and isinstance(right, str):
        return left <= right
    return number(left) <= number(right)


def add(left: Any, right: Any) -> Any:
    """The sum left + right: joins as soon as one of them is no number."""
    left, right = _primitive(left), _primitive(right)
    if isinstance(left, str) or isinstance(right, str):
        return text(left) + text(right)
    return tidy(number(left) + number(right))


def _divided(left: float, right: float) -> float:
    if right:
        return left / right
    negative = (math.copysign(1, left) < 0) != (math.copysign(1, right) < 0)
    return math.nan if not left or math.isnan(left) else -math.inf if negative else math.inf


def _power(left: float, right: float) -> float:
    if math.isnan(right) or (abs(left) == 1 and math.isinf(right)):
        return math.nan
    try:
        result = math.pow(left, right)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.inf if not left else math.nan
    return result


def _remainder(left: float, right: float) -> float:
    if not right or math.isinf(left) or math.isnan(left):
        return math.nan
    return left if math.isinf(right) else math.fmod(left, right)


_ARITHMETIC: Final[Mapping[str, Callable[[float, float], float]]] = {
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divided,
    "%": _remainder,
    "**": _power,
}


def calculate(operator: str, left: Any, right: Any) -> float:
    """The value of left OPERATOR right, both taken as numbers."""
    return tidy(_ARITHMETIC[operator](number(left), number(right)))


def floor(value: Any) -> float:
    """Math.floor(value)."""
    as_number = number(value)
    return tidy(math.floor(as_number)) if math.isfinite(as_number) else as_number


def length(value: str) -> int:
    """Length of a text as JavaScript counts it: in units of UTF-16."""
    return len(value) if value.isascii() else len(value.encode("utf-16-le", "surrogatepass")) // 2
