"""Answers as promptfoo shows them: text, or the value that a provider's answer becomes there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from promptship.chat import ChatAnswer
from promptship.evals.promptfoo.javascript_text import json_text


def chat_shape(config: Mapping[str, Any], *, think: bool = True) -> Any:
    """Of chat completions: a refusal, the calls, the message when it has text and calls, parsed JSON of a schema, or the text."""
    parses = is_schema(config.get("response_format"))
    shows = think and config.get("showThinking") is not False

    def shape(answer: ChatAnswer, value: Any) -> ChatAnswer:
        message = _message(value)
        text = answer.text
        if answer.flagged is None:
            answer = replace(answer, flagged={})  # promptfoo: no filter struck, so nothing is flagged
        if message.get("refusal"):
            return replace(answer, metadata={**answer.metadata, "isRefusal": True})
        calls = message.get("tool_calls")
        if calls or message.get("function_call"):
            if message.get("content"):
                return replace(answer, value=message)
            return replace(answer, value=calls or message["function_call"])
        if parses:
            found = _parsed(text)
            if found is not None:
                return replace(answer, value=found)
        thought = answer.metadata.get("reasoning")
        if shows and thought:
            text = f"Thinking: {thought}\n\n{text}"
        return answer if text is answer.text else replace(answer, text=text)

    return shape


def _message(value: Any) -> Mapping[str, Any]:
    try:
        message = value["choices"][0]["message"]
    except (KeyError, IndexError, TypeError):  # a content filter's answer has none
        return {}
    return message if isinstance(message, Mapping) else {}


def is_schema(response_format: Any) -> bool:
    """Whether answers must fit a JSON schema: then promptfoo parses them."""
    return isinstance(response_format, Mapping) and response_format.get("type") == "json_schema"


def responses_shape(config: Mapping[str, Any]) -> Any:
    """Of responses: everything in order, one below the other; parsed JSON of a schema."""
    parses = is_schema(config.get("response_format"))

    def shape(answer: ChatAnswer, value: Any) -> ChatAnswer:
        lines = [line for item in _items(value) for line in _lines(item)]
        if not lines:
            return answer
        text = "\n".join(lines)
        found = _parsed(text) if parses else None
        refused = (
            answer.flagged is not None and answer.flagged.get("output") and answer.finish_reason == "stop"
        )
        metadata = {**answer.metadata, "isRefusal": True} if refused else answer.metadata
        return replace(answer, text=text, value=found, metadata=metadata)

    return shape


def _items(value: Any) -> list[Any]:
    items = value.get("output") if isinstance(value, Mapping) else None
    return items if isinstance(items, list) else []


def _lines(item: Mapping[str, Any]) -> list[str]:
    kind = item.get("type")
    if kind == "message":
        return [str(part.get("text") or part.get("refusal") or "") for part in item.get("content") or ()]
    if kind == "reasoning":
        thoughts = [str(part.get("text") or "") for part in item.get("summary") or ()]
        return ["Reasoning: " + "\n".join(thoughts)] if thoughts else []
    return [json_text(item)]


def blocks_shape(config: Mapping[str, Any]) -> Any:
    """Of Anthropic: texts, thoughts and calls as JSON, with an empty line between them."""
    shows = config.get("showThinking") is not False

    def shape(answer: ChatAnswer, value: Any) -> ChatAnswer:
        blocks = value.get("content") if isinstance(value, Mapping) else None
        said = [text for block in blocks or () if (text := _block(block, shows)) is not None]
        return replace(
            answer, text="\n\n".join(said), value=_parsed("".join(said)) if _wants_json(config) else None
        )

    return shape


def _block(block: Mapping[str, Any], shows: bool) -> str | None:
    kind = block.get("type")
    if kind == "text":
        return str(block.get("text") or "")
    if kind == "thinking":
        return f"Thinking: {block.get('thinking')}\nSignature: {block.get('signature')}" if shows else None
    if kind == "redacted_thinking":
        return f"Redacted Thinking: {block.get('data')}" if shows else None
    return json_text(block)


def _wants_json(config: Mapping[str, Any]) -> bool:
    given = (config.get("output_config") or {}).get("format") or config.get("output_format")
    return isinstance(given, Mapping) and given.get("type") == "json_schema"


def parts_shape(answer: ChatAnswer, value: Any) -> ChatAnswer:
    """Of Google: all parts as they are when one is not text, else their texts in one."""
    candidates = value.get("candidates") if isinstance(value, Mapping) else None
    parts = ((candidates or [{}])[0].get("content") or {}).get("parts") or []
    if all("text" in part for part in parts):
        return replace(answer, text="".join(str(part["text"]) for part in parts))
    return replace(answer, value=parts)


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return None
