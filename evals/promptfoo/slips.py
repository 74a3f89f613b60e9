"""Names that are nearly right: promptfoo takes them silently for something else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from promptship.evals.promptfoo.assertion_types import ALL_TYPES

TEST_KEYS: Final = (
    "assert", "assertScoringFunction", "config", "description", "metadata", "options", "path", "prompts", "provider",
    "providerOutput", "providers", "threshold", "vars",
)  # fmt: skip
TOP_KEYS: Final = (
    "commandLineOptions", "defaultTest", "derivedMetrics", "description", "env", "evaluateOptions", "extensions", "metadata",
    "nunjucksFilters", "outputPath", "plugins", "prompts", "providers", "redteam", "scenarios", "sharing", "strategies",
    "tags", "targets", "tests", "tracing",
)  # fmt: skip
_NEAR: Final = 0.74
_TYPE_LIKE: Final = re.compile(r"([a-z]+(?:-[a-z]+)+|[a-z]{5,})(?:\([^)]*\))?(?::|$)")
"""What an `__expected` cell begins with when a type was meant; a word before a colon may well be a text."""
_VERY_NEAR: Final = 0.85


def near(name: str, known: Iterable[str], cutoff: float = _NEAR) -> str:
    """The known name that was probably meant; empty: it is known itself, or like none."""
    known = tuple(known)
    if name in known:
        return ""
    return next(iter(get_close_matches(name, known, n=1, cutoff=cutoff)), "")


def odd_keys(data: Mapping[Any, Any], known: Iterable[str]) -> list[tuple[str, str]]:
    """Keys that were probably meant to be others, with those."""
    known = tuple(known)
    found = ((str(name), near(str(name), known)) for name in data)
    return [(name, meant) for name, meant in found if meant]


def meant_type(expected: str) -> str:
    """The assertion type that an `__expected` cell without one probably means; empty: it is a text to compare with."""
    match = _TYPE_LIKE.match(expected)
    return "" if match is None else near(match[1], ALL_TYPES, _VERY_NEAR)
