"""Messages and tools in OpenAI's words, taken apart for the providers that have words of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from promptship.adapters.providers.dialects.call import unsupported

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
