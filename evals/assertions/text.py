"""Assertions on the text of an answer."""

from __future__ import annotations

import array
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from promptship.evals.assertions.base import (
    AssertionSpec,
    BuildContext,
    Dialect,
    Maker,
    invalid,
    shown,
    text_value,
    threshold_value,
)
from promptship.evals.assertions.values import (
    is_number,
    js_text,
    json_of,
    list_value,
    same_json,
)
from promptship.evals.score import Judged, Score, Scored, Subject, excerpt, unscored, yes_or_no
from promptship.evals.services import ScriptFailed

LEVENSHTEIN_DEFAULT: Final = 5.0


@dataclass(frozen=True, slots=True)
class Equals:
    """The same text, or, for what is no text, the same JSON."""

    wanted: Any

    async def judge(self, subject: Subject) -> Judged:
        """Exact: spaces and line ends count."""
        if isinstance(self.wanted, str):
            same = subject.output == self.wanted
        else:
            try:
                same = same_json(json_of(subject.output), self.wanted)
            except ValueError:
                same = False
        return Judged(yes_or_no(same, f"the answer is {excerpt(subject.output)}"))


@dataclass(frozen=True, slots=True)
class Contains:
    """Texts that must occur: all of them, or any of them."""

    wanted: tuple[str, ...]
    every: bool
    fold: Dialect | None = None
    """Ignore upper and lower case, as one of the dialects does it."""

    async def judge(self, subject: Subject) -> Judged:
        """Looks at the whole answer."""
        output = self._folded(subject.output)
        missing = [text for text in self.wanted if self._folded(text) not in output]
        passed = not missing if self.every else len(missing) < len(self.wanted)
        return Judged(yes_or_no(passed, f"{', '.join(map(repr, missing))} not in {excerpt(subject.output)}"))

    def _folded(self, text: str) -> str:
        if self.fold is None:
            return text
        return text.casefold() if self.fold is Dialect.NATIVE else text.lower()


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
    """A pattern that must be found somewhere in the answer, under a time limit."""

    pattern: str
    javascript: bool = False
    """JavaScript's, as promptfoo has it: one that is none fails, with `not-` too."""

    async def judge(self, subject: Subject) -> Judged:
        """A pattern that backtracks for ever is Unscored."""
        return Judged(await self._score(subject, wanted=True))

    async def judge_opposite(self, subject: Subject) -> Judged:
        """Passes when it is not found."""
        return Judged(await self._score(subject, wanted=False))

    async def _score(self, subject: Subject, *, wanted: bool) -> Score:
        try:
            found = await subject.services.scripts.matches(
                self.pattern, subject.output, javascript=self.javascript
            )
        except ScriptFailed as error:
            if self.javascript and error.raised:
                return Scored(False, 0.0, "the pattern is no regular expression of JavaScript")
            return unscored(error)
        return yes_or_no(found is wanted, "no match" if wanted else "it does, and should not")


@dataclass(frozen=True, slots=True)
class WordCount:
    """Number of words between white space, bounds included."""

    low: float
    high: float

    async def judge(self, subject: Subject) -> Judged:
        """Counts the whole answer."""
        count = len(subject.output.split())
        return Judged(
            yes_or_no(self.low <= count <= self.high, f"{count} words, wanted {self.low:g} to {self.high:g}")
        )


@dataclass(frozen=True, slots=True)
class Levenshtein:
    """Fewest insertions, deletions and substitutions of characters that turn the answer into a text."""

    wanted: str
    limit: float
    utf16: bool
    """Count as JavaScript does: an emoji is two."""

    async def judge(self, subject: Subject) -> Judged:
        """Passes with at most `limit` of them."""
        distance = levenshtein_distance(subject.output, self.wanted, utf16=self.utf16)
        return Judged(
            yes_or_no(distance <= self.limit, f"{distance} edits away, wanted at most {self.limit:g}")
        )


def levenshtein_distance(one: str, other: str, *, utf16: bool = False) -> int:
    """Edits between two texts, in code points or, `utf16`, in UTF-16 units."""
    from rapidfuzz.distance import Levenshtein as Distance

    if utf16 and not (_one_unit_each(one) and _one_unit_each(other)):
        return Distance.distance(_units(one), _units(other))
    return Distance.distance(one, other)


def _one_unit_each(text: str) -> bool:
    return text.isascii() or max(text) <= "\uffff"


def _units(text: str) -> Sequence[int]:
    return array.array("H", text.encode("utf-16-le", "surrogatepass"))


# Makers ---------------------------------------------------------------------------------------------------------------


def equals(spec: AssertionSpec, context: BuildContext) -> Equals:
    """`value`: text, or an object or list to compare with the answer's JSON."""
    if isinstance(spec.value, dict | list):
        return Equals(spec.value)
    if context.dialect is Dialect.NATIVE:
        return Equals(text_value(spec))
    if spec.value is None:
        return Equals(None if "value" in spec.model_fields_set else "undefined")
    return Equals(js_text(spec.value))


def containing(*, every: bool, fold: bool, many: bool) -> Maker:
    """Maker of the six `contains` types."""

    def make(spec: AssertionSpec, context: BuildContext) -> Contains:
        wanted = list_value(spec, context) if many else (_some_text(spec, context),)
        return Contains(wanted, every, context.dialect if fold else None)

    return make


def _some_text(spec: AssertionSpec, context: BuildContext) -> str:
    if context.dialect is Dialect.PROMPTFOO:
        if not isinstance(spec.value, str) and not is_number(spec.value):
            raise invalid("value", shown(spec.value), "expected text or a number")
        text = js_text(spec.value)
    else:
        text = text_value(spec)
    if not text:
        raise invalid("value", "''", "expected some text", "the empty text is in every answer")
    return text


def starts_with(spec: AssertionSpec, context: BuildContext) -> StartsWith:
    """`value`: text."""
    if context.dialect is Dialect.PROMPTFOO and not isinstance(spec.value, str):
        raise invalid("value", shown(spec.value), "expected text", "put it in quotes")
    return StartsWith(_some_text(spec, context))


def regex(spec: AssertionSpec, context: BuildContext) -> Regex:
    """`value`: a pattern of Python's `re`; a wrong one is an error of the suite, never a failed answer. promptfoo: JavaScript's."""
    if context.dialect is Dialect.PROMPTFOO:
        if not isinstance(spec.value, str) or not spec.value:
            raise invalid("value", shown(spec.value), "expected a regular expression as text")
        return Regex(spec.value, javascript=True)
    pattern = text_value(spec)
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise invalid("value", repr(pattern)[:60], f"expected a regular expression: {error}") from None
    return Regex(pattern)


def word_count(spec: AssertionSpec, context: BuildContext) -> WordCount:
    """`value`: a number of words, or `{min, max}`."""
    value = spec.value
    if context.dialect is Dialect.PROMPTFOO and isinstance(value, str):
        try:
            value = float(value.strip() or 0)
        except ValueError:
            raise invalid("value", shown(value), "expected a number of words") from None
    bounds = value if isinstance(value, dict) else {"min": value, "max": value}
    low, high = bounds.get("min", 0), bounds.get("max", float("inf"))
    known = {"min", "max"} & set(bounds)
    strict = context.dialect is Dialect.NATIVE
    if not known or (strict and set(bounds) != known):
        raise invalid("value", shown(spec.value), "expected a number of words, or min and max")
    if (
        not (is_number(low) and (is_number(high) or "max" not in bounds))
        or low > high
        or (strict and low < 0)
    ):
        raise invalid("value", shown(spec.value), "expected numbers of words, min not above max")
    return WordCount(low, high)


def levenshtein(spec: AssertionSpec, context: BuildContext) -> Levenshtein:
    """`value`: text; `threshold`: edits, 5 without it."""
    if context.dialect is Dialect.PROMPTFOO:
        if not isinstance(spec.value, str):
            raise invalid("value", shown(spec.value), "expected text")
        limit = LEVENSHTEIN_DEFAULT if spec.threshold is None else spec.threshold
        return Levenshtein(spec.value, limit, utf16=True)
    limit = LEVENSHTEIN_DEFAULT if spec.threshold is None else threshold_value(spec, "edits")
    return Levenshtein(text_value(spec), limit, utf16=False)
