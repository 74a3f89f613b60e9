"""A request of Anthropic's messages as one of chat completions."""

from __future__ import annotations

from typing import Any, Final

import orjson

from promptship.adapters.providers.bridges.content import (
    Fields,
    called,
    content_of,
    function_tool,
    image_part,
    objects,
    refuse,
    text_part,
    tool_call,
    without_tools,
)
from promptship.adapters.providers.untranslatable import Untranslatable

_UNKNOWN: Final = {
    "container": "this provider runs no code",
    "mcp_servers": "this provider calls no servers of tools: call them in the application",
    "context_management": "this provider does not shorten a conversation",
}
_LEFT_OUT: Final = ("cache_control", "service_tier", "inference_geo", "betas")
"""About Anthropic's own keeping of books: they never change the answer."""
_THOUGHTS: Final = frozenset({"thinking", "redacted_thinking"})
_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}


def chat_of(given: Fields) -> Fields:
    """The request. Raises Untranslatable."""
    fields = dict(given)
    refuse(fields, _UNKNOWN)
    for name in _LEFT_OUT:
        fields.pop(name, None)
    thinking = fields.pop("thinking", None)
    if isinstance(thinking, dict) and thinking.get("type") != "disabled":
        raise Untranslatable("thinking", "how much this provider thinks is said in the prompt's parameters")
    messages = _system(fields.pop("system", None))
    for index, turn in enumerate(objects(fields.pop("messages", None), "messages")):
        _turn(messages, turn, f"messages[{index}]")
    metadata, limit = fields.pop("metadata", None), fields.pop("max_tokens", None)
    stop, tools = fields.pop("stop_sequences", None), fields.pop("tools", None)
    choice = fields.pop("tool_choice", None)
    output, form = fields.pop("output_config", None), fields.pop("output_format", None)
    made: Fields = {**fields, "messages": messages}
    if limit is not None:
        made["max_completion_tokens"] = limit
    if stop:
        made["stop"] = stop
    if isinstance(metadata, dict) and metadata.get("user_id"):
        made["user"] = metadata["user_id"]
    if tools:
        made["tools"] = [_tool(one, f"tools[{index}]") for index, one in enumerate(objects(tools, "tools"))]
    if choice is not None:
        _chosen(made, choice)
    without_tools(made)
    _form(made, output if isinstance(output, dict) else {}, form)
    if made.get("stream"):
        made["stream_options"] = {"include_usage": True}
    return made


def _system(system: Any) -> list[Fields]:
    if isinstance(system, str):
        return [{"role": "system", "content": system}] if system else []
    return [
        {"role": "system", "content": str(block.get("text") or "")} for block in objects(system, "system")
    ]


def _turn(messages: list[Fields], turn: Fields, at: str) -> None:
    role, content = str(turn.get("role") or "user"), turn.get("content")
    if content is None or isinstance(content, str):
        messages.append({"role": role, "content": content or ""})
        return
    parts: list[Fields] = []
    calls: list[Fields] = []
    for index, block in enumerate(objects(content, f"{at}.content")):
        here, kind = f"{at}.content[{index}]", block.get("type")
        if kind == "tool_result":
            messages.append(_result(block, here))
        elif kind == "tool_use":
            arguments = orjson.dumps(block.get("input") or {}).decode()
            id_, name = str(block.get("id") or ""), str(block.get("name") or "")
            calls.append(tool_call(id_, name, arguments, block.get("extra_content")))
        elif kind not in _THOUGHTS:
            parts.append(_part(block, here))
    if parts or not (calls or (messages and messages[-1]["role"] == "tool")):
        messages.append({"role": role, "content": content_of(parts)})
    elif calls:
        messages.append({"role": "assistant", "content": None})
    for call in calls:
        called(messages, call)


def _part(block: Fields, at: str) -> Fields:
    if block.get("type") == "text":
        return text_part(block.get("text") or "")
    if block.get("type") == "image_url":
        return block
    if block.get("type") != "image":
        raise Untranslatable(
            f"{at}.type",
            f"{block.get('type')!r} has no counterpart at this provider: texts and images have one",
        )
    source = block.get("source")
    source = source if isinstance(source, dict) else {}
    if source.get("type") == "base64":
        return image_part(f"data:{source.get('media_type')};base64,{source.get('data')}")
    if source.get("type") != "url":
        raise Untranslatable(f"{at}.source.type", "base64 or url: files are not kept here")
    return image_part(str(source.get("url") or ""))


def _result(block: Fields, at: str) -> Fields:
    content = block.get("content")
    if content is not None and not isinstance(content, str):
        texts = []
        for index, part in enumerate(objects(content, f"{at}.content")):
            if part.get("type") != "text":
                raise Untranslatable(
                    f"{at}.content[{index}].type",
                    "results of tools are texts at this provider: put images beside them",
                )
            texts.append(str(part.get("text") or ""))
        content = "".join(texts)
    return {"role": "tool", "tool_call_id": str(block.get("tool_use_id") or ""), "content": content or ""}


def _tool(one: Fields, at: str) -> Fields:
    if isinstance(one.get("function"), dict):
        return one
    if one.get("type") not in {None, "custom"}:
        raise Untranslatable(
            f"{at}.type",
            f"{one.get('type')!r} is a tool of Anthropic's own: here the application calls tools",
        )
    return function_tool(one.get("name"), one.get("description"), one.get("input_schema"))


def _chosen(made: Fields, choice: Any) -> None:
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind == "tool":
        made["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    elif kind in _CHOICES:
        made["tool_choice"] = _CHOICES[kind]
    else:
        raise Untranslatable("tool_choice", "auto, any, none or tool: this provider knows no other")
    if choice.get("disable_parallel_tool_use"):
        made["parallel_tool_calls"] = False


def _form(made: Fields, output: Fields, older: Any) -> None:
    form = output.get("format") or older
    if isinstance(form, dict):
        schema = {"name": "output", "schema": form.get("schema")}
        made["response_format"] = {"type": "json_schema", "json_schema": schema}
    if output.get("effort"):
        made["reasoning_effort"] = output["effort"]
