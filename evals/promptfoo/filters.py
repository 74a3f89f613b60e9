"""Which tests of a configuration are run: the `--filter-*` options, in promptfoo's order and with its random numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from promptship.errors import ConfigError, Problem
from promptship.evals.promptfoo.earlier import Earlier

T = TypeVar("T")

_FNV_START: Final = 2166136261
_FNV_PRIME: Final = 16777619
_WORD: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What the command line asks for; None: nothing is filtered."""

    pattern: str | None = None
    """A regular expression that the description must match somewhere; a test without description never does."""
    metadata: tuple[str, ...] = ()
    """`key=value`, all of them: the metadata's value, or one of its values, must contain `value`."""
    range: str | None = None
    """`start:end`, from 0, end exclusive; either may be missing."""
    first_n: int | None = None
    sample: int | None = None
    sample_seed: str = "0"
    """The same seed takes the same sample."""
    providers: str | None = None
    """A regular expression for id or label."""
    prompts: str | None = None
    """A regular expression for the label."""
    earlier: Earlier | None = None
    """Only tests that did not pass then, after their variables are multiplied out."""


def selected(tests: Sequence[T], filters: Filters, data: Callable[[T], Mapping[str, Any]]) -> list[T]:
    """The tests that are left: by metadata, pattern, range, first n, and a sample. Raises ConfigError."""
    kept = list(tests)
    if filters.metadata:
        wanted = [_pair(text) for text in filters.metadata]
        kept = [test for test in kept if _has(data(test).get("metadata"), wanted)]
    if filters.pattern is not None:
        pattern = expression(filters.pattern, "--filter pattern")
        kept = [test for test in kept if _described(data(test), pattern)]
    kept = ranged(kept, filters.range)
    if filters.first_n is not None:
        kept = kept[: filters.first_n]
    if filters.sample is not None:
        kept = sampled(kept, filters.sample, filters.sample_seed)
    return kept


def expression(text: str, option: str) -> re.Pattern[str]:
    """A regular expression of the command line. Raises ConfigError."""
    try:
        return re.compile(text)
    except re.error as error:
        raise _wrong(option, text, f"expected a regular expression: {error}") from None


def ranged(tests: Sequence[T], option: str | None) -> list[T]:
    """The slice that `start:end` names. Raises ConfigError."""
    if option is None:
        return list(tests)
    found = re.fullmatch(r"\s*(\d*)\s*:\s*(\d*)\s*", option)
    if found is None or not (found[1] or found[2]):
        raise _wrong("--filter range", option, "expected start:end, counted from 0", "as in 0:10, 10: or :10")
    start, end = int(found[1] or 0), int(found[2]) if found[2] else None
    if end is not None and start > end:
        raise _wrong("--filter range", option, "expected a start that is not behind the end")
    return list(tests[start:end])


def sampled(tests: Sequence[T], count: int, seed: str) -> list[T]:
    """`count` tests drawn without repetition, in the order they were drawn."""
    drawn = list(tests)
    random = _random(seed)
    for last in range(len(drawn) - 1, 0, -1):
        other = int(random() * (last + 1))
        drawn[last], drawn[other] = drawn[other], drawn[last]
    return drawn[:count]


def scenario_seed(seed: str, scenario: int) -> str:
    """The seed of one scenario's sample."""
    return str(_fnv(f"{seed}:{scenario}"))


def _fnv(text: str) -> int:
    state = _FNV_START
    for unit in text.encode("utf-16-le")[::2]:
        state = ((state ^ unit) * _FNV_PRIME) & _WORD
    return state


def _random(seed: str) -> Callable[[], float]:
    """mulberry32 (Tommy Ettinger, public domain), started with the FNV-1a hash of the seed (RFC 9923, 32 bits).

    With any other generator the same seed would take another sample than in promptfoo.
    """
    state = _fnv(seed)

    def draw() -> float:
        nonlocal state
        state = (state + 0x6D2B79F5) & _WORD
        value = ((state ^ (state >> 15)) * (state | 1)) & _WORD
        value ^= (value + ((value ^ (value >> 7)) * (value | 61) & _WORD)) & _WORD
        return ((value ^ (value >> 14)) & _WORD) / 4294967296

    return draw


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    if not key or not value:
        raise _wrong("--filter metadata", text, "expected key=value")
    return key, value


def _has(metadata: Any, wanted: Sequence[tuple[str, str]]) -> bool:
    if not isinstance(metadata, Mapping):
        return False
    return all(any(value in text for text in _texts(metadata.get(key))) for key, value in wanted)


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    values = value if isinstance(value, list) else [value]
    return [str(item).lower() if isinstance(item, bool) else str(item) for item in values]


def _described(test: Mapping[str, Any], pattern: re.Pattern[str]) -> bool:
    description = test.get("description")
    return bool(description) and pattern.search(str(description)) is not None


def _wrong(option: str, got: str, expected: str, advice: str = "") -> ConfigError:
    return ConfigError([Problem("command line", option, repr(got), expected, advice)])
