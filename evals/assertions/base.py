"""The specification of an assertion as a file holds it, and the shape every assertion type has."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from promptship.errors import ConfigError, Problem
from promptship.evals.score import Judged, Subject


class AssertionSpec(BaseModel):
    """One demand on an answer. `type` may be prefixed with `not-`. Names and meanings follow promptfoo where it has the type."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    type: str
    value: Any = None
    """What is demanded; strings may use the case's variables: `{{ name }}`. `file://name` reads a file beside the suite."""
    threshold: float | None = None
    weight: Annotated[float, Field(ge=0)] = 1.0
    """Share in the trial's score; 0 scores without ever failing the trial."""
    metric: str | None = None
    """Name in reports; the type without it."""
    provider: Any = None
    """The model that judges, embeds, moderates or classifies; the suite's own without it."""
    rubric_prompt: Annotated[Any, Field(alias="rubricPrompt")] = None
    """Replaces the orders of a judge: text, or a list of messages."""
    transform: str | None = None
    """Makes something else of the answer before it is looked at: JavaScript with `output` and `context`, or `file://`."""
    context_transform: Annotated[str | None, Field(alias="contextTransform")] = None
    """Takes the context of the `context-` family out of the answer, in the same way."""
    config: dict[str, Any] | None = None
    """For scripts: handed on as `context["config"]`; `timeout_s` is the time limit."""
    asserts: Annotated[tuple[AssertionSpec, ...], Field(alias="assert")] = ()
    """Members of an `assert-set`."""


def invalid(key: str, got: str, expected: str, advice: str = "") -> ConfigError:
    """What is wrong with a specification; `key` is relative to it, the loader says where it stands."""
    return ConfigError([Problem(file="", key=key, got=got, expected=expected, advice=advice)])


class Assertion(Protocol):
    """One demand, ready to be asked. Raises Refused only (from a judge)."""

    async def judge(self, subject: Subject) -> Judged:
        """What it says about one answer."""
        ...


@runtime_checkable
class WithOpposite(Protocol):
    """An assertion whose `not-` is not simply the inverted score: quirks of promptfoo."""

    async def judge_opposite(self, subject: Subject) -> Judged:
        """What `not-` says about one answer."""
        ...


Reader = Callable[[str], str]
"""Text of a file beside the suite, by its relative path. Raises ConfigError."""


class Dialect(StrEnum):
    """Whose meaning a specification has where the two differ."""

    NATIVE = "native"  # strict: what would be ignored is an error; patterns are Python's
    PROMPTFOO = (
        "promptfoo"  # as promptfoo does it: patterns are JavaScript's, defaults and quirks are its own
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildContext:
    """Where an assertion is built."""

    read: Reader
    dialect: Dialect = Dialect.NATIVE
    root: Path | None = None
    """Directory of the suite or configuration on disk, for scripts that import their neighbours; None: it is in a commit."""
    render: Callable[[str, Mapping[str, Any]], str] | None = None
    """Fills templates that are only known while judging (`rubricPrompt`); may raise anything. None: promptship's own."""


Maker = Callable[[AssertionSpec, BuildContext], Assertion]
"""Builds an assertion from a specification whose templates are rendered. Raises ConfigError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An assertion of a case: what it asks, what it is called in reports, what it weighs."""

    type: str
    label: str
    assertion: Assertion
    weight: float = 1.0
    metric: str | None = None
    """Name under which the score is added up; None: it has none."""
    value: Any = None
    """What was demanded, for reports: a short text, or None."""


def shown(value: object) -> str:
    """A value for an error."""
    return "missing" if value is None else repr(value)[:60]


def text_value(spec: AssertionSpec) -> str:
    """`value` as text: a number or bool is what YAML made of unquoted text."""
    if isinstance(spec.value, bool):
        return "true" if spec.value else "false"
    if isinstance(spec.value, str | int | float):
        return str(spec.value)
    raise invalid("value", shown(spec.value), "expected text")


def threshold_value(spec: AssertionSpec, unit: str) -> float:
    """A `threshold` that must be there."""
    if spec.threshold is None or not math.isfinite(spec.threshold) or spec.threshold < 0:
        raise invalid("threshold", shown(spec.threshold), f"expected a number of {unit}, at least 0")
    return spec.threshold


def no_value(spec: AssertionSpec) -> None:
    """Refuse a `value` that would be ignored."""
    if spec.value is not None:
        raise invalid("value", shown(spec.value), f"{spec.type} takes no value", "remove the key")


def no_threshold(spec: AssertionSpec) -> None:
    """Refuse a `threshold` that would be ignored."""
    if spec.threshold is not None:
        raise invalid("threshold", shown(spec.threshold), f"{spec.type} takes no threshold", "remove the key")
