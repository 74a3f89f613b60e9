"""A request of OpenAI's responses as one of chat completions."""

from __future__ import annotations

from typing import Any, Final

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

_NOT_KEPT: Final = "answers are not kept here: send the conversation as input"
_UNKNOWN: Final = {
    "previous_response_id": _NOT_KEPT,
    "conversation": _NOT_KEPT,
    "background": "this provider answers while you wait",
    "max_tool_calls": "tools are called by the application here, which can count",
    "top_logprobs": "this provider's probabilities are asked for by chat completions",
    "context_management": "this provider does not shorten a conversation",
}
_LEFT_OUT: Final = (
    "include", "metadata", "prompt_cache_key", "prompt_cache_retention", "store", "stream_options", "truncation",
)  # fmt: skip
"""OpenAI's keeping of books, and what only tools of OpenAI's own would answer: they never change the answer."""
_TEXTS: Final = frozenset({"input_text", "output_text", "text"})


def chat_of(given: Fields) -> Fields:
    """The request. Raises Untranslatable."""
    fields = dict(given)
    refuse(fields, _UNKNOWN)
    if fields.get("truncation") == "auto":
        raise Untranslatable("truncation", "this provider does not shorten a conversation")
    if "message.output_text.logprobs" in (fields.get("include") or ()):
        raise Untranslatable("include", "this provider's probabilities are asked for by chat completions")
    for name in _LEFT_OUT:
        fields.pop(name, None)
    instructions = fields.pop("instructions", None)
    limit = fields.pop("max_output_tokens", None)
    tools, choice = fields.pop("tools", None), fields.pop("tool_choice", None)
    text, reasoning = fields.pop("text", None), fields.pop("reasoning", None)
    messages: list[Fields] = [{"role": "system", "content": instructions}] if instructions else []
    for index, item in enumerate(_items(fields.pop("input", None))):
        _item(messages, item, f"input[{index}]")
    made: Fields = {**fields, "messages": messages}
    if limit is not None:
        made["max_completion_tokens"] = limit
    if tools:
        made["tools"] = [_tool(one, f"tools[{index}]") for index, one in enumerate(objects(tools, "tools"))]
    if choice is not None:
        made["tool_choice"] = _choice(choice)
    without_tools(made)
    _form(made, text)
    if isinstance(reasoning, dict) and reasoning.get("effort"):
        made["reasoning_effort"] = reasoning["effort"]
    if made.get("stream"):
        made["stream_options"] = {"include_usage": True}
    return made


def _items(given: Any) -> list[Fields]:
    return [{"role": "user", "content": given}] if isinstance(given, str) else objects(given, "input")


def _item(messages: list[Fields], item: Fields, at: str) -> None:
    match item.get("type") or "message":
        case "message":
            role = str(item.get("role") or "user")
            message = {"role": role, "content": _content(item.get("content"), f"{at}.content")}
            messages.append(message)
        case "function_call":
            id_ = str(item.get("call_id") or item.get("id") or "")
            arguments = str(item.get("arguments") or "{}")
            called(
                messages, tool_call(id_, str(item.get("name") or ""), arguments, item.get("extra_content"))
            )
        case "function_call_output":
            content = _content(item.get("output"), f"{at}.output")
            if not isinstance(content, str):
                content = _only_texts(content, f"{at}.output")
            messages.append(
                {"role": "tool", "tool_call_id": str(item.get("call_id") or ""), "content": content}
            )
        case "reasoning":
            pass  # what another model thought is no part of the conversation
        case other:
            raise Untranslatable(
                f"{at}.type", f"{other!r} is only known to providers that offer responses themselves"
            )


def _content(content: Any, at: str) -> str | list[Fields]:
    if content is None or isinstance(content, str):
        return content or ""
    return content_of(_part(part, f"{at}[{index}]") for index, part in enumerate(objects(content, at)))


def _part(part: Fields, at: str) -> Fields:
    kind = part.get("type")
    if kind in _TEXTS:
        return text_part(part.get("text") or "")
    if kind == "refusal":
        return text_part(part.get("refusal") or "")
    if kind == "input_image":
        if not part.get("image_url"):
            raise Untranslatable(
                f"{at}.file_id", "files are not kept here: give the image as image_url, also as a data URI"
            )
        return image_part(str(part["image_url"]), part.get("detail"))
    if kind == "image_url":
        return part
    raise Untranslatable(
        f"{at}.type", f"{kind!r} has no counterpart at this provider: texts and images have one"
    )


def _only_texts(parts: list[Fields], at: str) -> str:
    for index, part in enumerate(parts):
        if part["type"] != "text":
            raise Untranslatable(
                f"{at}[{index}].type", "results of tools are texts at this provider: put images into input"
            )
    return "".join(part["text"] for part in parts)


def _tool(one: Fields, at: str) -> Fields:
    if isinstance(one.get("function"), dict):
        return one
    if one.get("type") != "function":
        raise Untranslatable(
            f"{at}.type",
            f"{one.get('type')!r} is a tool of OpenAI's own: here the application calls functions",
        )
    return function_tool(one.get("name"), one.get("description"), one.get("parameters"), one.get("strict"))


def _choice(choice: Any) -> Any:
    if isinstance(choice, str):
        return choice
    if isinstance(choice, dict) and choice.get("type") == "function":
        return {"type": "function", "function": {"name": choice.get("name")}}
    raise Untranslatable("tool_choice", "auto, required, none or a function: this provider knows no other")


def _form(made: Fields, text: Any) -> None:
    if not isinstance(text, dict):
        return
    form = text.get("format")
    if isinstance(form, dict) and form.get("type") == "json_schema":
        schema = {name: value for name, value in form.items() if name != "type" and value is not None}
        made["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif isinstance(form, dict) and form.get("type") != "text":
        made["response_format"] = form
    if text.get("verbosity") not in {None, "medium"}:
        made["verbosity"] = text["verbosity"]
