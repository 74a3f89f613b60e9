"""Messages and tools in OpenAI's words, taken apart for the providers that have words of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from promptship.adapters.providers.dialects.call import count, total, unsupported
from promptship.chat import ChatAnswer

Message = Mapping[str, Any]
_SYSTEM: Final = frozenset({"system", "developer"})
_DATA_URI: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.DOTALL)


def split_system(messages: Iterable[Message]) -> tuple[list[str], list[Message]]:
    """Texts of the system and developer messages, and the other messages, each in order."""
    system: list[str] = []
    rest: list[Message] = []
    for message in messages:
        if message.get("role") in _SYSTEM:
            system.append(text_of(message.get("content")))
        else:
            rest.append(message)
    return system, rest


def text_of(content: Any) -> str:
    """The text in a message's content, which is text or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part if isinstance(part, str) else str(part.get("text") or "") for part in content)
    return "" if content is None else str(content)


def parts_of(content: Any) -> list[Mapping[str, Any]]:
    """Content as a list of parts; an empty text is no part."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    if isinstance(content, Sequence):
        return [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    if isinstance(content, Mapping):
        return [content]
    return []


def image_of(part: Mapping[str, Any]) -> tuple[str, str] | None:
    """(media type, base64) of an image that is in the message, ("", address) of one elsewhere; None: no image."""
    if part.get("type") != "image_url":
        return None
    image = part.get("image_url")
    address = str(image.get("url") or "") if isinstance(image, Mapping) else str(image or "")
    found = _DATA_URI.fullmatch(address)
    return (found[1], found[2]) if found else ("", address)


def calls_of(message: Message) -> list[tuple[str, str, dict[str, Any]]]:
    """(id, name, arguments) of the calls in an assistant's message. Raises ConfigError: arguments that are no JSON object."""
    calls = []
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        raw = function.get("arguments") or "{}"
        try:
            arguments = orjson.loads(raw) if isinstance(raw, str) else dict(raw)
        except ValueError:
            arguments = None
        if not isinstance(arguments, dict):
            raise unsupported("tool_calls[].function.arguments", "no JSON object", "expected a JSON object")
        calls.append((str(call.get("id") or ""), str(function.get("name") or ""), arguments))
    return calls


def tool_of(tool: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]] | None:
    """(name, description, JSON schema) of a tool in OpenAI's words; None: it is in others."""
    function = tool.get("function")
    if not isinstance(function, Mapping):
        return None
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    return str(function.get("name") or ""), str(function.get("description") or ""), dict(schema)


def schema_of(response_format: Mapping[str, Any], provider: str) -> dict[str, Any] | None:
    """The JSON schema that an answer must fit; None: any text. Raises ConfigError: JSON without a schema is not on offer."""
    kind = response_format.get("type")
    if kind == "text":
        return None
    schema = (response_format.get("json_schema") or {}).get("schema")
    if kind != "json_schema" or not isinstance(schema, Mapping):
        advice = "give a schema, or ask for JSON in the prompt and assert it"
        raise unsupported(
            "response_format",
            repr(kind),
            f"expected json_schema with a schema: {provider} knows no other",
            advice,
        )
    return dict(schema)


def as_list(value: Any) -> list[Any]:
    """`stop` may be one text or many."""
    return [value] if isinstance(value, str) else list(value)


def turns_of(
    messages: Iterable[Message],
    *,
    block: Callable[[Message], dict[str, Any]],
    result: Callable[[str, str], dict[str, Any]],
    use: Callable[[str, str, dict[str, Any]], dict[str, Any]],
) -> list[dict[str, Any]]:
    """Messages without the system's, for providers whose turns hold blocks; results of tools are turns of the user, neighbours in one.

    Args:
        messages: in OpenAI's words.
        block: a part of a message -> a block.
        result: (id of the call, text) -> a block.
        use: (id, name, arguments) of a call -> a block.
    """
    made: list[dict[str, Any]] = []
    was_result = False
    for message in messages:
        is_result = message.get("role") == "tool"
        if is_result:
            text = text_of(message.get("content"))
            blocks = [result(str(message.get("tool_call_id") or ""), text)]
        else:
            blocks = [block(part) for part in parts_of(message.get("content"))]
        blocks += [use(*call) for call in calls_of(message)]
        if is_result and was_result:
            made[-1]["content"] += blocks
        else:
            role = "assistant" if message.get("role") == "assistant" else "user"
            made.append({"role": role, "content": blocks})
        was_result = is_result
    return made


def called(id_: object, name: str, given: object) -> dict[str, Any]:
    """A call of a tool, in OpenAI's words."""
    arguments = orjson.dumps(given or {}).decode()
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def block_answer(
    texts: Iterable[str],
    calls: Iterable[dict[str, Any]],
    thoughts: list[str],
    *,
    finish: str,
    model: str,
    usage: Mapping[str, Any],
    counts: tuple[str, str, str, str],
) -> ChatAnswer:
    """An answer of blocks. `counts`: names in `usage` of what was read fresh, read from the cache, written to it, and said."""
    fresh, cached, written, said = (count(usage.get(name)) for name in counts)
    metadata: dict[str, Any] = {"reasoning": "\n".join(thoughts)} if thoughts else {}
    if written:
        metadata["tokens_cache_written"] = written
    return ChatAnswer(
        text="\n\n".join(texts),
        tool_calls=tuple(calls),
        finish_reason=finish,
        model=model,
        tokens_in=total(fresh, cached, written),
        tokens_out=said,
        tokens_cached=cached,
        flagged={"input": False, "output": finish == "content_filter"},
        metadata=metadata,
    )
