"""OpenAI's older completions: one text in, one text out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from promptship.adapters.providers.dialects.call import Dialect, HttpCall, Target, count, unsupported
from promptship.adapters.providers.dialects.openai_chat import filtered
from promptship.chat import ChatAnswer, ChatRequest


def body(request: ChatRequest) -> dict[str, Any]:
    """The messages' texts, one after the other. Raises ConfigError: tools."""
    if request.tools:
        raise unsupported("tools", "given", "expected none", "completions know no tools: use chat")
    texts = [str(message.get("content") or "") for message in request.messages]
    return {**request.parameters, "model": request.model, "prompt": "\n\n".join(texts)}


def call(target: Target, _model: str, made: Mapping[str, Any]) -> HttpCall:
    """To `completions` under the base address."""
    return target.call("/completions", made)


def answer(value: Any) -> ChatAnswer:
    """The first choice."""
    choice = value["choices"][0]
    said = choice["text"]
    if not isinstance(said, str):
        raise TypeError("text is none")
    usage = value.get("usage") or {}
    finish = str(choice.get("finish_reason") or "")
    logprobs = (choice.get("logprobs") or {}).get("token_logprobs") or ()
    return ChatAnswer(
        text=said,
        finish_reason=finish,
        model=str(value.get("model") or ""),
        fingerprint=str(value.get("system_fingerprint") or ""),
        tokens_in=count(usage.get("prompt_tokens")),
        tokens_out=count(usage.get("completion_tokens")),
        tokens_cached=count((usage.get("prompt_tokens_details") or {}).get("cached_tokens")),
        logprobs=tuple(float(one) for one in logprobs if one is not None),
        flagged={"input": False, "output": finish == "content_filter"},
    )


COMPLETIONS: Final = Dialect(name="completion", body=body, call=call, answer=answer, filtered=filtered)
