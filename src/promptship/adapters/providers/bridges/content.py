"""Parts of messages, as chat completions have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from promptship.adapters.providers.untranslatable import Untranslatable

Fields = dict[str, Any]


def text_part(text: object) -> Fields:
    """A text."""
    return {"type": "text", "text": str(text)}


def image_part(url: str, detail: object = None) -> Fields:
    """An image, by its address or as a data URI."""
    image: Fields = {"url": url}
    if isinstance(detail, str) and detail != "auto":
        image["detail"] = detail
    return {"type": "image_url", "image_url": image}


def content_of(parts: Iterable[Fields]) -> str | list[Fields]:
    """Parts as a message's content: a lone text as a text, which every server understands."""
    found = list(parts)
    if all(part["type"] == "text" for part in found) and len(found) <= 1:
        return found[0]["text"] if found else ""
    return found


def refuse(fields: Fields, unknown: Mapping[str, str]) -> None:
    """Take out what has no counterpart; raises Untranslatable when it asks for something."""
    for name, why in unknown.items():
        if fields.pop(name, None):
            raise Untranslatable(name, why)


def objects(value: Any, field: str) -> list[Fields]:
    """A list of objects; None is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Untranslatable(field, "must be a list")
    for index, one in enumerate(value):
        if not isinstance(one, dict):
            raise Untranslatable(f"{field}[{index}]", "must be an object")
    return value


def called(messages: list[Fields], call: Fields) -> None:
    """Put a tool call into the assistant's message that precedes it, or into a new one."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    messages[-1].setdefault("tool_calls", []).append(call)


def tool_call(id_: str, name: str, arguments: str, extra: object = None) -> Fields:
    """A call as chat completions have it; `extra` is what the provider wants back with it (Gemini's thought signature)."""
    call: Fields = {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
    return {**call, "extra_content": extra} if extra else call


def function_tool(name: object, description: object, parameters: object, strict: object = None) -> Fields:
    """A function the model may call."""
    given = {"name": name, "description": description, "parameters": parameters, "strict": strict}
    return {
        "type": "function",
        "function": {name: value for name, value in given.items() if value is not None},
    }


def without_tools(made: Fields) -> None:
    """OpenAI refuses what is said about tools when there are none."""
    if not made.get("tools"):
        for name in ("tool_choice", "parallel_tool_calls"):
            made.pop(name, None)
