"""A chat completion, whole, as a message of Anthropic's. The pieces are also those of its stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from promptship.adapters.providers.bridges.content import Fields

STOPS: Final = {"length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
"""Ends of an answer in Anthropic's words; any other is the end of its turn."""
_KINDS: Final = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 503: "overloaded_error",
    504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip
_OURS: Final = 500


def message(answer: Mapping[str, Any]) -> Fields:
    """The message. Raises KeyError and the like: it is no chat completion, or calls a tool with what is no JSON."""
    choice = answer["choices"][0]
    said = choice["message"]
    content: list[Fields] = []
    thought = said.get("reasoning_content") or said.get("reasoning")
    if isinstance(thought, str):
        content.append(thinking_block(thought))
    text, refusal = said.get("content"), said.get("refusal")
    if isinstance(text, list):
        text = "".join(str(part.get("text") or "") for part in text)
    if text or refusal:
        content.append(text_block(str(text or refusal)))
    content += [
        tool_block(call, orjson.loads(call["function"].get("arguments") or "{}"))
        for call in said.get("tool_calls") or ()
    ]
    stop = "refusal" if refusal else stop_of(str(choice.get("finish_reason") or ""))
    return {
        **started(str(answer.get("id") or ""), str(answer.get("model") or "")),
        "content": content,
        "stop_reason": stop,
        "usage": usage_of(answer.get("usage")),
    }


def started(id_: str, model: str) -> Fields:
    """A message that has said nothing yet."""
    return {
        "id": f"msg_{id_}", "type": "message", "role": "assistant", "model": model, "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": usage_of(None),
    }  # fmt: skip


def stop_of(finish: str) -> str:
    """Why it ended. A stop sequence that was met cannot be told from the end of the turn."""
    return STOPS.get(finish, "end_turn")


def usage_of(usage: Mapping[str, Any] | None) -> Fields:
    """Tokens in Anthropic's words, which count what came from and went to the cache beside the input."""
    told = usage or {}
    details = told.get("prompt_tokens_details") or {}
    cached, written = details.get("cached_tokens") or 0, details.get("cache_write_tokens") or 0
    return {
        "input_tokens": max(0, (told.get("prompt_tokens") or 0) - cached - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": told.get("completion_tokens") or 0,
    }


def error_body(status: int, error: Mapping[str, Any]) -> bytes:
    """An error in Anthropic's shape, with what OpenAI's says besides."""
    kind = _KINDS.get(status, "api_error" if status >= _OURS else "invalid_request_error")
    told = {
        "type": kind, "message": str(error["message"]), "param": error.get("param"), "code": error.get("code")
    }  # fmt: skip
    return orjson.dumps({"type": "error", "error": told})


def text_block(text: str) -> Fields:
    """What was said."""
    return {"type": "text", "text": text}


def thinking_block(thought: str) -> Fields:
    """What was thought; nobody signed it."""
    return {"type": "thinking", "thinking": thought, "signature": ""}


def tool_block(call: Mapping[str, Any], arguments: object) -> Fields:
    """What was called."""
    if not isinstance(arguments, dict):
        raise TypeError("arguments of a tool are no object")
    made: Fields = {
        "type": "tool_use", "id": str(call.get("id") or ""), "name": call["function"]["name"], "input": arguments
    }  # fmt: skip
    return {**made, "extra_content": call["extra_content"]} if call.get("extra_content") else made
