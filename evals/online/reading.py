"""A sample as the evaluation engine sees an answer: messages, text, calls, in the words of chat completions. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import orjson

from promptship.adapters.providers.dialects import CHAT, MESSAGES, RESPONSES
from promptship.chat import ChatAnswer
from promptship.routing.sampling import Sample

ODD: Final = (ValueError, KeyError, IndexError, TypeError, AttributeError)
"""What reading raises where an answer is not what it should be."""
_DIALECTS: Final = {"chat": CHAT, "responses": RESPONSES, "messages": MESSAGES}


def question_of(sample: Sample) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    """What the model was sent: messages, and parameters with its tools. Raises `ODD`."""
    body = orjson.loads(sample.question)
    if sample.api == "responses":
        said = body.pop("input", [])
        messages = [{"role": "user", "content": said}] if isinstance(said, str) else said
        system = body.pop("instructions", "")
    else:
        messages = body.pop("messages")
        system = body.pop("system", "")
    first = [{"role": "system", "content": _text(system)}] if system else []
    return (*first, *(_plain(message) for message in messages)), body


def answer_of(sample: Sample) -> ChatAnswer:
    """What it answered. Raises `ODD`."""
    value = _assembled(sample) if sample.streamed else orjson.loads(sample.answer)
    return _DIALECTS[sample.api].answer(value)


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    """A message whose content is text, where it consists of texts."""
    content = message.get("content")
    is_texts = isinstance(content, list) and all(
        isinstance(part, dict) and isinstance(part.get("text"), str) for part in content
    )
    return {**message, "content": _text(content)} if is_texts else message


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(part.get("text") or "") for part in content)
    return str(content)


def _assembled(sample: Sample) -> dict[str, Any]:
    """The whole answer behind a stream's events."""
    events = _events(sample.answer)
    if sample.api == "responses":
        ends: list[dict[str, Any]] = [one["response"] for one in events if one["type"] in _RESPONSE_ENDS]
        return ends[-1]
    return _message(events) if sample.api == "messages" else _completion(events)


_RESPONSE_ENDS: Final = frozenset({"response.completed", "response.incomplete"})


def _events(stream: str) -> Iterator[dict[str, Any]]:
    for line in stream.split("\n"):
        data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if data and data != "[DONE]":
            yield orjson.loads(data)


def _completion(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    texts: list[str] = []
    refusals: list[str] = []
    calls: dict[int, dict[str, Any]] = {}
    told: dict[str, Any] = {}
    finish = ""
    for chunk in events:
        told |= {name: chunk[name] for name in ("model", "usage", "system_fingerprint") if chunk.get(name)}
        for choice in chunk.get("choices") or ():
            if choice.get("index", 0) != 0:
                continue
            delta = choice.get("delta") or {}
            texts.append(_text(delta.get("content") or ""))
            refusals.append(delta.get("refusal") or "")
            finish = choice.get("finish_reason") or finish
            for piece in delta.get("tool_calls") or ():
                _join(calls.setdefault(piece.get("index", 0), _empty_call()), piece)
    text = "".join(texts)
    message: dict[str, Any] = {"role": "assistant", "content": text or "".join(refusals)}
    if calls:
        message["tool_calls"] = [calls[number] for number in sorted(calls)]
    return {**told, "choices": [{"index": 0, "message": message, "finish_reason": finish}]}


def _empty_call() -> dict[str, Any]:
    return {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}


def _join(call: dict[str, Any], piece: dict[str, Any]) -> None:
    call["id"] = call["id"] or piece.get("id") or ""
    function = piece.get("function") or {}
    call["function"]["name"] += function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""


def _message(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    blocks: dict[int, dict[str, Any]] = {}
    message: dict[str, Any] = {}
    for event in events:
        match event["type"]:
            case "message_start":
                message |= event["message"]
            case "content_block_start":
                blocks[event["index"]] = {**event["content_block"], "json": ""}
            case "content_block_delta":
                _grow(blocks[event["index"]], event["delta"])
            case "message_delta":
                message |= {name: value for name, value in event["delta"].items() if value is not None}
            case _:
                pass
    content = []
    for _, block in sorted(blocks.items()):
        written = block.pop("json")
        content.append({**block, "input": orjson.loads(written)} if written else block)
    return {**message, "content": content}


def _grow(block: dict[str, Any], delta: dict[str, Any]) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] = block.get("text", "") + delta["text"]
        case "thinking_delta":
            block["thinking"] = block.get("thinking", "") + delta["thinking"]
        case "input_json_delta":
            block["json"] += delta["partial_json"]
        case _:
            pass
