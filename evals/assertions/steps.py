"""Steps of an agent, read from the spans of its trace: tools, commands, searches, reasoning, messages."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from promptship.evals.assertions.trace import Span, spans_of
from promptship.evals.score import Subject

# Names of attributes that tracers use; OpenTelemetry's own are those that begin with gen_ai.
_TOOL_NAMES: Final = (
    "tool.name", "tool_name", "tool", "function.name", "function_name", "ai.toolCall.name", "gen_ai.tool.name",
    "agent.tool_name", "agent.tool", "agent.toolName", "codex.mcp.tool",
)  # fmt: skip
_ARGUMENTS: Final = (
    *(f"tool.{end}" for end in ("args", "arguments", "input")), *(f"tool_{end}" for end in ("args", "arguments", "input")),
    *(f"function.{end}" for end in ("args", "arguments", "input")), "function_args", "function_arguments",
    *(f"{family}.{end}" for family in ("ai.toolCall", "gen_ai.tool") for end in ("args", "arguments", "input")),
    "gen_ai.tool.call.args", "gen_ai.tool.call.arguments",
    *(f"{family}.{end}" for family in ("agent.tool", "codex.mcp") for end in ("args", "arguments", "input")),
    "args", "arguments", "input",
)  # fmt: skip
_COMMANDS: Final = ("codex.command", "command", "command.name", "command_name")
_SEARCHES: Final = ("codex.search.query", "search.query", "search_query")
_SHELLS: Final = frozenset({"exec_command", "local_shell", "shell"})

_NAMES_TOOL: Final = re.compile(r"tool.?name|function.?name", re.IGNORECASE)
_IS_TOOL: Final = re.compile(r"(^|[._])tool($|[._])", re.IGNORECASE)
_OF_RESULT: Final = re.compile(r"result|output|definition", re.IGNORECASE)
_IS_ARGUMENTS: Final = re.compile(r"(^|[._])(arguments|args|input)($|[._])", re.IGNORECASE)
_NO_ARGUMENTS: Final = re.compile(r"result|output|error|status", re.IGNORECASE)
_LOOKS_UP: Final = re.compile(
    r"(^|[\s._:/-])(search|find|lookup|retriev(?:e|al))($|[\s._:/-])", re.IGNORECASE
)
_LOOKED_UP: Final = re.compile(r"(^|[._])(search|lookup|retriev(?:e|al))($|[._])", re.IGNORECASE)
_REASONS: Final = re.compile(r"reasoning([_\s]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. `type`: tool, command, search, reasoning, message, or span for what is none of them."""

    type: str
    name: str
    names: tuple[str, ...]
    """All names it is known by; the first is the span's."""
    arguments: Any = None
    has_arguments: bool = False
    span: Span


def steps_of(subject: Subject) -> list[Step] | None:
    """Steps of an answer's trace in the order they began; None: it has no trace."""
    spans = spans_of(subject)
    if spans is None:
        return None
    trace = subject.answer.metadata["trace"]
    metadata = trace.get("metadata")
    extra = metadata.get("commandToolNames") if isinstance(metadata, Mapping) else None
    shells = _SHELLS | {
        name.strip().lower() for name in (extra if isinstance(extra, list) else ()) if isinstance(name, str)
    }
    return [_step(span, shells) for span in sorted(spans, key=_began)]


def _began(span: Span) -> tuple[float, float]:
    start = span.start_ms or 0.0
    return start, start if span.end_ms is None else span.end_ms


def _step(span: Span, shells: frozenset[str] | set[str]) -> Step:
    tool = _tool_name(span)
    is_shell = tool.lower() in shells
    command = _command(span, is_shell=is_shell)
    if tool and not (command and is_shell):
        return _made(span, "tool", tool, with_arguments=True)
    if command:
        return _made(span, "command", command, tool, command.split()[0], with_arguments=is_shell)
    if query := _query(span):
        return _made(span, "search", query)
    kind = span.attributes.get("codex.item.type")
    if kind == "reasoning" or _REASONS.match(span.name):
        return _made(span, "reasoning", span.name, "reasoning")
    if kind == "agent_message" or span.name in {"agent response", "send input"}:
        return _made(span, "message", span.name, "message")
    return _made(span, "span", span.name)


def _made(span: Span, kind: str, name: str, *others: str, with_arguments: bool = False) -> Step:
    arguments = _arguments(span) if with_arguments else None
    names = tuple(dict.fromkeys(one for one in (span.name, name, *others) if one))
    return Step(
        type=kind, name=name, names=names, arguments=arguments, has_arguments=arguments is not None, span=span
    )


def _first_text(span: Span, keys: tuple[str, ...]) -> str:
    for key in keys:
        value = span.attributes.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""


def _tool_name(span: Span) -> str:
    if name := _first_text(span, _TOOL_NAMES):
        return name
    for key, value in span.attributes.items():
        if not isinstance(value, str) or not value.strip() or isinstance(_structured(value), dict | list):
            continue
        if _NAMES_TOOL.search(key) or (_IS_TOOL.search(key) and not _OF_RESULT.search(key)):
            return value.strip()
    return span.name.rpartition("/")[2].strip() if span.name.startswith("mcp ") and "/" in span.name else ""


def _structured(value: Any) -> Any:
    """A value, read as JSON where it is JSON; None: it is empty."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text or None


def _arguments(span: Span) -> Any:
    keys = [key for key in span.attributes if _IS_ARGUMENTS.search(key) and not _NO_ARGUMENTS.search(key)]
    for key in (*_ARGUMENTS, *keys):
        value = _structured(span.attributes.get(key))
        if value is not None:
            return value
    return None


def _command(span: Span, *, is_shell: bool) -> str:
    if command := _first_text(span, _COMMANDS):
        return command
    for key, value in span.attributes.items():
        if (
            isinstance(value, str)
            and value.strip()
            and "command" in key.lower()
            and not re.search("output|result", key, re.IGNORECASE)
        ):
            return value.strip()
    arguments = _arguments(span) if is_shell else None
    if isinstance(arguments, Mapping):
        for key, between in (("cmd", " "), ("command", " "), ("commands", "; ")):
            if key in arguments:
                value = arguments[key]
                parts = value if isinstance(value, list) else [value] if isinstance(value, str) else []
                return between.join(part for one in parts if (part := str(one).strip()))
    return span.name.removeprefix("exec ").strip() if span.name.startswith("exec ") else ""


def _query(span: Span) -> str:
    if query := _first_text(span, _SEARCHES):
        return query
    query = _first_text(span, ("query",))
    if query and (
        _LOOKS_UP.search(span.name)
        or any(key != "query" and _LOOKED_UP.search(key) for key in span.attributes)
    ):
        return query
    return span.name.removeprefix("search ").strip().strip('"') if span.name.startswith("search ") else ""
