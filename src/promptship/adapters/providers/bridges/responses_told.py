"""A chat completion, whole, as a response of OpenAI's. The pieces are also those of its stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from promptship.adapters.providers.bridges.content import Fields

_ENDS: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
_ECHOED: Final[Mapping[str, Any]] = {
    "instructions": None, "max_output_tokens": None, "metadata": {}, "parallel_tool_calls": True, "reasoning": None,
    "temperature": None, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": None, "user": None,
}  # fmt: skip
"""Fields of a request that its response says again, and what it says where there were none."""


def response(answer: Mapping[str, Any], asked: Mapping[str, Any]) -> Fields:
    """The response to a request `asked`. Raises KeyError and the like: it is no chat completion."""
    choice = answer["choices"][0]
    message, id_ = choice["message"], str(answer.get("id") or "")
    output: list[Fields] = []
    thought = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thought, str):
        output.append(reasoning_item(id_, len(output), thought))
    text, refusal = message.get("content"), message.get("refusal")
    if isinstance(text, list):
        text = "".join(str(part.get("text") or "") for part in text)
    calls = message.get("tool_calls") or ()
    if text or refusal or not calls:
        parts = [text_part(str(text or ""))] if text or not refusal else []
        parts += [refusal_part(str(refusal))] if refusal else []
        output.append(message_item(id_, len(output), parts))
    for call in calls:
        output.append(call_item(id_, len(output), call))
    made = started(id_, answer.get("created"), str(answer.get("model") or ""), asked)
    return ended(made, output, str(choice.get("finish_reason") or ""), answer.get("usage"))


def started(id_: str, created: object, model: str, asked: Mapping[str, Any]) -> Fields:
    """A response in progress."""
    echoed = {name: asked[name] if asked.get(name) is not None else value for name, value in _ECHOED.items()}
    return {
        "id": f"resp_{id_}", "object": "response", "created_at": created or 0, "status": "in_progress", "error": None,
        "incomplete_details": None, "model": model, "output": [], "previous_response_id": None, "store": False,
        "truncation": "disabled", "usage": None, **echoed,
    }  # fmt: skip


def ended(made: Fields, output: list[Fields], finish: str, usage: Mapping[str, Any] | None) -> Fields:
    """The response at its end."""
    reason = _ENDS.get(finish)
    details = {"reason": reason} if reason else None
    status = "incomplete" if reason else "completed"
    return {
        **made, "status": status, "incomplete_details": details, "output": output, "usage": usage_of(usage)
    }  # fmt: skip


def usage_of(usage: Mapping[str, Any] | None) -> Fields | None:
    """Tokens in the words of responses; None: the provider did not say."""
    if not usage or usage.get("prompt_tokens") is None or usage.get("completion_tokens") is None:
        return None
    into, out = usage["prompt_tokens"], usage["completion_tokens"]
    read = usage.get("prompt_tokens_details") or {}
    thought = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    details: Fields = {"cached_tokens": read.get("cached_tokens") or 0}
    if read.get("cache_write_tokens"):
        details["cache_write_tokens"] = read["cache_write_tokens"]
    return {
        "input_tokens": into, "input_tokens_details": details, "output_tokens": out,
        "output_tokens_details": {"reasoning_tokens": thought}, "total_tokens": into + out,
    }  # fmt: skip


def reasoning_item(id_: str, index: int, thought: str) -> Fields:
    """What the model thought."""
    return {"id": f"rs_{id_}_{index}", "type": "reasoning", "summary": [thought_part(thought)]}


def message_item(id_: str, index: int, parts: list[Fields]) -> Fields:
    """What the model said."""
    return {
        "id": f"msg_{id_}_{index}", "type": "message", "role": "assistant", "status": "completed", "content": parts
    }  # fmt: skip


def call_item(id_: str, index: int, call: Mapping[str, Any]) -> Fields:
    """What the model called."""
    function = call["function"]
    made: Fields = {
        "id": f"fc_{id_}_{index}", "type": "function_call", "status": "completed", "name": function["name"],
        "call_id": str(call.get("id") or f"call_{index}"), "arguments": str(function.get("arguments") or ""),
    }  # fmt: skip
    return {**made, "extra_content": call["extra_content"]} if call.get("extra_content") else made


def text_part(text: str) -> Fields:
    """A part of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def refusal_part(text: str) -> Fields:
    """A part of a message."""
    return {"type": "refusal", "refusal": text}


def thought_part(text: str) -> Fields:
    """A part of a thought."""
    return {"type": "summary_text", "text": text}
