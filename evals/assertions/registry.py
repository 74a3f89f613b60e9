"""Every assertion type by its name. To add one: a frozen dataclass with `judge`, a maker, a line here, a test."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from promptship.evals.assertions.base import Assertion, AssertionSpec, Maker, Prepared, Reader, invalid
from promptship.evals.assertions.python import python
from promptship.evals.assertions.rubric import rubric
from promptship.evals.assertions.structure import finish_reason, json_like, latency
from promptship.evals.assertions.text import containing, equals, regex, starts_with, word_count
from promptship.evals.score import Judged, Subject, inverted

NOT: Final = "not-"

REGISTRY: Final[Mapping[str, Maker]] = MappingProxyType(
    {
        "contains": containing(every=True, fold=False, many=False),
        "contains-all": containing(every=True, fold=False, many=True),
        "contains-any": containing(every=False, fold=False, many=True),
        "contains-json": json_like(anywhere=True),
        "equals": equals,
        "finish-reason": finish_reason,
        "icontains": containing(every=True, fold=True, many=False),
        "icontains-all": containing(every=True, fold=True, many=True),
        "icontains-any": containing(every=False, fold=True, many=True),
        "is-json": json_like(anywhere=False),
        "latency": latency,
        "llm-rubric": rubric,
        "python": python,
        "regex": regex,
        "starts-with": starts_with,
        "word-count": word_count,
    }
)
TYPES: Final = tuple(sorted([*REGISTRY, *(NOT + name for name in REGISTRY)]))
NEEDS_JUDGE: Final = frozenset({"llm-rubric"})


@dataclass(frozen=True, slots=True)
class Not:
    """Passes exactly when the other fails; no score stays no score."""

    other: Assertion

    async def judge(self, subject: Subject) -> Judged:
        """The other's result, inverted."""
        judged = await self.other.judge(subject)
        return replace(judged, score=inverted(judged.score))


def build(spec: AssertionSpec, read: Reader) -> Prepared:
    """The assertion of a specification whose templates are rendered already.

    Raises:
        ConfigError: unknown type (with the nearest known one), or a value that does not fit the type.
    """
    name = spec.type.removeprefix(NOT)
    if name not in REGISTRY:
        near = difflib.get_close_matches(spec.type, TYPES, n=1)
        advice = f"did you mean {near[0]}?" if near else ""
        raise invalid(
            "type", repr(spec.type), f"expected one of {', '.join(REGISTRY)}, each also with {NOT}", advice
        )
    if spec.config is not None and name != "python":
        raise invalid("config", repr(spec.config)[:60], f"{spec.type} takes no config", "remove the key")
    assertion = REGISTRY[name](spec, read)
    return Prepared(
        type=spec.type,
        label=spec.metric or spec.type,
        assertion=Not(assertion) if spec.type != name else assertion,
        weight=spec.weight,
    )
