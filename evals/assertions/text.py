"""Assertions on the text of an answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from promptship.evals.assertions.base import (
    AssertionSpec,
    Maker,
    Reader,
    invalid,
    list_value,
    no_threshold,
    text_value,
)
from promptship.evals.score import Check, Judged, Subject, excerpt, yes_or_no


@dataclass(frozen=True, slots=True)
class Equals:
    """The same text, or, for an object or a list, the same JSON."""

    wanted: Any

    async def judge(self, subject: Subject) -> Judged:
        """Exact: spaces and line ends count."""
        if isinstance(self.wanted, str):
            same = subject.output == self.wanted
        else:
            try:
                same = json.loads(subject.output) == self.wanted
            except (ValueError, RecursionError):
                same = False
        return Judged(yes_or_no(same, f"the answer is {excerpt(subject.output)}"))


@dataclass(frozen=True, slots=True)
class Contains:
    """Texts that must occur: all of them, or any of them."""

    wanted: tuple[str, ...]
    every: bool
    fold: bool

    async def judge(self, subject: Subject) -> Judged:
        """`fold` ignores upper and lower case."""
        output = subject.output.casefold() if self.fold else subject.output
        missing = [text for text in self.wanted if (text.casefold() if self.fold else text) not in output]
        passed = not missing if self.every else len(missing) < len(self.wanted)
        return Judged(yes_or_no(passed, f"{', '.join(map(repr, missing))} not in {excerpt(subject.output)}"))


@dataclass(frozen=True, slots=True)
class StartsWith:
    """The answer begins with a text."""

    wanted: str

    async def judge(self, subject: Subject) -> Judged:
        """Exact, from the first character."""
        return Judged(
            yes_or_no(subject.output.startswith(self.wanted), f"it begins {excerpt(subject.output)}")
        )


@dataclass(frozen=True, slots=True)
class Regex:
    """Python's `re.search` somewhere in the answer, under a time limit."""

    pattern: str

    async def judge(self, subject: Subject) -> Judged:
        """A pattern that backtracks for ever is Unscored."""
        return Judged(
            await subject.checker.check(
                Check(operation="regex", arguments={"pattern": self.pattern, "output": subject.output})
            )
        )


@dataclass(frozen=True, slots=True)
class WordCount:
    """Number of words between white space, bounds included."""

    low: int
    high: float

    async def judge(self, subject: Subject) -> Judged:
        """Counts the whole answer."""
        count = len(subject.output.split())
        return Judged(
            yes_or_no(self.low <= count <= self.high, f"{count} words, wanted {self.low} to {self.high:g}")
        )


def equals(spec: AssertionSpec, _read: Reader) -> Equals:
    """`value`: text, or an object or list to compare with the answer's JSON."""
    no_threshold(spec)
    return Equals(spec.value if isinstance(spec.value, dict | list) else text_value(spec))


def containing(*, every: bool, fold: bool, many: bool) -> Maker:
    """Maker of the six `contains` types."""

    def make(spec: AssertionSpec, _read: Reader) -> Contains:
        no_threshold(spec)
        wanted = list_value(spec) if many else (text_value(spec),)
        if wanted == ("",):
            raise invalid("value", "''", "expected some text", "the empty text is in every answer")
        return Contains(wanted, every, fold)

    return make


def starts_with(spec: AssertionSpec, _read: Reader) -> StartsWith:
    """`value`: text."""
    no_threshold(spec)
    return StartsWith(text_value(spec))


def regex(spec: AssertionSpec, _read: Reader) -> Regex:
    """`value`: a pattern of Python's `re`; a wrong one is an error of the suite, never a failed answer."""
    no_threshold(spec)
    pattern = text_value(spec)
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise invalid("value", repr(pattern)[:60], f"expected a regular expression: {error}") from None
    return Regex(pattern)


def word_count(spec: AssertionSpec, _read: Reader) -> WordCount:
    """`value`: a number of words, or `{min, max}`."""
    no_threshold(spec)
    bounds = spec.value if isinstance(spec.value, dict) else {"min": spec.value, "max": spec.value}
    numbers = [bounds.get("min", 0), bounds.get("max", float("inf"))]
    known = bool(bounds) and set(bounds) <= {"min", "max"}
    if (
        not known
        or any(isinstance(n, bool) or not isinstance(n, int | float) or n < 0 for n in numbers)
        or numbers[0] > numbers[1]
    ):
        raise invalid(
            "value", repr(spec.value)[:60], "expected a number of words, or min and max with min <= max"
        )
    return WordCount(*numbers)
