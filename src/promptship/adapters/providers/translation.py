"""A chat completion in the words of a provider that has its own: Anthropic, Gemini, Bedrock. Requests; answers in translation_answers.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from promptship.adapters.providers.bridges.content import objects
from promptship.adapters.providers.bridges.messages_told import error_body as message_error
from promptship.adapters.providers.dialects.bedrock import call_stream
from promptship.adapters.providers.dialects.call import HttpCall
from promptship.adapters.providers.targets import Spoken
from promptship.adapters.providers.translation_answers import MadeAnswer, Translator, error_body
from promptship.adapters.providers.translation_streams import AnthropicStream, BedrockStream, GeminiStream
from promptship.adapters.providers.untranslatable import Untranslatable
from promptship.chat import ChatRequest
from promptship.errors import ConfigError
from promptship.routing.api import Api

_OPENAIS_OWN: Final = (
    "model", "messages", "tools", "response_format", "stream", "stream_options", "user", "safety_identifier", "store",
    "metadata", "prompt_cache_key", "prompt_cache_retention", "parallel_tool_calls",
)  # fmt: skip
"""Fields that are told otherwise, or are about OpenAI's own keeping of books: they never change the answer."""
_UNKNOWN: Final = {
    "reasoning_effort": "this provider has other words for it: write them into the prompt's parameters (thinking of Anthropic,"
    " generationConfig.thinkingConfig of Gemini)",
    "verbosity": "this provider cannot be told how much to say: write it into the prompt",
    "audio": "this provider's answers are texts",
    "prediction": "this provider takes no predicted answer",
    "web_search_options": "this provider searches otherwise",
    "functions": "write tools instead",
}
_USUAL_TIERS: Final = frozenset({None, "auto", "default"})


def asked(spoken: Spoken, given: Mapping[str, Any]) -> tuple[HttpCall, Translator]:
    """The provider's call for a chat completion, and what translates its answer back.

    Raises:
        Untranslatable: several answers, a form of answer, a tool call or a field that the provider cannot be asked for.
    """
    fields = dict(given)
    if fields.pop("n", None) not in (None, 1):
        raise Untranslatable("n", "this provider gives one answer at a time")
    for name, why in _UNKNOWN.items():
        if fields.pop(name, None):
            raise Untranslatable(name, why)
    if fields.pop("service_tier", None) not in _USUAL_TIERS:
        raise Untranslatable("service_tier", "this provider has no such tiers")
    stream = bool(fields.get("stream"))
    try:
        request = _request(fields)
        made = spoken.dialect.body(request)
    except ConfigError as error:
        first = error.problems[0]
        told = [one for one in (first.expected, first.advice) if one]
        raise Untranslatable(first.key, "; ".join(told)) from None
    except (TypeError, AttributeError, KeyError, ValueError):
        raise Untranslatable(
            "messages", "messages, tools or tool_choice are not in the form of chat completions"
        ) from None
    options = fields.get("stream_options")
    tells_usage = isinstance(options, dict) and bool(options.get("include_usage"))
    if spoken.kind == "anthropic":
        _for_anthropic(made, fields, stream=stream)
    elif fields.get("parallel_tool_calls") is False and made.get("tools"):
        raise Untranslatable(
            "parallel_tool_calls", "this provider decides itself how many tools a turn calls"
        )
    call = _call(spoken, request.model, made, stream=stream)
    making = _STREAMS[spoken.kind]
    return call, Translator(spoken.dialect.answer, lambda: making(request.model, tells_usage=tells_usage))


_STREAMS: Final[Mapping[str, type[AnthropicStream | GeminiStream | BedrockStream]]] = {
    "anthropic": AnthropicStream,
    "gemini": GeminiStream,
    "bedrock": BedrockStream,
}
TRANSLATED: Final = frozenset(_STREAMS)
"""Kinds of provider with words of their own."""


def refused(error: Untranslatable, api: Api = "chat") -> MadeAnswer:
    """The 400 for it, in the API's shape."""
    kind, code = "invalid_request_error", "unsupported_by_provider"
    if api == "messages":
        told = {"message": str(error), "param": error.field or None, "code": code}
        return MadeAnswer(400, message_error(400, told))
    return MadeAnswer(400, error_body(str(error), kind, code, error.field or None))


def _call(spoken: Spoken, model: str, made: Mapping[str, Any], *, stream: bool) -> HttpCall:
    if stream and spoken.kind == "bedrock":
        return call_stream(spoken.target, model, made)
    call = spoken.dialect.call(spoken.target, model, made)
    if stream and spoken.kind == "gemini":
        return replace(call, url=call.url.replace(":generateContent", ":streamGenerateContent?alt=sse"))
    return call


def _request(fields: dict[str, Any]) -> ChatRequest:
    for index, message in enumerate(objects(fields["messages"], "messages")):
        if not isinstance(message.get("content"), str | list | None):
            raise Untranslatable(f"messages[{index}].content", "must be a text or a list of parts")
    return ChatRequest(
        model=str(fields["model"]),
        messages=tuple(objects(fields["messages"], "messages")),
        parameters={name: value for name, value in fields.items() if name not in _OPENAIS_OWN},
        tools=tuple(objects(fields.get("tools"), "tools")),
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
