"""Amazon Bedrock's Converse: one form for the models of every vendor there."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

import orjson

from promptship.adapters.providers.dialects.anthropic import FINISH
from promptship.adapters.providers.dialects.call import Dialect, HttpCall, Target, count, total, unsupported
from promptship.adapters.providers.dialects.messages import (
    Message,
    as_list,
    calls_of,
    image_of,
    parts_of,
    split_system,
    text_of,
    tool_of,
)
from promptship.chat import ChatAnswer, ChatRequest

SERVICE: Final = "bedrock"
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
    """Messages without the system's; results of tools become turns of the user, neighbours in one."""
    made: list[dict[str, Any]] = []
    for message in messages:
        is_result = message.get("role") == "tool"
        blocks = (
            [_result(message)] if is_result else [_block(part) for part in parts_of(message.get("content"))]
        )
        blocks += [
            {"toolUse": {"toolUseId": id_, "name": name, "input": arguments}}
            for id_, name, arguments in calls_of(message)
        ]
        if is_result and made and all("toolResult" in block for block in made[-1]["content"]):
            made[-1]["content"] += blocks
        else:
            role = "assistant" if message.get("role") == "assistant" else "user"
            made.append({"role": role, "content": blocks})
    return made


def _result(message: Message) -> dict[str, Any]:
    content = [{"text": text_of(message.get("content"))}]
    return {"toolResult": {"toolUseId": str(message.get("tool_call_id") or ""), "content": content}}


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
    texts = [str(block["text"]) for block in blocks if "text" in block]
    calls = tuple(_call(block["toolUse"]) for block in blocks if "toolUse" in block)
    thoughts = [
        str((block["reasoningContent"].get("reasoningText") or {}).get("text") or "")
        for block in blocks
        if "reasoningContent" in block
    ]
    reason = str(value.get("stopReason") or "")
    finish = FINISH.get(reason, reason)
    usage = value.get("usage") or {}
    cached = count(usage.get("cacheReadInputTokens"))
    written = count(usage.get("cacheWriteInputTokens"))
    metadata: dict[str, Any] = {"reasoning": "\n".join(thoughts)} if thoughts else {}
    if written:
        metadata["tokens_cache_written"] = written
    return ChatAnswer(
        text="\n\n".join(texts),
        tool_calls=calls,
        finish_reason=finish,
        tokens_in=total(count(usage.get("inputTokens")), cached, written),
        tokens_out=count(usage.get("outputTokens")),
        tokens_cached=cached,
        flagged={"input": False, "output": finish == "content_filter"},
        metadata=metadata,
    )


def _call(used: Mapping[str, Any]) -> dict[str, Any]:
    arguments = orjson.dumps(used.get("input") or {}).decode()
    return {
        "id": used.get("toolUseId"), "type": "function", "function": {"name": used["name"], "arguments": arguments}
    }  # fmt: skip


CONVERSE: Final = Dialect(name="conversation", body=body, call=call, answer=answer)
