"""Amazon Bedrock's Converse: one form for the models of every vendor there."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from promptship.adapters.providers.dialects.anthropic import FINISH
from promptship.adapters.providers.dialects.call import Dialect, HttpCall, Target, unsupported
from promptship.adapters.providers.dialects.messages import (
    Message,
    as_list,
    block_answer,
    called,
    image_of,
    split_system,
    tool_of,
    turns_of,
)
from promptship.chat import ChatAnswer, ChatRequest

SERVICE: Final = "bedrock"
COUNTS: Final = ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens", "outputTokens")
"""Tokens that were read fresh, read from the cache, written to it, and said."""
_INFERENCE: Final = {
    "max_tokens": "maxTokens", "max_completion_tokens": "maxTokens", "temperature": "temperature", "top_p": "topP",
    "stop": "stopSequences",
}  # fmt: skip
_OWN: Final = frozenset(
    {
        "additionalModelRequestFields", "additionalModelResponseFieldPaths", "guardrailConfig", "inferenceConfig",
        "performanceConfig", "promptVariables", "requestMetadata", "serviceTier", "toolConfig",
    }
)  # fmt: skip


def body(request: ChatRequest) -> dict[str, Any]:
    """The request in Bedrock's words; parameters it does not know go to the model as they are."""
    if request.response_format is not None and request.response_format.get("type") != "text":
        advice = "ask for JSON in the prompt and assert it, or force a tool"
        raise unsupported(
            "response_format", "given", "expected none: Converse has no response formats", advice
        )
    parameters = dict(request.parameters)
    made = {name: parameters.pop(name) for name in _OWN & set(parameters)}
    inference: dict[str, Any] = dict(made.get("inferenceConfig") or {})
    for name, renamed in _INFERENCE.items():
        if name in parameters:
            value = parameters.pop(name)
            inference[renamed] = as_list(value) if name == "stop" else value
    choice = parameters.pop("tool_choice", None)
    system, messages = split_system(request.messages)
    made["messages"] = turns(messages)
    if system:
        made["system"] = [{"text": text} for text in system]
    if inference:
        made["inferenceConfig"] = inference
    if request.tools:
        config: dict[str, Any] = {"tools": [tool(one) for one in request.tools]}
        made["toolConfig"] = {**config, "toolChoice": tool_choice(choice)} if choice is not None else config
    if parameters:
        made["additionalModelRequestFields"] = {
            **parameters, **(made.get("additionalModelRequestFields") or {})
        }  # fmt: skip
    return made


def turns(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Messages without the system's, in Bedrock's words."""
    return turns_of(messages, block=_block, result=_result, use=_use)


def _use(id_: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": id_, "name": name, "input": arguments}}


def _result(id_: str, text: str) -> dict[str, Any]:
    return {"toolResult": {"toolUseId": id_, "content": [{"text": text}]}}


def _block(part: Mapping[str, Any]) -> dict[str, Any]:
    image = image_of(part)
    if image is None:
        return {"text": part["text"]} if part.get("type") == "text" else dict(part)
    media, data = image
    if not media:
        raise unsupported(
            "messages[].image_url", "an address", "expected a data URI: Bedrock fetches no images"
        )
    data = base64.b64encode(base64.b64decode(data)).decode()
    return {"image": {"format": media.rpartition("/")[2], "source": {"bytes": data}}}


def tool(one: Mapping[str, Any]) -> dict[str, Any]:
    """A tool in OpenAI's words in Bedrock's; any other stays."""
    found = tool_of(one)
    if found is None:
        return dict(one)
    name, description, schema = found
    spec: dict[str, Any] = {"name": name, "inputSchema": {"json": schema}}
    return {"toolSpec": {**spec, "description": description} if description else spec}


def tool_choice(choice: Any) -> Any:
    """`auto`, `required` or a function's name in Bedrock's words."""
    if isinstance(choice, str):
        return {{"required": "any"}.get(choice, choice): {}}
    function = choice.get("function") if isinstance(choice, Mapping) else None
    return {"tool": {"name": function["name"]}} if isinstance(function, Mapping) else choice


def call(target: Target, model: str, made: Mapping[str, Any]) -> HttpCall:
    """To the model's `converse`."""
    return target.call(f"/model/{quote(model, safe=':')}/converse", made)


def call_stream(target: Target, model: str, made: Mapping[str, Any]) -> HttpCall:
    """To the model's `converse-stream`."""
    return target.call(f"/model/{quote(model, safe=':')}/converse-stream", made)


def answer(value: Any) -> ChatAnswer:
    """Texts and calls of the message."""
    blocks = value["output"]["message"]["content"]
    reason = str(value.get("stopReason") or "")
    used = [block["toolUse"] for block in blocks if "toolUse" in block]
    return block_answer(
        [str(block["text"]) for block in blocks if "text" in block],
        [called(one.get("toolUseId"), one["name"], one.get("input")) for one in used],
        [
            str((block["reasoningContent"].get("reasoningText") or {}).get("text") or "")
            for block in blocks
            if "reasoningContent" in block
        ],
        finish=FINISH.get(reason, reason),
        model="",
        usage=value.get("usage") or {},
        counts=COUNTS,
    )


CONVERSE: Final = Dialect(name="conversation", body=body, call=call, answer=answer)
