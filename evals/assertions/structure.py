"""Assertions on JSON answers and on what the provider says about an answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import yaml
from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for

from promptship.evals.assertions.base import (
    AssertionSpec,
    Maker,
    Reader,
    invalid,
    no_threshold,
    no_value,
    text_value,
    threshold_value,
)
from promptship.evals.score import Check, Judged, Subject, Unscored, yes_or_no


@dataclass(frozen=True, slots=True)
class Json:
    """The answer (or, `anywhere`, an object or list inside it) is JSON, and fits a JSON Schema if there is one."""

    schema: Any
    anywhere: bool

    async def judge(self, subject: Subject) -> Judged:
        """Runs in the limited process: a schema may hold patterns."""
        arguments = {"output": subject.output, "schema": self.schema, "anywhere": self.anywhere}
        return Judged(await subject.checker.check(Check(operation="json", arguments=arguments)))


@dataclass(frozen=True, slots=True)
class Latency:
    """The answer came within a time, in milliseconds."""

    limit_ms: float

    async def judge(self, subject: Subject) -> Judged:
        """Unscored when nobody measured."""
        if subject.latency_ms is None:
            return Judged(Unscored("latency was not measured"))
        return Judged(
            yes_or_no(
                subject.latency_ms <= self.limit_ms,
                f"{subject.latency_ms:.0f} ms, wanted at most {self.limit_ms:g}",
            )
        )


@dataclass(frozen=True, slots=True)
class FinishReason:
    """The provider's finish reason, ignoring upper and lower case."""

    wanted: str

    async def judge(self, subject: Subject) -> Judged:
        """Unscored when the provider gave none."""
        if not subject.finish_reason:
            return Judged(Unscored("the provider gave no finish reason"))
        same = subject.finish_reason.casefold() == self.wanted.casefold()
        return Judged(yes_or_no(same, f"it finished because of {subject.finish_reason!r}"))


def json_like(*, anywhere: bool) -> Maker:
    """Maker of is-json and contains-json; `value`: nothing, a JSON Schema, or its text as JSON or YAML."""

    def make(spec: AssertionSpec, _read: Reader) -> Json:
        no_threshold(spec)
        return Json(_schema(spec.value), anywhere)

    return make


def _schema(value: object) -> object:
    if isinstance(value, str):
        try:
            value = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise invalid("value", repr(value)[:60], f"expected a JSON Schema: {error}") from None
    if value is None or isinstance(value, bool):
        return value
    if not isinstance(value, dict):
        raise invalid("value", repr(value)[:60], "expected a JSON Schema: an object")
    try:
        json.dumps(value)
        validator_for(value).check_schema(value)
    except SchemaError as error:
        raise invalid("value", f"at {error.json_path}", f"expected a JSON Schema: {error.message}") from None
    except (TypeError, ValueError) as error:
        raise invalid("value", repr(value)[:60], f"expected a JSON Schema: {error}") from None
    return value


def latency(spec: AssertionSpec, _read: Reader) -> Latency:
    """`threshold`: milliseconds."""
    no_value(spec)
    return Latency(threshold_value(spec, "milliseconds"))


def finish_reason(spec: AssertionSpec, _read: Reader) -> FinishReason:
    """`value`: such as `stop`, `length`, `tool_calls`."""
    no_threshold(spec)
    return FinishReason(text_value(spec))
