"""Arithmetic of derived metrics: the part of mathjs that people use there, compiled once, without anything that could do harm.

Numbers, names, `+ - * / % ^`, comparisons, `and or not`, `a ? b : c`, lists for the functions of many numbers, and the functions
of `FUNCTIONS`. As in mathjs `^` binds to the right and before a sign, `%` has the sign of the divisor, and dividing by zero gives
Infinity or NaN.
"""

from __future__ import annotations

import math
import operator
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from functools import reduce
from types import MappingProxyType
from typing import Any, Final

Names = Mapping[str, float]
Compiled = Callable[[Names], Any]

_DEPTH_MAX: Final = 100
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[^\W\d]\w*)|(?P<sign><=|>=|==|!=|[-+*/%^<>?:(),\[\]]))"
)


class Unreadable(ValueError):
    """Not arithmetic that is understood here; the message says where it ends."""


def _divided(a: float, b: float) -> float:
    if b == 0:
        return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)
    return a / b


def _modulo(a: float, b: float) -> float:
    return a if b == 0 else a - b * math.floor(a / b)


def _power(a: float, b: float) -> float:
    try:
        value = a**b
    except ZeroDivisionError:
        return math.inf
    except OverflowError:
        return math.inf
    return value if isinstance(value, int | float) else math.nan


def _rounded(x: float, places: float = 0) -> float:
    """Halves go away from zero, as the number is written: 1.005 becomes 1.01."""
    if not math.isfinite(x):
        return x
    return float(Decimal(repr(x)).quantize(Decimal(1).scaleb(-int(places)), rounding=ROUND_HALF_UP))


def _logarithm(x: float, base: float = math.e) -> float:
    if x <= 0:
        return -math.inf if x == 0 else math.nan
    return math.log(x) / math.log(base) if base != math.e else math.log(x)


def _flat(values: Sequence[Any]) -> list[float]:
    return [item for value in values for item in (value if isinstance(value, list) else [value])]


def _many(function: Callable[[list[float]], float]) -> Callable[..., float]:
    return lambda *values: function(_flat(values))


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "abs": abs, "cbrt": lambda x: math.copysign(abs(x) ** (1 / 3), x), "ceil": math.ceil, "cube": lambda x: x**3,
        "divide": _divided, "exp": math.exp, "fix": math.trunc, "floor": math.floor, "log": _logarithm,
        "log10": lambda x: _logarithm(x, 10.0), "log1p": math.log1p, "log2": lambda x: _logarithm(x, 2.0),
        "max": _many(max), "mean": _many(statistics.fmean), "median": _many(statistics.median), "min": _many(min),
        "mod": _modulo, "multiply": lambda *xs: reduce(operator.mul, xs), "pow": _power, "prod": _many(math.prod),
        "round": _rounded, "sign": lambda x: (x > 0) - (x < 0), "sqrt": lambda x: math.sqrt(x) if x >= 0 else math.nan,
        "square": lambda x: x * x, "std": _many(statistics.stdev), "subtract": operator.sub, "sum": _many(math.fsum),
        "variance": _many(statistics.variance), "add": lambda *xs: sum(xs), "isNaN": math.isnan,
    }
)  # fmt: skip
_CONSTANTS: Final = {
    "pi": math.pi,
    "e": math.e,
    "Infinity": math.inf,
    "NaN": math.nan,
    "true": True,
    "false": False,
}
_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_WORDS: Final = frozenset({"and", "or", "not", "mod"})


def compiled(text: str) -> Compiled:
    """The value of an expression for given names. Raises Unreadable.

    What it returns raises ArithmeticError, KeyError, TypeError or ValueError when the names do not fit.
    """
    return _Parser(text).whole()


class _Parser:
    """Recursive descent, loosest first; each method gives what computes its part."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        self._at = self._depth = 0
        place = 0
        while text[place:].strip():
            found = _TOKEN.match(text, place)
            if found is None:
                raise Unreadable(f"{text!r} is not understood from {text[place:].strip()[:20]!r} on")
            self._tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            place = found.end()

    def whole(self) -> Compiled:
        value = self._choice()
        if self._at < len(self._tokens):
            raise self._stuck()
        return value

    def _stuck(self) -> Unreadable:
        where = repr(self._tokens[self._at][1]) if self._at < len(self._tokens) else "its end"
        return Unreadable(f"{self._text!r} is not understood at {where}")

    def _took(self, *wanted: str) -> str:
        if self._at < len(self._tokens) and self._tokens[self._at][1] in wanted:
            self._at += 1
            return self._tokens[self._at - 1][1]
        return ""

    def _must(self, sign: str) -> None:
        if not self._took(sign):
            raise self._stuck()

    def _choice(self) -> Compiled:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise Unreadable("brackets are nested too deep")
        test = self._either()
        if self._took("?"):
            yes = self._choice()
            self._must(":")
            no = self._choice()
            self._depth -= 1
            return lambda names: yes(names) if test(names) else no(names)
        self._depth -= 1
        return test

    def _either(self) -> Compiled:
        left = self._both()
        while self._took("or"):
            left = _joined(left, self._both(), lambda a, b: bool(a) or bool(b))
        return left

    def _both(self) -> Compiled:
        left = self._comparison()
        while self._took("and"):
            left = _joined(left, self._comparison(), lambda a, b: bool(a) and bool(b))
        return left

    def _comparison(self) -> Compiled:
        first = self._sum()
        rest: list[tuple[Callable[[Any, Any], bool], Compiled]] = []
        while sign := self._took(*_COMPARE):
            rest.append((_COMPARE[sign], self._sum()))
        if not rest:
            return first

        def chained(names: Names) -> bool:
            """`a < b < c` is `a < b and b < c`."""
            values = [first(names), *(side(names) for _, side in rest)]
            return all(holds(values[at], values[at + 1]) for at, (holds, _) in enumerate(rest))

        return chained

    def _sum(self) -> Compiled:
        left = self._product()
        while sign := self._took("+", "-"):
            left = _joined(left, self._product(), operator.add if sign == "+" else operator.sub)
        return left

    def _product(self) -> Compiled:
        left = self._signed()
        while sign := self._took("*", "/", "%", "mod"):
            left = _joined(left, self._signed(), {"*": operator.mul, "/": _divided}.get(sign, _modulo))
        return left

    def _signed(self) -> Compiled:
        if self._took("-"):
            inner = self._signed()
            return lambda names: -inner(names)
        if self._took("+"):
            return self._signed()
        if self._took("not"):
            inner = self._signed()
            return lambda names: not inner(names)
        base = self._atom()
        if self._took("^"):
            return _joined(base, self._signed(), _power)
        return base

    def _atom(self) -> Compiled:
        if self._took("("):
            inner = self._choice()
            self._must(")")
            return inner
        if self._took("["):
            items = self._list("]")
            return lambda names: [item(names) for item in items]
        if self._at >= len(self._tokens):
            raise self._stuck()
        kind, word = self._tokens[self._at]
        if kind == "number":
            self._at += 1
            value = float(word)
            return lambda _names: value
        called = self._at + 1 < len(self._tokens) and self._tokens[self._at + 1][1] == "("
        if kind != "name" or (word in _WORDS and not (called and word in FUNCTIONS)):
            raise self._stuck()
        self._at += 1
        if not self._took("("):
            return lambda names: names[word] if word in names else _CONSTANTS[word]
        if word not in FUNCTIONS:
            raise Unreadable(f"{self._text!r} calls {word}, which is not understood here")
        function, arguments = FUNCTIONS[word], self._list(")")
        return lambda names: function(*[argument(names) for argument in arguments])

    def _list(self, end: str) -> list[Compiled]:
        items: list[Compiled] = []
        if self._took(end):
            return items
        while True:
            items.append(self._choice())
            if self._took(end):
                return items
            self._must(",")


def _joined(left: Compiled, right: Compiled, join: Callable[[Any, Any], Any]) -> Compiled:
    return lambda names: join(left(names), right(names))
