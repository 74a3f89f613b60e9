"""OpenAI's chat completions, and everything that is like them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from promptship.adapters.providers.dialects.call import Dialect, HttpCall, Target, count
from promptship.chat import ChatAnswer, ChatRequest

FILTERED_CODES: Final = frozenset({"content_filter", "content_policy_violation", "invalid_prompt"})
"""Of a 400 that means: the prompt was found bad."""
_FINISH: Final = {
    "function_call": "tool_calls",
    "max_tokens": "length",
    "stop_sequence": "stop",
    "end_turn": "stop",
}


def body(request: ChatRequest) -> dict[str, Any]:
    """Parameters as they are, under the request's model and messages."""
    made = {**request.parameters, "model": request.model, "messages": request.messages}
    if request.tools:
        made["tools"] = request.tools
    if request.response_format is not None:
        made["response_format"] = request.response_format
    return made


def call(target: Target, _model: str, made: Mapping[str, Any]) -> HttpCall:
    """To `chat/completions` under the base address, which ends in `/v1` or the like."""
    return target.call("/chat/completions", made)


def answer(value: Any) -> ChatAnswer:
    """The first choice."""
    choice = value["choices"][0]
    message = choice["message"]
    calls = tuple(dict(one) for one in message.get("tool_calls") or ())
    legacy = message.get("function_call")
    if legacy and not calls:
        calls = ({"type": "function", "function": dict(legacy)},)
    said = _text(message)
    if said is None and not calls and not choice.get("finish_reason"):
        # With a reason it is an answer that was paid for and says nothing: filtered, or out of tokens while it was thinking.
        raise ValueError("neither text nor calls")
    usage = value.get("usage") or {}
    finish = str(choice.get("finish_reason") or "")
    refused = isinstance(message.get("refusal"), str) and bool(message["refusal"])
    return ChatAnswer(
        text=said or "",
        tool_calls=calls,
        finish_reason=_FINISH.get(finish, finish),
        model=str(value.get("model") or ""),
        fingerprint=str(value.get("system_fingerprint") or ""),
        tokens_in=count(usage.get("prompt_tokens")),
        tokens_out=count(usage.get("completion_tokens")),
        tokens_cached=count((usage.get("prompt_tokens_details") or {}).get("cached_tokens")),
        cost_usd=_cost(usage),
        logprobs=_logprobs(choice.get("logprobs")),
        flagged={"input": _prompt_flagged(value), "output": refused or finish == "content_filter"},
        metadata=_metadata(message, usage),
    )


def filtered(status: int, value: Any) -> ChatAnswer | None:
    """A prompt that a content filter stopped: no error of the request, but the provider's answer to it."""
    error = value["error"]
    inner = error.get("innererror") or {}
    if status != 400 or not (  # noqa: PLR2004 - Bad Request
        FILTERED_CODES & {str(error.get("code")), str(inner.get("code"))} or "content_filter_result" in inner
    ):
        return None
    return ChatAnswer(
        text=str(error.get("message") or ""),
        finish_reason="content_filter",
        flagged={"input": True, "output": False},
    )


def _text(message: Mapping[str, Any]) -> str | None:
    """The answer's text; a refusal in its own field is the text too. None: there is none."""
    content = message.get("content")
    if isinstance(content, list):  # parts, as some providers send them
        return "".join(str(part.get("text") or "") for part in content if part.get("type") != "thinking")
    if content is None:
        content = message.get("refusal")
    if content is not None and not isinstance(content, str):
        raise TypeError("content is no text")
    return content


def _logprobs(value: Any) -> tuple[float, ...]:
    tokens = (value or {}).get("content") or ()
    return tuple(float(token["logprob"]) for token in tokens)


def _cost(usage: Mapping[str, Any]) -> float | None:
    """Some gateways (OpenRouter) say what the call cost, USD."""
    cost = usage.get("cost")
    if isinstance(cost, bool) or not isinstance(cost, int | float):
        return None
    return float(cost) if cost >= 0 else None


def _prompt_flagged(value: Mapping[str, Any]) -> bool:
    """Azure says of every prompt what its filters found."""
    results = value.get("prompt_filter_results") or ()
    return any(
        bool(found.get("filtered"))
        for result in results
        for found in (result.get("content_filter_results") or {}).values()
        if isinstance(found, Mapping)
    )


def _metadata(message: Mapping[str, Any], usage: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(reasoning, str):
        found["reasoning"] = reasoning
    spent = count((usage.get("completion_tokens_details") or {}).get("reasoning_tokens"))
    if spent:
        found["tokens_reasoning"] = spent
    return found


CHAT: Final = Dialect(name="chat completion", body=body, call=call, answer=answer, filtered=filtered)
