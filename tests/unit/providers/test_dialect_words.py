"""Corners of the dialects: spans of time, images, tools in others' words, responses, completions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptship.adapters.providers.dialects import (
    AZURE_RESPONSES,
    CHAT,
    COMPLETIONS,
    CONVERSE,
    GEMINI,
    MESSAGES,
    RESPONSES,
    Target,
)
from promptship.adapters.providers.dialects.limits import seconds
from promptship.chat import ChatRequest
from promptship.errors import ConfigError

TARGET = Target(provider="p", base_url="https://h.example/v1")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1s", 1.0), ("6m0s", 360.0), ("20ms", 0.02), ("1h1m1s", 3661.0), ("17", 17.0), ("0.5", 0.5), ("-4", 0.0), ("", None),
        ("soon", None), ("1x", None), ("nan", None), ("inf", None), ("2026-11-22T12:00:30Z", 30.0), ("2026-11-22T11:00:00Z", 0.0),
        ("1795348830", 30.0),
    ],
)  # fmt: skip
def test_spans_of_time(text: str, value: float | None) -> None:
    assert (
        seconds(text, now=NOW) == pytest.approx(value)
        if value is not None
        else seconds(text, now=NOW) is None
    )


@given(st.text(max_size=30))
def test_a_span_is_a_finite_number_or_nothing(text: str) -> None:
    value = seconds(text, now=NOW)
    assert value is None or 0 <= value < float("inf")


def request(**more: Any) -> ChatRequest:
    given: dict[str, Any] = {
        "model": "m",
        "messages": ({"role": "user", "content": [{"type": "text", "text": "see"}, IMAGE]},),
        **more,
    }
    return ChatRequest(**given)


def test_images() -> None:
    asked = request()
    assert CHAT.body(asked)["messages"] == asked.messages
    (anthropic,) = MESSAGES.body(asked)["messages"]
    assert anthropic["content"][1] == {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "aGk="},
    }
    (gemini,) = GEMINI.body(asked)["contents"]
    assert gemini["parts"] == [{"text": "see"}, {"inlineData": {"mimeType": "image/png", "data": "aGk="}}]
    (bedrock,) = CONVERSE.body(asked)["messages"]
    assert bedrock["content"][1] == {"image": {"format": "png", "source": {"bytes": "aGk="}}}


def test_bedrock_fetches_no_images() -> None:
    part = {"type": "image_url", "image_url": "https://h.example/a.png"}
    with pytest.raises(ConfigError, match="data URI"):
        CONVERSE.body(request(messages=({"role": "user", "content": [part]},)))


def test_schemas_of_answers() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    asked = request(response_format=wanted)
    assert CHAT.body(asked)["response_format"] == wanted
    assert RESPONSES.body(asked)["text"] == {
        "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
    }
    assert MESSAGES.body(asked)["output_config"] == {
        "format": {"type": "json_schema", "schema": {"type": "object"}}
    }
    assert GEMINI.body(asked)["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
    }
    with pytest.raises(ConfigError):
        CONVERSE.body(asked)


@pytest.mark.parametrize(
    ("choice", "anthropic", "bedrock", "gemini"),
    [
        ("auto", {"type": "auto"}, {"auto": {}}, {"mode": "AUTO"}),
        ("required", {"type": "any"}, {"any": {}}, {"mode": "ANY"}),
        (
            {"type": "function", "function": {"name": "f"}},
            {"type": "tool", "name": "f"},
            {"tool": {"name": "f"}},
            {"mode": "ANY", "allowedFunctionNames": ["f"]},
        ),
    ],
)
def test_choices_of_tools(choice: Any, anthropic: Any, bedrock: Any, gemini: Any) -> None:
    asked = request(
        parameters={"tool_choice": choice},
        tools=({"type": "function", "function": {"name": "f"}},),
        messages=(),
    )
    assert MESSAGES.body(asked)["tool_choice"] == anthropic
    assert CONVERSE.body(asked)["toolConfig"]["toolChoice"] == bedrock
    assert GEMINI.body(asked)["toolConfig"] == {"functionCallingConfig": gemini}


def test_results_of_several_tools_are_one_turn() -> None:
    results = tuple({"role": "tool", "tool_call_id": name, "content": name} for name in ("a", "b"))
    asked = request(messages=({"role": "user", "content": "x"}, *results, {"role": "user", "content": "y"}))
    assert [len(turn["content"]) for turn in MESSAGES.body(asked)["messages"]] == [1, 2, 1]
    assert [len(turn["content"]) for turn in CONVERSE.body(asked)["messages"]] == [1, 2, 1]


def test_arguments_of_a_call_must_be_an_object() -> None:
    call = {"id": "1", "function": {"name": "f", "arguments": "[1]"}}
    with pytest.raises(ConfigError, match="JSON object"):
        MESSAGES.body(request(messages=({"role": "assistant", "tool_calls": [call]},)))


def test_responses() -> None:
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "hello"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ]
    usage = {"input_tokens": 4, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 1}}
    answer = RESPONSES.answer({"status": "completed", "model": "m", "output": output, "usage": usage})
    assert (answer.text, answer.finish_reason, answer.metadata) == (
        "hello",
        "tool_calls",
        {"reasoning": "hm"},
    )
    assert answer.tool_calls == (
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    )
    assert (answer.tokens_in, answer.tokens_out, answer.tokens_cached) == (4, 2, 1)
    cut = {
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "output": output[1:2],
    }
    assert RESPONSES.answer(cut).finish_reason == "length"
    empty: tuple[dict[str, Any], ...] = ({"output": []}, {"status": "failed", "output": output})
    for nothing in empty:
        with pytest.raises(ValueError):
            RESPONSES.answer(nothing)
    call = AZURE_RESPONSES.request(request(messages=()), TARGET)
    assert call.url == "https://h.example/v1/openai/v1/responses?api-version=preview"


def test_completions() -> None:
    asked = request(messages=({"role": "user", "content": "a"}, {"role": "user", "content": "b"}))
    assert COMPLETIONS.body(asked) == {"model": "m", "prompt": "a\n\nb"}
    value = {"choices": [{"text": "x", "finish_reason": "stop", "logprobs": {"token_logprobs": [None, -1]}}]}
    assert COMPLETIONS.answer(value).logprobs == (-1.0,)
    with pytest.raises(ConfigError, match="tools"):
        COMPLETIONS.body(request(tools=({},)))


def test_a_key_is_never_printed() -> None:
    target = Target(provider="p", base_url="https://h.example", headers=(("authorization", "Bearer s3cret"),))
    assert "s3cret" not in repr(target) + repr(target.call("/x", {}))


def test_a_value_that_json_has_no_form_for_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="JSON can hold"):
        TARGET.call("/x", {"a": {1, 2}})
