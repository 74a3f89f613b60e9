"""Verdicts, read from what a judge says. Two ways: one strict JSON object as our orders ask for, and the older forms promptfoo knows."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import yaml

T = TypeVar("T")
_TEXT_MAX: Final = 200_000
_LOOSE_MAX: Final = 20_000
_OBJECTS_MAX: Final = 20


class Unread(Exception):
    """This is no verdict. `why` goes back to the judge and never quotes it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge decided. `score` is 0..1, but where a team's own orders ask for another scale."""

    passed: bool
    score: float
    reason: str = ""


Read = Callable[[str], T]
"""From a reply to what it says. Raises Unread."""


def either(first: Read[T], second: Read[T]) -> Read[T]:
    """Reads the one form, or else the other."""

    def read(text: str) -> T:
        try:
            return first(text)
        except Unread as error:
            try:
                return second(text)
            except Unread:
                raise error from None

    return read


def within(read: Read[T]) -> Read[T]:
    """Reads a whole reply, or else the one JSON object in it: a team's own orders may let a judge think aloud first."""

    def reader(text: str) -> T:
        try:
            return read(text)
        except Unread:
            pieces = [text[start:end] for start, end in _braced(text[:_TEXT_MAX])]
            objects = [piece for piece in pieces if _is_object(piece)]
            if len(objects) != 1 or objects[0] == text.strip():
                raise
            return read(objects[0])

    return reader


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def whole_object(text: str) -> dict[str, Any]:
    """A reply that is one JSON object, bare or in a code fence, and nothing else. A key that is there twice says two things."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text[3:-3].strip().removeprefix("json").strip()
    try:
        said = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise Unread("it is not one JSON object") from None
    if not isinstance(said, dict):
        raise Unread("it is not one JSON object")
    return said


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    said = dict(pairs)
    if len(said) != len(pairs):
        raise Unread("a key is there twice")
    return said


def first_object(text: str, *keys: str) -> dict[str, Any]:
    """The first JSON object somewhere in a reply that has one of the keys; loosely written ones (a comma too many) count.

    Braces in prose are no verdict: promptfoo takes "the rubric {tone} is met" for one that passes.
    """
    for start, end in _braced(text[:_TEXT_MAX]):
        said = _loosely(text[start:end])
        if isinstance(said, dict) and any(key in said for key in keys):
            return said
    raise Unread("it holds no JSON object with " + " or ".join(f"`{key}`" for key in keys))


def _loosely(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        return None
    except ValueError:
        pass
    if len(text) > _LOOSE_MAX:
        return None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _braced(text: str) -> Iterator[tuple[int, int]]:
    """Where braces open and close again, outermost first; braces inside of quotes do not count."""
    depth = found = start = 0
    quoted = escaped = False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"' and depth:
            quoted = not quoted
        elif not quoted and character == "{":
            start = start if depth else position
            depth += 1
        elif not quoted and character == "}" and depth:
            depth -= 1
            if not depth:
                yield start, position + 1
                found += 1
        if found >= _OBJECTS_MAX:
            return


def number(said: dict[str, Any], key: str, high: float) -> float:
    """A finite number from 0 to `high`; true and false are none."""
    value = said.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unread(f"`{key}` is not a number")
    if not 0 <= value <= high:
        raise Unread(f"`{key}` is not from 0 to {high:g}")
    return float(value)


def flag(said: dict[str, Any], key: str) -> bool:
    """True or false, as JSON has them."""
    value = said.get(key)
    if not isinstance(value, bool):
        raise Unread(f"`{key}` is not true or false")
    return value


def flags(said: dict[str, Any], key: str, count: int) -> list[bool]:
    """Exactly `count` times true or false."""
    values = said.get(key)
    if not isinstance(values, list) or not all(isinstance(value, bool) for value in values):
        raise Unread(f"`{key}` is not a list of true and false")
    if len(values) != count:
        raise Unread(f"`{key}` has {len(values)} entries instead of {count}")
    return values


def texts(said: dict[str, Any], key: str) -> list[str]:
    """A list of texts, perhaps empty; none of them is blank."""
    values = said.get(key)
    if not isinstance(values, list) or not all(isinstance(value, str) and value.strip() for value in values):
        raise Unread(f"`{key}` is not a list of texts")
    return [value.strip() for value in values]


def reason(said: dict[str, Any]) -> str:
    """Why, in the judge's words; empty: it did not say."""
    value = said.get("reason")
    return value.strip() if isinstance(value, str) else ""


def graded(text: str) -> Verdict:
    """`{"reason", "pass", "score"}`; without `score` it is 1 or 0. To pass with 0, or to fail with 1, is no verdict."""
    said = whole_object(text)
    passed = flag(said, "pass")
    score = number(said, "score", 1.0) if "score" in said else float(passed)
    if score == float(not passed):
        raise Unread("`pass` and `score` contradict each other")
    return Verdict(passed, score, reason(said))


def graded_loosely(text: str) -> Verdict:
    """The same as promptfoo reads it: `pass` is true when missing, words count, `score` has any scale."""
    said = first_object(text, "pass", "score")
    passed = said.get("pass", True)
    if passed is None:
        passed = True
    if not isinstance(passed, bool):
        passed = re.fullmatch(r"true|yes|pass|y", str(passed), re.IGNORECASE) is not None
    score = _loose_number(said.get("score", math.nan))
    if not math.isfinite(score):
        score = float(passed)
    return Verdict(passed, score, reason(said))


def _loose_number(value: Any) -> float:
    """JavaScript's Number()."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return 0.0
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def ends_with_letter(text: str) -> Verdict:
    """A reply whose last letter is Y or N."""
    last = text.rstrip()[-1:]
    if last not in {"Y", "N"}:
        raise Unread("it does not end with Y or N")
    return Verdict(last == "Y", float(last == "Y"), text.strip())


def lines(text: str) -> list[str]:
    """Lines that are not blank."""
    return [line for line in text.split("\n") if line.strip()]


def units(text: str) -> list[str]:
    """Sentences of one paragraph, or the lines of a text that has several; a number of a list alone is none."""
    found = lines(text)
    if len(found) <= 1:
        found = re.split(r"(?<=[.!?])\s+", text)
    return [unit.strip() for unit in found if unit.strip() and not re.fullmatch(r"\d+[.)]", unit.strip())]
