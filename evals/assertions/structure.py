"""Assertions on JSON answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import yaml

from promptship.evals.assertions.base import AssertionSpec, BuildContext, Dialect, Maker, invalid, shown
from promptship.evals.assertions.values import embedded, json_of, schema_problem
from promptship.evals.score import Judged, Subject, Unscored, excerpt, unscored, yes_or_no
from promptship.evals.services import ScriptFailed

DRAFT_07: Final = "http://json-schema.org/draft-07/schema#"
VALUES_MAX: Final = 1000
"""Of one answer; more are not looked at."""
LENGTH_MAX: Final = 100_000
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Json:
    """The answer (or, `anywhere`, something inside it) is JSON, and fits a JSON Schema if there is one."""

    schema: Any
    anywhere: bool
    lenient: bool = False
    """Inside an answer, as promptfoo looks for it: objects only, also in YAML's flow style, also cut off at the end."""
    problem: str = ""
    """What is wrong with the schema: promptfoo looks at it once there is JSON to be checked."""

    async def judge(self, subject: Subject) -> Judged:
        """The schema is checked in the limited process: it may hold patterns."""
        count = 1 if self.schema is None else VALUES_MAX
        values = list(islice(self._values(subject.output), count))
        if not values:
            return Judged(yes_or_no(False, f"no JSON in {excerpt(subject.output)}"))
        if self.problem:
            return Judged(Unscored("the assertion's JSON Schema is wrong", self.problem))
        if self.schema is None:
            return Judged(yes_or_no(True, ""))
        problems: list[str] = []
        try:
            for value in values:
                found = await subject.services.scripts.schema_errors(self.schema, value)
                if not found:
                    return Judged(yes_or_no(True, ""))
                problems.extend(found)
        except ScriptFailed as error:
            return Judged(unscored(error))
        return Judged(yes_or_no(False, problems[0]))

    def _values(self, output: str) -> Iterator[Any]:
        if self.lenient:
            yield from flow_objects(output)
        elif self.anywhere:
            yield from embedded(output)
        else:
            try:
                yield json_of(output)
            except ValueError:
                return


def flow_objects(text: str) -> Iterator[Any]:
    """Every outermost `{...}` of a text that YAML reads as a mapping; an end that is missing is added.

    Braces are counted as promptfoo does it, also in strings. What is read is bounded: 100,000 characters at once, a million in
    all, 100 levels.
    """
    at, left = text.find("{"), 1_000_000
    while 0 <= at < len(text) - 1 and left > 0:
        end, depth_max, missing = _braces(text, at)
        left -= end - at + 100
        value = None
        if depth_max <= 100:  # noqa: PLR2004 - libyaml's bindings recurse
            value = _flow_object(text[at:end] + "}" * missing)
        if value is not None:
            yield value
        at = text.find("{", end if value is not None else at + 1)


def _braces(text: str, start: int) -> tuple[int, int, int]:
    """Where the brace at `start` is closed, how deep it goes, how many closing braces are missing."""
    depth = depth_max = 0
    stop = min(start + LENGTH_MAX, len(text))
    for found in _BRACE.finditer(text, start, stop):
        depth += 1 if found[0] == "{" else -1
        depth_max = max(depth_max, depth)
        if not depth:
            return found.end(), depth_max, 0
    return stop, depth_max, depth


_BRACE: Final = re.compile("[{}]")


def _flow_object(text: str) -> dict[Any, Any] | None:
    try:
        value = json_of(text)
    except ValueError:
        try:
            value = yaml.load(_COMMENT.sub(r"\1#", text), _LOADER)  # noqa: S506 - the safe loader
        except (yaml.YAMLError, ValueError, RecursionError, TypeError):
            return None
    return value if isinstance(value, dict) else None


_COMMENT: Final = re.compile(r"(^|\s)//", re.MULTILINE)


def json_like(*, anywhere: bool) -> Maker:
    """Maker of is-json and contains-json; `value`: nothing, a JSON Schema, or its text as JSON or YAML.

    A schema without `$schema` is of draft 2020-12, in promptfoo's dialect of draft-07.
    """

    def make(spec: AssertionSpec, context: BuildContext) -> Json:
        promptfoo = context.dialect is Dialect.PROMPTFOO
        schema, problem = _schema(
            None if promptfoo and not spec.value and spec.value != [] else spec.value,
            DRAFT_07 if promptfoo else "",
        )
        if problem and not promptfoo:
            raise invalid("value", shown(spec.value), f"expected a JSON Schema: {problem}")
        return Json(schema, anywhere, lenient=promptfoo and anywhere, problem=problem)

    return make


def _schema(value: object, draft: str) -> tuple[Any, str]:
    """The schema, of `draft` if it names none, and what is wrong with it."""
    if isinstance(value, str):
        try:
            value = yaml.load(value, _LOADER)  # noqa: S506 - the safe loader
        except yaml.YAMLError as error:
            return None, str(error)
    if value is None or isinstance(value, bool):
        return value, ""
    if not isinstance(value, dict):
        return None, "it is no object"
    if draft and "$schema" not in value:
        value = {"$schema": draft, **value}
    return value, schema_problem(value)
