"""Anthropic's messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from promptship.adapters.providers.dialects.call import Dialect, HttpCall, Target
from promptship.adapters.providers.dialects.messages import (
    Message,
    as_list,
    block_answer,
    called,
    image_of,
    schema_of,
    split_system,
    tool_of,
    turns_of,
)
from promptship.chat import ChatAnswer, ChatRequest

VERSION: Final = "2023-06-01"
MAX_TOKENS: Final = 1024
"""Sent when the request names no limit: Anthropic demands one."""
FINISH: Final = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls",
    "refusal": "content_filter", "guardrail_intervened": "content_filter", "content_filtered": "content_filter",
}  # fmt: skip
"""Reasons for the end, of Anthropic and Bedrock, in OpenAI's words."""
COUNTS: Final = (
    "input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"
)  # fmt: skip
"""Tokens that were read fresh, read from the cache, written to it, and said."""


def body(request: ChatRequest) -> dict[str, Any]:
    """The request in Anthropic's words; parameters that it has no other word for stay as they are."""
    parameters = dict(request.parameters)
    limit = parameters.pop("max_completion_tokens", None) or parameters.pop("max_tokens", None) or MAX_TOKENS
    stop = parameters.pop("stop", None)
    choice = parameters.pop("tool_choice", None)
    system, messages = split_system(request.messages)
    made: dict[str, Any] = {"model": request.model, "max_tokens": limit, "messages": turns(messages)}
    if system:
        made["system"] = [{"type": "text", "text": text} for text in system]
    if stop:
        made["stop_sequences"] = as_list(stop)
    if request.tools:
        made["tools"] = [tool(one) for one in request.tools]
    if choice is not None:
        made["tool_choice"] = tool_choice(choice)
    if request.response_format is not None:
        schema = schema_of(request.response_format, "Anthropic")
        if schema is not None:
            made["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return made | parameters


def turns(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Messages without the system's, in Anthropic's words."""
    return turns_of(messages, block=_block, result=_result, use=_use)


def _use(id_: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": name, "input": arguments}


def _result(id_: str, text: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": text}


def _block(part: Mapping[str, Any]) -> dict[str, Any]:
    image = image_of(part)
    if image is None:
        return dict(part)  # text, or in Anthropic's words already
    media, data = image
    source = {"type": "base64", "media_type": media, "data": data} if media else {"type": "url", "url": data}
    return {"type": "image", "source": source}


def tool(one: Mapping[str, Any]) -> dict[str, Any]:
    """A tool in OpenAI's words in Anthropic's; any other stays."""
    found = tool_of(one)
    if found is None:
        return dict(one)
    name, description, schema = found
    made: dict[str, Any] = {"name": name, "input_schema": schema}
    return {**made, "description": description} if description else made


def tool_choice(choice: Any) -> Any:
    """`auto`, `required`, `none` or a function's name in Anthropic's words."""
    if isinstance(choice, str):
        return {"type": {"required": "any"}.get(choice, choice)}
    function = choice.get("function") if isinstance(choice, Mapping) else None
    return {"type": "tool", "name": function["name"]} if isinstance(function, Mapping) else choice


def call(target: Target, _model: str, made: Mapping[str, Any]) -> HttpCall:
    """To `v1/messages` under the base address."""
    return target.call("/v1/messages", made)


def answer(value: Any) -> ChatAnswer:
    """Texts and calls, in order; what the model thought before is metadata."""
    blocks = value["content"]
    reason = str(value.get("stop_reason") or "")
    return block_answer(
        [str(block["text"]) for block in blocks if block.get("type") == "text"],
        [
            called(block.get("id"), block["name"], block.get("input"))
            for block in blocks
            if block.get("type") == "tool_use"
        ],
        [str(block.get("thinking") or "") for block in blocks if block.get("type") == "thinking"],
        finish=FINISH.get(reason, reason),
        model=str(value.get("model") or ""),
        usage=value.get("usage") or {},
        counts=COUNTS,
    )


MESSAGES: Final = Dialect(name="message", body=body, call=call, answer=answer)
