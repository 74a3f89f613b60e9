"""Assertions on the functions an answer calls: whether the calls are valid, and whether they are the right ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from promptship.evals.assertions.base import AssertionSpec, BuildContext, Dialect, Maker, invalid, shown
from promptship.evals.assertions.values import embedded_at, js_text, json_of, list_value
from promptship.evals.score import Judged, Scored, Subject, Unscored, unscored, yes_or_no
from promptship.evals.services import ScriptFailed

Call = tuple[str, Any]
"""Name of a function, and its arguments: an object, or JSON text."""


class NoCalls(ValueError):
    """An answer has no function calls in a known form."""


def openai_calls(value: Any) -> list[Call]:
    """Calls of OpenAI's `tool_calls`: a list, or a message that has one. Raises NoCalls."""
    if isinstance(value, Mapping) and "tool_calls" in value:
        value = value["tool_calls"]
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        message = "the answer has no list of tool calls"
        raise NoCalls(message)
    return [_openai_call(item.get("function") if isinstance(item, Mapping) else None) for item in value]


def openai_call(value: Any) -> list[Call]:
    """The one call of OpenAI's older `function_call`: an object, or a message that has one. Raises NoCalls."""
    if isinstance(value, Mapping) and "function_call" in value:
        value = value["function_call"]
    return [_openai_call(value)]


def _openai_call(value: Any) -> Call:
    if (
        isinstance(value, Mapping)
        and isinstance(value.get("name"), str)
        and isinstance(value.get("arguments"), str)
    ):
        return value["name"], value["arguments"]
    message = "the answer is no function call with a name and arguments as JSON text"
    raise NoCalls(message)


def google_calls(value: Any) -> list[Call]:
    """Calls of Gemini: parts with `functionCall`, or a live `toolCall`. Raises NoCalls."""
    calls: Any = None
    if isinstance(value, Mapping) and isinstance(value.get("toolCall"), Mapping):
        calls = value["toolCall"].get("functionCalls")
    elif isinstance(value, Sequence) and not isinstance(value, str):
        calls = [
            part["functionCall"] for part in value if isinstance(part, Mapping) and "functionCall" in part
        ]
    if not isinstance(calls, list) or not all(isinstance(call, Mapping) and "name" in call for call in calls):
        message = "the answer has no function calls"
        raise NoCalls(message)
    return [(str(call["name"]), call.get("args") or {}) for call in calls]


def declared(config: Mapping[str, Any]) -> dict[str, Any]:
    """JSON Schema of the parameters of every function the model was given; None: it takes none.

    Reads OpenAI's `tools` and `functions`, Anthropic's `tools` with `input_schema`, Gemini's `functionDeclarations`.
    """
    found: dict[str, Any] = {}
    for item in (*_list(config.get("functions")), *_list(config.get("tools"))):
        if not isinstance(item, Mapping):
            continue
        nested = item.get("functionDeclarations") or item.get("function_declarations")
        for function in _list(nested) if nested else [item.get("function", item)]:
            if isinstance(function, Mapping) and isinstance(function.get("name"), str):
                found[function["name"]] = _lower_types(
                    function.get("parameters", function.get("input_schema"))
                )
    return found


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _lower_types(schema: Any) -> Any:
    """Gemini writes `OBJECT` where JSON Schema has `object`."""
    if isinstance(schema, list | tuple):
        return [_lower_types(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: value.lower() if key == "type" and isinstance(value, str) else _lower_types(value)
        for key, value in schema.items()
    }


@dataclass(frozen=True, slots=True)
class ValidCalls:
    """Every call names a function the model was given, with arguments that fit its JSON Schema."""

    form: str
    """`tools`: OpenAI's tool_calls; `function`: its older function_call; `any`: these and Gemini's."""
    strict: bool
    """As promptfoo: no declared function is a failure, the answer must be more than text, results of MCP tools count."""

    async def judge(self, subject: Subject) -> Judged:
        """Unscored when the model was given no functions."""
        if self.strict and self.form == "tools" and (mcp := _mcp(js_text(subject.said))):
            return Judged(mcp)
        try:
            calls = self._calls(self._value(subject))
        except NoCalls as error:
            return Judged(yes_or_no(False, str(error)))
        functions = declared(self._given(subject.provider_config))
        if not functions and not self.strict:
            return Judged(Unscored("the model was given no functions to call"))
        for name, arguments in calls:
            if name not in functions:
                return Judged(yes_or_no(False, f"it calls {name!r}, and there is no such function"))
            try:
                problem = await _problem(subject, functions[name], arguments)
            except ScriptFailed as error:
                return Judged(unscored(error))
            if problem:
                return Judged(yes_or_no(False, f"its call of {name!r}: {problem}"))
        return Judged(yes_or_no(True, ""))

    def _given(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """The part of the parameters that counts: promptfoo looks for each form of calls under its own name."""
        own = {"tools": "tools", "function": "functions"}.get(self.form)
        return {own: config.get(own)} if self.strict and own else config

    def _value(self, subject: Subject) -> Any:
        if subject.value is not None:
            return subject.value
        if subject.answer.tool_calls and self.form != "function":
            return list(subject.answer.tool_calls)
        if subject.answer.tool_calls:
            return subject.answer.tool_calls[0].get("function")
        try:
            return subject.output if self.strict else json_of(subject.output)
        except ValueError:
            return subject.output

    def _calls(self, value: Any) -> list[Call]:
        if self.form == "tools":
            return openai_calls(value)
        if self.form == "function":
            return openai_call(value)
        for read in (openai_call, openai_calls, google_calls):
            try:
                calls = read(value)
            except NoCalls:
                continue
            if calls:
                return calls
        message = "the answer has no function calls"
        raise NoCalls(message)


async def _problem(subject: Subject, schema: Any, arguments: Any) -> str:
    if isinstance(arguments, str):
        try:
            arguments = json_of(arguments)
        except ValueError:
            return "the arguments are no JSON"
    if schema is None:
        return "it takes no arguments" if arguments else ""
    errors = await subject.services.scripts.schema_errors(schema, arguments)
    return errors[0] if errors else ""


def _mcp(text: str) -> Scored | None:
    """What an MCP tool said: promptfoo's providers write the result of an MCP tool into the answer; an error wins."""
    if "MCP Tool Error" in text:
        return Scored(False, 0.0, "an MCP tool failed")
    return Scored(True, 1.0) if "MCP Tool Result" in text else None


def valid_calls(form: str) -> Maker:
    """Maker of the three types of valid calls; no value."""

    def make(_spec: AssertionSpec, context: BuildContext) -> ValidCalls:
        return ValidCalls(form, strict=context.dialect is Dialect.PROMPTFOO)

    return make


# Which functions ------------------------------------------------------------------------------------------------------

# Possessive: a line of nothing but backticks would be tried in every way.
_FENCED: Final = re.compile(
    r"^[ \t]*(?P<fence>`{3,}+|~{3,}+)[^\n]*\n.*?(?:^[ \t]*(?P=fence)[`~]*[ \t]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)


def called_names(value: Any) -> set[str]:
    """Names of all functions that a value calls, in the forms of OpenAI, Anthropic and Gemini.

    In a text, JSON counts that stands on lines of its own outside of code blocks.
    """
    if isinstance(value, str):
        try:
            value = json_of(value)
        except ValueError:
            return {name for block in _own_lines(value) for name in called_names(block)}
    if isinstance(value, Mapping):
        return set(_names_of_object(value))
    if isinstance(value, list | tuple):
        return {name for item in value if isinstance(item, Mapping) and (name := _name_of_item(item))}
    return set()


def _own_lines(text: str) -> Iterator[Any]:
    text = _FENCED.sub("\n", text)
    for start, end, value in embedded_at(text):
        before, after = text.rfind("\n", 0, start) + 1, text.find("\n", end)
        if not text[before:start].strip() and not text[end : len(text) if after < 0 else after].strip():
            yield value


def _names_of_object(value: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(value.get("tool_calls"), list):
        for call in value["tool_calls"]:
            if isinstance(call, Mapping):
                yield from (name for name in (_text(call.get("function")), _text(call)) if name)
        return
    if value.get("type") in {"tool_use", "function_call"} and _text(value):
        yield _text(value)
    elif isinstance(value.get("functionCall"), Mapping):
        yield from filter(None, [_text(value["functionCall"])])
    elif isinstance(value.get("toolCall"), Mapping):
        calls = value["toolCall"].get("functionCalls")
        yield from (name for call in _list(calls) if (name := _text(call)))


def _name_of_item(item: Mapping[str, Any]) -> str:
    for key in ("functionCall", "function"):
        if isinstance(item.get(key), Mapping) and item.get("type") != "tool_use":
            return _text(item[key])
    return _text(item)


def _text(value: Any) -> str:
    name = value.get("name") if isinstance(value, Mapping) else None
    return name if isinstance(name, str) else ""


@dataclass(frozen=True, slots=True)
class ToolCallF1:
    """Harmonic mean of precision and recall over the set of function names; order and number do not matter."""

    expected: frozenset[str]
    threshold: float
    keeps_score: bool
    """promptfoo: `not-` has the same score."""

    async def judge(self, subject: Subject) -> Judged:
        """An answer without calls scores 0."""
        called = called_names(subject.said)
        if not self.keeps_score or subject.value is None:
            called |= called_names(list(subject.answer.tool_calls))
        shared = len(called & self.expected)
        score = 2 * shared / (len(called) + len(self.expected))
        because = f"F1 {score:.3f}: called {_names(called)}, wanted {_names(self.expected)}"
        reached = score >= self.threshold
        return Judged(Scored(reached, score, "" if reached else because))

    async def judge_opposite(self, subject: Subject) -> Judged:
        """Passes exactly when the other fails."""
        score = (await self.judge(subject)).score
        if isinstance(score, Unscored):
            return Judged(score)
        return Judged(
            Scored(
                not score.passed,
                score.score if self.keeps_score else 1.0 - score.score,
                "it calls them, and should not" if score.passed else "",
            )
        )


def _names(names: frozenset[str] | set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def tool_call_f1(spec: AssertionSpec, context: BuildContext) -> ToolCallF1:
    """`value`: names as a list, or with commas; `threshold`: 0 to 1, 1 without it."""
    promptfoo = context.dialect is Dialect.PROMPTFOO
    threshold = 1.0 if spec.threshold is None else spec.threshold
    if not promptfoo and not 0 <= threshold <= 1:
        raise invalid("threshold", shown(spec.threshold), "expected a number from 0 to 1")
    if promptfoo and isinstance(spec.value, str):
        names: Sequence[str] = spec.value.split(",")
    elif promptfoo and not isinstance(spec.value, list):
        raise invalid("value", shown(spec.value), "expected names of functions")
    else:
        names = list_value(spec, context)
    expected = frozenset(name.strip() for name in names) - {""}
    if not expected:
        raise invalid("value", shown(spec.value), "expected at least one name of a function")
    return ToolCallF1(expected, threshold, keeps_score=promptfoo)
