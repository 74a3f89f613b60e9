"""A chat completion in the words of a provider that has its own: Anthropic, Gemini. Requests; answers in translation_answers.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import orjson

from promptship.adapters.providers.dialects.call import HttpCall
from promptship.adapters.providers.targets import Spoken
from promptship.adapters.providers.translation_answers import MadeAnswer, Translator, error_body
from promptship.adapters.providers.translation_streams import AnthropicStream, GeminiStream
from promptship.chat import ChatRequest
from promptship.errors import ConfigError

_OPENAIS_OWN: Final = (
    "model", "messages", "tools", "response_format", "stream", "stream_options", "user", "safety_identifier", "store",
    "metadata", "prompt_cache_key", "parallel_tool_calls",
)  # fmt: skip
"""Fields that are told otherwise, or are about OpenAI's own keeping of books: they never change the answer."""


class Untranslatable(Exception):
    """A call that the provider has no words for; the text says which part."""


def asked(spoken: Spoken, body: bytes) -> tuple[HttpCall, Translator]:
    """The provider's call for a chat completion, and what translates its answer back.

    Raises:
        Untranslatable: several answers, a form of answer or a tool call that the provider cannot be asked for.
    """
    fields: dict[str, Any] = orjson.loads(body)
    if fields.pop("n", None) not in (None, 1):
        raise Untranslatable("n: this provider gives one answer at a time")
    stream = bool(fields.get("stream"))
    try:
        request = _request(fields)
        made = spoken.dialect.body(request)
    except ConfigError as error:
        raise Untranslatable("; ".join(f"{one.key}: {one.expected}" for one in error.problems)) from None
    except (TypeError, AttributeError, KeyError, ValueError):
        raise Untranslatable(
            "messages, tools or tool_choice are not in the form of chat completions"
        ) from None
    options = fields.get("stream_options")
    tells_usage = isinstance(options, dict) and bool(options.get("include_usage"))
    is_gemini = spoken.kind == "gemini"
    if not is_gemini:
        _for_anthropic(made, fields, stream=stream)
    call = spoken.dialect.call(spoken.target, request.model, made)
    if is_gemini and stream:
        call = replace(call, url=call.url.replace(":generateContent", ":streamGenerateContent?alt=sse"))
    making = GeminiStream if is_gemini else AnthropicStream
    return call, Translator(spoken.dialect.answer, lambda: making(request.model, tells_usage=tells_usage))


def refused(error: Untranslatable) -> MadeAnswer:
    """The 400 for it, in OpenAI's shape."""
    text = str(error)
    return MadeAnswer(400, error_body(text, "invalid_request_error", "unsupported_by_provider"))


def _request(fields: dict[str, Any]) -> ChatRequest:
    return ChatRequest(
        model=str(fields["model"]),
        messages=tuple(fields["messages"]),
        parameters={name: value for name, value in fields.items() if name not in _OPENAIS_OWN},
        tools=tuple(fields.get("tools") or ()),
        response_format=fields.get("response_format"),
    )


def _for_anthropic(made: dict[str, Any], fields: dict[str, Any], *, stream: bool) -> None:
    if stream:
        made["stream"] = True
    user = fields.get("user") or fields.get("safety_identifier")
    if user:
        made["metadata"] = {"user_id": user}
    if fields.get("parallel_tool_calls") is False and made.get("tools"):
        made["tool_choice"] = {
            **(made.get("tool_choice") or {"type": "auto"}),
            "disable_parallel_tool_use": True,
        }
