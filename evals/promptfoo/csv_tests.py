"""Tests in tables: columns are variables, but for those that begin with two underscores; `__expected` has a grammar of its own."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo.assertion_types import BASE_TYPES, NOT
from promptship.evals.promptfoo.calling import language_of
from promptship.evals.promptfoo.nunjucks.values import SPACE
from promptship.evals.promptfoo.references import FILE
from promptship.evals.promptfoo.slips import meant_type, near
from promptship.evals.promptfoo.tables import TableRow
from promptship.evals.services import Language

_LIST_TYPES: Final = frozenset({"contains-all", "contains-any", "icontains-all", "icontains-any"})
_THRESHOLDS: Final[Mapping[str, float]] = {
    **dict.fromkeys(
        (
            "answer-relevance", "classifier", "context-faithfulness", "context-recall", "context-relevance", "cost",
            "latency", "levenshtein", "perplexity", "perplexity-score", "rouge-n", "starts-with",
        ),
        0.75,
    ),
    "similar": 0.8,
}  # fmt: skip
"""What a threshold is when the cell names none. Other types have no threshold from a cell, even when one is written."""
_KINDS: Final = tuple(sorted(BASE_TYPES, key=len, reverse=True))
"""The longest first: `similar:cosine` is not `similar` with a value."""
_CODE: Final = ("javascript:", "fn:", "eval:")
_RUBRIC: Final = ("grade:", "llm-rubric:")
_SPECIAL: Final = (
    "config", "description", "expected", "metadata", "metric", "prefix", "providerOutput", "suffix", "threshold",
)  # fmt: skip
"""Columns with a meaning of their own, without their two underscores."""
_UNTRIMMED: Final = frozenset({"is-json", "contains-json"})
_SCRIPTED: Final[Mapping[Language | None, str]] = {
    Language.JAVASCRIPT: "javascript",
    Language.PYTHON: "python",
}
_NUMERIC: Final = frozenset("0123456789+-.eE")
_PAIRS: Final = ('""', '\\"', "\\\\")
"""Two signs that stand for the second of them between quotes."""


def table_tests(rows: Iterable[TableRow], file: str) -> tuple[tuple[dict[str, Any], ...], tuple[str, ...]]:
    """The tests of a table, and what is odd about its columns.

    Raises ConfigError with every wrong cell of the table.
    """
    problems: list[Problem] = []
    tests: list[dict[str, Any]] = []
    odd: dict[str, None] = {}
    for number, row in enumerate(rows, start=1):
        try:
            test = _Line(row, file, odd).test()
        except ConfigError as error:
            problems.extend(error.problems)
            continue
        test.setdefault("description", f"Row #{number}")
        tests.append(test)
    if problems:
        raise ConfigError(dict.fromkeys(problems))
    return tuple(tests), tuple(odd)


def row_test(cells: Mapping[str, Any], number: int, file: str) -> dict[str, Any]:
    """The test of one mapping that is read like a line of a table. Raises ConfigError."""
    text = {str(key): value if isinstance(value, str) else _json_text(value) for key, value in cells.items()}
    test = _Line(TableRow(0, text), file, {}).test()
    test["vars"] = {name: cells.get(name, value) for name, value in test["vars"].items()}
    test.setdefault("description", f"Row #{number}")
    return test


def _json_text(value: object) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False)


class _Line:
    """One line of a table on its way to a test."""

    def __init__(self, row: TableRow, file: str, odd: dict[str, None]) -> None:
        self._row, self._file, self._odd = row, file, odd
        self._asserts: list[dict[str, Any]] = []
        self._thresholds: dict[int, float] = {}
        self._metadata: dict[str, Any] = {}
        self._test: dict[str, Any] = {"vars": {}, "assert": self._asserts, "options": {}}
        self._exactly: Final[Mapping[str, Callable[[str], None]]] = {
            "__prefix": partial(self._option, "prefix"), "__suffix": partial(self._option, "suffix"),
            "__description": partial(self._fact, "description"), "__providerOutput": partial(self._fact, "providerOutput"),
            "__metric": partial(self._fact, "metric"), "__threshold": self._threshold, "__metadata": self._keyless,
        }  # fmt: skip

    def test(self) -> dict[str, Any]:
        """In promptfoo's form. Raises ConfigError."""
        for column, cell in self._row.cells.items():
            self._take(column.strip(), cell)
        metric = self._test.pop("metric", None)
        for place, assertion in enumerate(self._asserts):
            if metric is not None:
                assertion["metric"] = metric
            if place in self._thresholds:
                assertion["threshold"] = self._metadata["threshold"] = self._thresholds[place]
        return self._test | ({"metadata": self._metadata} if self._metadata else {})

    def _take(self, name: str, cell: str) -> None:
        special, colon, key = name.partition(":")
        if take := self._exactly.get(name):
            take(cell)
        elif special == "__metadata" and colon:
            self._entry(key, cell)
        elif special == "__config" and colon:
            self._config(name, *key.partition(":")[::2], cell)
        elif name.startswith("__expected"):
            self._expected(name, cell.strip())
        else:
            if name.startswith("_") and name[1:].startswith(_SPECIAL):
                self._odd[f"column {name} is a variable; did you mean _{name}?"] = None
            elif name.startswith("__") and (meant := near(special[2:], _SPECIAL)):
                self._odd[f"column {name} is a variable; did you mean __{meant}{colon}{key}?"] = None
            self._test["vars"][name] = cell

    def _expected(self, column: str, cell: str) -> None:
        if not cell:
            return
        try:
            made = assertion_of(cell)
        except ValueError as error:
            raise self._problem(column, str(error), "expected commas between values") from None
        self._asserts.append(made)
        if made["type"] == "equals" and made["value"] == cell and (meant := meant_type(cell)):
            what = f"{column} {cell[:60]!r} is a text to compare with; did you mean {meant}?"
            self._odd[f"line {self._row.line}: {what}"] = None

    def _option(self, name: str, cell: str) -> None:
        self._test["options"][name] = cell

    def _fact(self, name: str, cell: str) -> None:
        if cell or name == "metric":
            self._test[name] = cell

    def _threshold(self, cell: str) -> None:
        if (threshold := number(cell)) is not None:
            self._test["threshold"] = threshold
        elif cell.strip():
            self._odd[f"line {self._row.line}: __threshold {cell!r} is no number, so it is ignored"] = None

    def _keyless(self, _: str) -> None:
        self._odd["column __metadata needs a key, as in __metadata:topic; it is ignored"] = None

    def _entry(self, key: str, cell: str) -> None:
        if cell.strip():
            name = key.removesuffix("[]")
            self._metadata[name] = cell if name == key else [part.strip() for part in _parts(cell)]

    def _config(self, column: str, target: str, key: str, cell: str) -> None:
        place = target.removeprefix("__expected")
        known = place != target and (place == "" or (place.isascii() and place.isdigit() and place != "0"))
        if not known or key != "threshold":
            advice = "as in __config:__expected2:threshold"
            raise self._problem(column, "a column", "expected __config:__expected<N>:threshold", advice)
        value = number(cell)
        if value is None:
            raise self._problem(column, repr(cell), "expected a number")
        self._thresholds[int(place or 1) - 1] = value

    def _problem(self, column: str, got: str, expected: str, advice: str = "") -> ConfigError:
        return ConfigError([Problem(self._file, column, got, expected, advice, line=self._row.line)])


def _parts(cell: str) -> list[str]:
    r"""What commas separate; `\,` is a comma that does not."""
    parts: list[str] = []
    for piece in cell.split(","):
        if parts and parts[-1].endswith("\\"):
            parts[-1] = f"{parts[-1][:-1]},{piece}"
        else:
            parts.append(piece)
    return parts


def number(text: str) -> float | None:
    """A cell as a finite number; None when it is none."""
    if not _NUMERIC.issuperset(text.strip()):
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def assertion_of(expected: str) -> dict[str, Any]:
    """The assertion that an `__expected` cell stands for. Raises ValueError: quotes in a list are wrong."""
    named, colon, rest = expected.partition(":")
    start = named + colon
    if start in _CODE:
        return {"type": "javascript", "value": rest.strip()}
    if start in _RUBRIC:
        return {"type": "llm-rubric", "value": rest}
    if start == "python:":
        return {"type": "python", "value": rest.strip()}
    language = language_of(expected) if expected.startswith(FILE) else None
    if language in _SCRIPTED:
        # promptfoo cuts `file://` off a path of Python and so runs the path as code; what was meant is the file
        return {"type": _SCRIPTED[language], "value": expected}
    return _typed(expected) or {"type": "equals", "value": expected}


def _typed(expected: str) -> dict[str, Any] | None:
    """`not-`, a type, a threshold in brackets, a colon and the value, of which only the type must be there; None: it is not."""
    said = expected.removeprefix(NOT)
    for kind in _KINDS:
        if not said.startswith(kind) or (details := _details(said.removeprefix(kind))) is None:
            continue
        threshold, value = details
        assertion: dict[str, Any] = {"type": expected.removesuffix(said) + kind}
        if kind in _LIST_TYPES:
            assertion["value"] = _listed(value) if value else value
        else:
            assertion["value"] = value if value is None or kind in _UNTRIMMED else value.strip()
        if kind in _THRESHOLDS:
            assertion["threshold"] = _THRESHOLDS[kind] if threshold is None else threshold
        return {key: item for key, item in assertion.items() if item is not None}
    return None


def _details(text: str) -> tuple[float | None, str | None] | None:
    """Threshold and value behind the name of a type; None: something else stands there, so it is no type."""
    threshold = None
    if text.startswith("("):
        digits, bracket, text = text[1:].partition(")")
        if not bracket or not _is_decimal(digits):
            return None
        threshold = float(digits)
    if not text:
        return threshold, None
    return (threshold, text[1:]) if text.startswith(":") else None


def _is_decimal(digits: str) -> bool:
    whole, point, part = digits.partition(".")
    return digits.isascii() and whole.isdigit() and (part.isdigit() or not point)


def _listed(text: str) -> list[str]:
    r"""Values between commas; quotes protect a comma, `\"` and `""` stand for a quote inside of them."""
    values: list[str] = []
    rest = text
    while rest := rest.lstrip(f",{SPACE}"):
        if rest.startswith('"'):
            value, rest = _quoted(rest)
            if not rest.startswith(",") and rest:
                raise ValueError(f"text after a closing quote in {text[:60]!r}")
        else:
            value, _, rest = rest.partition(",")
            value = value.strip(SPACE)
        values.append(value)
    return values


def _quoted(text: str) -> tuple[str, str]:
    """The value in quotes that a text begins with, and the rest behind it and the white space after it."""
    signs: list[str] = []
    at = 1
    while at < len(text):
        pair = text[at : at + 2]
        if pair in _PAIRS:
            signs.append(pair[1])
            at += 2
        elif text[at] == '"':
            return "".join(signs), text[at + 1 :].lstrip(SPACE)
        else:
            signs.append(text[at])
            at += 1
    raise ValueError(f"a quote that is never closed in {text[:60]!r}")
