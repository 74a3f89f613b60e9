"""The specification of an assertion as a file holds it, and the shape every assertion type has."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from promptship.errors import ConfigError, Problem
from promptship.evals.score import Judged, Subject


class AssertionSpec(BaseModel):
    """One demand on an answer. `type` may be prefixed with `not-`. Names and meanings follow promptfoo where it has the type."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str
    value: Any = None
    """What is demanded; strings may use the case's variables: `{{ name }}`. `file://name` reads a file beside the suite."""
    threshold: float | None = None
    weight: Annotated[float, Field(ge=0)] = 1.0
    """Share in the trial's score; 0 scores without ever failing the trial."""
    metric: str | None = None
    """Name in reports; the type without it."""
    config: dict[str, Any] | None = None
    """For python: handed on as `context["config"]`; `timeout_s` is the check's time limit."""


def invalid(key: str, got: str, expected: str, advice: str = "") -> ConfigError:
    """What is wrong with a specification; `key` is relative to it, the loader says where it stands."""
    return ConfigError([Problem(file="", key=key, got=got, expected=expected, advice=advice)])


class Assertion(Protocol):
    """One demand, ready to be asked. Raises Refused only (from a judge)."""

    async def judge(self, subject: Subject) -> Judged:
        """What it says about one answer."""
        ...


Reader = Callable[[str], str]
"""Text of a file beside the suite. Raises ConfigError."""

Maker = Callable[[AssertionSpec, Reader], Assertion]
"""Builds an assertion. Raises ConfigError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An assertion of a case: what it asks, what it is called in reports, what it weighs."""

    type: str
    label: str
    assertion: Assertion
    weight: float = 1.0


def text_value(spec: AssertionSpec) -> str:
    """`value` as text: a number or bool is what YAML made of unquoted text."""
    if isinstance(spec.value, bool):
        return "true" if spec.value else "false"
    if isinstance(spec.value, str | int | float):
        return str(spec.value)
    raise invalid("value", _shown(spec.value), "expected text")


def list_value(spec: AssertionSpec) -> tuple[str, ...]:
    """`value` as several texts: a list, or one line with commas where quotes protect a comma."""
    if isinstance(spec.value, list | tuple):
        items = [text_value(spec.model_copy(update={"value": item})) for item in spec.value]
    else:
        items = [item.strip() for item in next(csv.reader([text_value(spec)], skipinitialspace=True), [])]
    if not items or "" in items:
        raise invalid("value", _shown(spec.value), "expected a list of texts, none of them empty")
    return tuple(items)


def threshold_value(spec: AssertionSpec, unit: str) -> float:
    """A `threshold` that must be there."""
    if spec.threshold is None or spec.threshold < 0:
        raise invalid("threshold", _shown(spec.threshold), f"expected a number of {unit}, at least 0")
    return spec.threshold


def no_value(spec: AssertionSpec) -> None:
    """Refuse a `value` that would be ignored."""
    if spec.value is not None:
        raise invalid("value", _shown(spec.value), f"{spec.type} takes no value", "remove the key")


def no_threshold(spec: AssertionSpec) -> None:
    """Refuse a `threshold` that would be ignored."""
    if spec.threshold is not None:
        raise invalid(
            "threshold", _shown(spec.threshold), f"{spec.type} takes no threshold", "remove the key"
        )


def _shown(value: object) -> str:
    return "missing" if value is None else repr(value)[:60]
