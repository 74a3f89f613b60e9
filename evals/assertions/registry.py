"""Every assertion type by its name. To add one: a frozen dataclass with `judge`, a maker, a line here and in the catalogue, a test."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

from promptship.errors import ConfigError
from promptship.evals.assertions.base import (
    Assertion,
    AssertionSpec,
    BuildContext,
    Dialect,
    Maker,
    Prepared,
    invalid,
    no_threshold,
    no_value,
)
from promptship.evals.assertions.catalogue import INVENTED, KINDS, NOT_VOTING, REDTEAM, Need
from promptship.evals.assertions.markup import html_like, xml_like
from promptship.evals.assertions.overlap import overlapping
from promptship.evals.assertions.references import computed, loaded
from promptship.evals.assertions.refusal import refusal
from promptship.evals.assertions.reported import (
    cost,
    finish_reason,
    guardrails,
    latency,
    perplexity,
    perplexity_score,
)
from promptship.evals.assertions.script import SCRIPTS, transformed
from promptship.evals.assertions.sets import AssertSet, negated
from promptship.evals.assertions.sql import sql_like
from promptship.evals.assertions.structure import json_like
from promptship.evals.assertions.text import containing, equals, levenshtein, regex, starts_with, word_count
from promptship.evals.assertions.tools import tool_call_f1, valid_calls
from promptship.evals.assertions.trace import error_spans, span_count, span_duration
from promptship.evals.assertions.trajectory import (
    skill_used,
    step_count,
    tool_arguments,
    tool_sequence,
    tool_used,
)
from promptship.evals.assertions.webhook import webhook

NOT: Final = "not-"
SET: Final = "assert-set"
VALUE_LENGTH_MAX: Final = 200
"""Of a demanded value in reports."""

_PLAIN: Final[Mapping[str, Maker]] = {
    "bleu": overlapping("bleu", 0.5),
    "contains": containing(every=True, fold=False, many=False),
    "contains-all": containing(every=True, fold=False, many=True),
    "contains-any": containing(every=False, fold=False, many=True),
    "contains-html": html_like(anywhere=True),
    "contains-json": json_like(anywhere=True),
    "contains-sql": sql_like(anywhere=True),
    "contains-xml": xml_like(anywhere=True),
    "cost": cost,
    "equals": equals,
    "finish-reason": finish_reason,
    "gleu": overlapping("gleu", 0.5),
    "guardrails": guardrails,
    "icontains": containing(every=True, fold=True, many=False),
    "icontains-all": containing(every=True, fold=True, many=True),
    "icontains-any": containing(every=False, fold=True, many=True),
    "is-html": html_like(anywhere=False),
    "is-json": json_like(anywhere=False),
    "is-refusal": refusal,
    "is-sql": sql_like(anywhere=False),
    "is-valid-function-call": valid_calls("any"),
    "is-valid-openai-function-call": valid_calls("function"),
    "is-valid-openai-tools-call": valid_calls("tools"),
    "is-xml": xml_like(anywhere=False),
    "latency": latency,
    "levenshtein": levenshtein,
    "meteor": overlapping("meteor", 0.5),
    "perplexity": perplexity,
    "perplexity-score": perplexity_score,
    "regex": regex,
    "rouge-n": overlapping("rouge-n", 0.75),
    "skill-used": skill_used,
    "starts-with": starts_with,
    "tool-call-f1": tool_call_f1,
    "trace-error-spans": error_spans,
    "trace-span-count": span_count,
    "trace-span-duration": span_duration,
    "trajectory:step-count": step_count,
    "trajectory:tool-args-match": tool_arguments,
    "trajectory:tool-sequence": tool_sequence,
    "trajectory:tool-used": tool_used,
    "webhook": webhook,
    "word-count": word_count,
}


def _late(module: str, table: str, name: str) -> Maker:
    """A maker that is loaded when it is first asked for: few suites ask a judge, and fewer attack."""

    def make(spec: AssertionSpec, context: BuildContext) -> Assertion:
        makers: Mapping[str, Maker] = getattr(import_module(f"{__package__}.{module}"), table)
        return makers[name](spec, context)

    return make


_LATE: Final[Mapping[str, Maker]] = {
    name: _late("attacked", "REDTEAM", name) if name in REDTEAM else _late("judged", "JUDGED", name)
    for name in KINDS.keys() - {SET, *_PLAIN, *SCRIPTS}
}
REGISTRY: Final[Mapping[str, Maker]] = MappingProxyType(dict(sorted({**_PLAIN, **SCRIPTS, **_LATE}.items())))
"""Makers by type. `assert-set` and `not-` are made by `build`."""
TYPES: Final = tuple(
    sorted([*REGISTRY, SET, *(NOT + name for name in (*REGISTRY, SET) if KINDS[name].negatable)])
)
"""Everything that `type` may say in a native suite."""
NEEDS_JUDGE: Final = frozenset(name for name, kind in KINDS.items() if Need.JUDGE in kind.needs)
"""Types, without `not-`, that ask a judge model."""
_MODELS: Final = frozenset({Need.JUDGE, Need.EMBEDDINGS, Need.MODERATION, Need.CLASSIFIER})
ASKS_MODELS: Final = frozenset(name for name, kind in KINDS.items() if not _MODELS.isdisjoint(kind.needs))
"""Types, without `not-`, that ask a model of any kind besides the one under test."""
NOT_IGNORED_BY_PROMPTFOO: Final = frozenset({
    "factuality", "is-valid-function-call", "is-valid-openai-function-call", "is-valid-openai-tools-call",
    "model-graded-closedqa", "model-graded-factuality", "pi", "trace-error-spans", "trace-span-count", "trace-span-duration",
})  # fmt: skip
"""Types whose `not-` promptfoo takes and ignores; so its dialect does."""


def build(spec: AssertionSpec, context: BuildContext) -> Prepared:
    """The assertion of a specification whose templates are rendered already.

    Raises:
        ConfigError: unknown type (with the nearest known one), or a value that does not fit the type.
    """
    name = _base_type(spec, context)
    if name == SET:
        assertion: Assertion = _set(spec, context)
    else:
        spec = loaded(spec, context)
        _check(name, spec, context)
        assertion = _made(name, spec, context)
    if spec.type != name and not (context.dialect is Dialect.PROMPTFOO and name in NOT_IGNORED_BY_PROMPTFOO):
        assertion = negated(assertion)
    return Prepared(
        type=spec.type, label=spec.metric or spec.type, assertion=transformed(assertion, spec, context),
        weight=0.0 if name in NOT_VOTING else spec.weight, metric=spec.metric, value=_short(spec.value),
    )  # fmt: skip


def _made(name: str, spec: AssertionSpec, context: BuildContext) -> Assertion:
    def make(one: AssertionSpec) -> Assertion:
        return REGISTRY[name](one, context)

    by_script = None if name in SCRIPTS else computed(spec, context, make)
    return by_script or make(spec)


def _base_type(spec: AssertionSpec, context: BuildContext) -> str:
    """The type without `not-`. Raises ConfigError for one that does not exist, with what to write instead."""
    name = spec.type.removeprefix(NOT)
    known = name in KINDS and (spec.type == name or KINDS[name].negatable)
    promptfoo_set = name == SET and context.dialect is Dialect.PROMPTFOO
    if known and (spec.type == name or not promptfoo_set):
        return name
    raise invalid("type", repr(spec.type), "expected a known type", _advice(spec.type))


def _advice(name: str) -> str:
    if name.startswith("promptfoo:redteam:"):
        return "promptfoo's red team makes these by remote generation; see the red-team pack"
    plain = name.strip().lower().replace("_", "-").replace(" ", "-")
    for one in (plain, plain.removeprefix(NOT), plain.removeprefix("is-")):
        if one in INVENTED:
            return INVENTED[one]
    near = difflib.get_close_matches(plain, TYPES, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(KINDS)}; most also with {NOT}"


def _check(name: str, spec: AssertionSpec, context: BuildContext) -> None:
    """Refuse what the type would ignore; promptfoo ignores it."""
    if context.dialect is Dialect.PROMPTFOO:
        return
    kind = KINDS[name]
    if spec.config is not None and not kind.config:
        raise invalid("config", repr(spec.config)[:60], f"{spec.type} takes no config", "remove the key")
    if spec.asserts:
        raise invalid("assert", "a list", f"{spec.type} has no members", f"only {SET} has")
    if name in _PLAIN:
        if not kind.threshold:
            no_threshold(spec)
        if not kind.value:
            no_value(spec)
        for key, got in (
            ("provider", spec.provider),
            ("rubricPrompt", spec.rubric_prompt),
            ("contextTransform", spec.context_transform),
        ):
            if got is not None:
                raise invalid(key, repr(got)[:60], f"{spec.type} takes no {key}", "remove the key")


def _set(spec: AssertionSpec, context: BuildContext) -> AssertSet:
    """`assert`: its members. Its `config` is laid under theirs. Raises ConfigError with all that is wrong."""
    native = context.dialect is Dialect.NATIVE
    if native:
        no_value(spec)
    if not spec.asserts and native:
        raise invalid("assert", "missing or empty", "expected the assertions of the set")
    members: list[Prepared] = []
    problems = []
    for number, member in enumerate(spec.asserts):
        try:
            members.append(_member(member, spec.config, context))
        except ConfigError as error:
            problems += [
                replace(problem, key=f"assert[{number}].{problem.key}") for problem in error.problems
            ]
    if problems:
        raise ConfigError(problems)
    if native and not any(member.weight for member in members):
        raise invalid(
            "assert", "without any member that weighs something", "expected something that can fail"
        )
    if native and spec.threshold is not None and not 0 < spec.threshold <= 1:
        expected = "expected more than 0, at most 1: less lets every answer pass, more none"
        raise invalid("threshold", repr(spec.threshold), expected)
    return AssertSet(tuple(members), spec.threshold)


def _member(spec: AssertionSpec, config: Mapping[str, Any] | None, context: BuildContext) -> Prepared:
    name = spec.type.removeprefix(NOT)
    if context.dialect is Dialect.PROMPTFOO:
        if name == SET:
            raise invalid("type", repr(spec.type), "promptfoo knows no set in a set")
        return build(spec, context)
    if name in NOT_VOTING:
        raise invalid(
            "type", repr(spec.type), "not in a set", "it has no score of its own: put it beside the set"
        )
    if config and name in KINDS and KINDS[name].config:
        spec = spec.model_copy(update={"config": {**config, **(spec.config or {})}})
    return build(spec, context)


def _short(value: Any) -> Any:
    """A value for reports: text, as long as it is short."""
    if value is None or isinstance(value, bool | int | float):
        return value
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return None
    return text if len(text) <= VALUE_LENGTH_MAX else None
