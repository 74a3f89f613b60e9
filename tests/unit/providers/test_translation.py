"""A chat completion asked of Anthropic and of Gemini: what they are asked, and what their answers become."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.adapters.providers.targets import Spoken, Targets
from promptship.adapters.providers.translation import asked, refused
from promptship.adapters.providers.translation_streams import AnthropicStream, BedrockStream, GeminiStream
from promptship.adapters.providers.untranslatable import Untranslatable
from promptship.gateway.reading_chat import ChatReader, read_completion
from promptship.settings import ProviderSettings
from tests.support.bedrock_frames import CONVERSED_EVENTS, USED_EVENTS, frame
from tests.support.provider_answers import GENERATED, GENERATED_EVENTS, MESSAGE, MESSAGE_EVENTS, sse

TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}
CHAT: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}],
    "temperature": 0.5,
    "max_tokens": 9,
    "stop": "END",
    "user": "u-1",
    "tools": [TOOL],
    "stream_options": {"include_usage": True},
}


def spoken(kind: str) -> Spoken:
    region = {"region": "eu-1"} if kind == "bedrock" else {}
    given = ProviderSettings.model_validate(
        {"kind": kind, "base_url": "https://h.example", "api_key_env": "KEY"} | region
    )
    return Targets({"p": given}, {}, {"KEY": "k"}).of("m")


def test_anthropic_is_asked_in_its_words() -> None:
    call, _ = asked(spoken("anthropic"), CHAT | {"stream": True, "parallel_tool_calls": False})
    assert call.url == "https://h.example/v1/messages"
    assert orjson.loads(call.body) == {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "system": [{"type": "text", "text": "Be kind."}],
        "stop_sequences": ["END"],
        "tools": [{"name": "find", "input_schema": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "temperature": 0.5,
        "stream": True,
        "metadata": {"user_id": "u-1"},
    }


@pytest.mark.parametrize(
    ("stream", "verb"), [(False, "generateContent"), (True, "streamGenerateContent?alt=sse")]
)
def test_gemini_is_asked_in_its_words(stream: bool, verb: str) -> None:
    call, _ = asked(spoken("gemini"), CHAT | {"stream": stream})
    assert call.url == f"https://h.example/v1beta/models/m:{verb}"
    body = orjson.loads(call.body)
    assert body["contents"] == [{"role": "user", "parts": [{"text": "hi"}]}]
    assert body["generationConfig"] == {"temperature": 0.5, "maxOutputTokens": 9, "stopSequences": ["END"]}
    assert set(body) == {"contents", "systemInstruction", "generationConfig", "tools"}


@pytest.mark.parametrize(("stream", "verb"), [(False, "converse"), (True, "converse-stream")])
def test_bedrock_is_asked_in_its_words(stream: bool, verb: str) -> None:
    call, _ = asked(spoken("bedrock"), CHAT | {"stream": stream})
    assert call.url == f"https://h.example/model/m/{verb}"
    body = orjson.loads(call.body)
    assert body["messages"] == [{"role": "user", "content": [{"text": "hi"}]}]
    assert body["inferenceConfig"] == {"temperature": 0.5, "maxTokens": 9, "stopSequences": ["END"]}


@pytest.mark.parametrize("kind", ["anthropic", "gemini", "bedrock"])
@pytest.mark.parametrize("field", ["reasoning_effort", "verbosity", "service_tier", "audio"])
def test_what_only_openai_can_be_told_is_a_400_that_names_it(kind: str, field: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        asked(spoken(kind), CHAT | {field: "high"})
    assert caught.value.field == field


SIGNED = {**GENERATED["candidates"][0], "content": {"parts": [
    {"functionCall": {"name": "find", "args": {"a": 1}}, "thoughtSignature": "c2ln"}
]}}  # fmt: skip


def test_googles_signature_of_a_thought_goes_there_and_back() -> None:
    _, translator = asked(spoken("gemini"), CHAT)
    made = orjson.loads(translator.whole(200, orjson.dumps({**GENERATED, "candidates": [SIGNED]})))
    said = made["choices"][0]["message"]
    assert said["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "c2ln"}}
    stream = GeminiStream("m", tells_usage=False)
    told = stream.feed(b"data: " + orjson.dumps({**GENERATED, "candidates": [SIGNED]}) + b"\n\n")
    assert b'"extra_content":{"google":{"thought_signature":"c2ln"}}' in told
    result = {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "found"}
    call, _ = asked(spoken("gemini"), CHAT | {"messages": [*CHAT["messages"], said, result]})
    _, model, user = orjson.loads(call.body)["contents"]
    assert model["parts"] == SIGNED["content"]["parts"]
    assert user["parts"] == [{"functionResponse": {"name": "find", "response": {"result": "found"}}}]


@settings(max_examples=30)
@given(st.booleans(), st.lists(st.integers(1, 300), max_size=8))
def test_bedrocks_frames_mean_the_same_wherever_they_are_cut(uses_tool: bool, cuts: list[int]) -> None:
    stream, reader = BedrockStream("m", tells_usage=True), ChatReader()
    raw = b"".join(USED_EVENTS if uses_tool else CONVERSED_EVENTS)
    made = b"".join([*(stream.feed(one) for one in pieces(raw, cuts)), stream.close()])
    reader.feed(made)
    assert reader.close() == ""
    assert (reader.reading().usage.tokens_in, reader.reading().usage.tokens_out) == (8, 3)
    chunks = [orjson.loads(line[6:]) for line in made.splitlines() if line.startswith(b"data: {")]
    deltas = [one["choices"][0]["delta"] for one in chunks if one["choices"]]
    assert "".join(one.get("content") or "" for one in deltas) == ("" if uses_tool else "hello")
    calls = [call for delta in deltas for call in delta.get("tool_calls") or ()]
    assert "".join(call["function"]["arguments"] for call in calls) == ('{"a":1}' if uses_tool else "")
    assert chunks[-2]["choices"][0]["finish_reason"] == ("tool_calls" if uses_tool else "stop")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (frame("throttlingException", {"message": "slow"}, message_type="exception"), b'"slow"'),
        (CONVERSED_EVENTS[1][:-1] + b"x", b'"malformed"'),
        (b"<html>no frames</html>", b'"malformed"'),
        (frame("contentBlockDelta", {}), b'"malformed"'),
    ],
)
def test_what_goes_wrong_in_frames_is_told_once(raw: bytes, said: bytes) -> None:
    stream, reader = BedrockStream("m", tells_usage=True), ChatReader()
    made = stream.feed(CONVERSED_EVENTS[0] + raw) + stream.feed(CONVERSED_EVENTS[1]) + stream.close()
    assert made.count(b'"error":') == 1
    assert said in made
    reader.feed(made)
    assert reader.close() == "upstream_error"


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"n": [1]},
        {"tools": 3},
        {"response_format": {"type": "json_object"}},
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "["}}]}]},
        {"messages": ["hi"]},
        {"messages": [{"role": "user", "content": 3}]},
        {"tools": [3]},
    ],
)
def test_what_cannot_be_asked_is_a_400_that_says_what(fields: dict[str, Any]) -> None:
    with pytest.raises(Untranslatable) as caught:
        asked(spoken("anthropic"), CHAT | fields)
    answer = refused(caught.value)
    error = orjson.loads(answer.body)["error"]
    assert (answer.status, error["type"]) == (400, "invalid_request_error")
    words = (*fields, "tool_calls", "response_format")
    assert any(word in error["message"] for word in words)
    assert error["param"].partition("[")[0] in words


USED = {"type": "tool_use", "id": "t-1", "name": "find", "input": {"a": 1}}
CALLED = {"functionCall": {"name": "find", "args": {"a": 1}}}


@pytest.mark.parametrize(
    ("kind", "value", "text", "finish", "tokens"),
    [
        ("anthropic", MESSAGE, "hello", "stop", (8, 3)),
        ("anthropic", MESSAGE | {"stop_reason": "max_tokens"}, "hello", "length", (8, 3)),
        ("anthropic", MESSAGE | {"stop_reason": "pause_turn"}, "hello", "stop", (8, 3)),
        ("anthropic", MESSAGE | {"stop_reason": "refusal", "content": []}, "", "content_filter", (8, 3)),
        ("anthropic", MESSAGE | {"stop_reason": "tool_use", "content": [USED]}, None, "tool_calls", (8, 3)),
        ("gemini", GENERATED, "hello", "stop", (6, 2)),
        (
            "gemini",
            GENERATED | {"candidates": [{"content": {"parts": [CALLED]}, "finishReason": "STOP"}]},
            None,
            "tool_calls",
            (6, 2),
        ),
        ("gemini", GENERATED | {"candidates": [{"finishReason": "SAFETY"}]}, "", "content_filter", (6, 2)),
    ],
)
def test_whole_answers(
    kind: str, value: dict[str, Any], text: str | None, finish: str, tokens: tuple[int, int]
) -> None:
    _, translator = asked(spoken(kind), CHAT)
    made = translator.whole(200, orjson.dumps(value))
    answer = orjson.loads(made)
    choice = answer["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == (text, finish)
    if finish == "tool_calls":
        (call,) = choice["message"]["tool_calls"]
        assert call["id"]
        assert call["function"] == {"name": "find", "arguments": '{"a":1}'}
    reading = read_completion(made)
    assert reading is not None
    assert (reading.usage.tokens_in, reading.usage.tokens_out) == tokens
    assert reading.refusal == (True if finish == "content_filter" else None if text is None else False)


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'{"error": 3}', b'{"content": 3}'])
def test_what_is_no_answer_stays_as_it_is(content: bytes) -> None:
    _, translator = asked(spoken("anthropic"), CHAT)
    assert translator.whole(200, content) == content
    assert translator.whole(500, content) == content


def test_errors_get_openais_shape() -> None:
    _, translator = asked(spoken("anthropic"), CHAT)
    said = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    assert orjson.loads(translator.whole(529, orjson.dumps(said)))["error"] == {
        "message": "busy",
        "type": "overloaded_error",
        "param": None,
        "code": "overloaded_error",
    }


def pieces(raw: bytes, cuts: list[int]) -> list[bytes]:
    found = []
    for cut in cuts:
        found.append(raw[:cut])
        raw = raw[cut:]
    return [*found, raw]


TOOLS = sse(
    {"type": "message_start", "message": MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_start", "index": 1, "content_block": {**USED, "input": {}}},
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "input_json_delta", "partial_json": '{"a"'},
    },
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ":1}"}},
    {"type": "content_block_start", "index": 2, "content_block": {**USED, "id": "t-2", "input": {}}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}},
    {"type": "message_stop"},
)


@settings(max_examples=40)
@given(st.sampled_from(["anthropic", "gemini", "tools"]), st.lists(st.integers(1, 300), max_size=8))
def test_a_stream_means_the_same_wherever_it_is_cut(which: str, cuts: list[int]) -> None:
    events = {"anthropic": MESSAGE_EVENTS, "gemini": GENERATED_EVENTS, "tools": TOOLS}[which]
    making = GeminiStream if which == "gemini" else AnthropicStream
    stream, reader = making("m", tells_usage=True), ChatReader()
    made = b"".join([*(stream.feed(one) for one in pieces(b"".join(events), cuts)), stream.close()])
    reader.feed(made)
    assert reader.close() == ""
    assert (reader.reading().usage.tokens_in, reader.reading().usage.tokens_out) == (
        (6, 2) if which == "gemini" else (8, 3)
    )
    chunks = [orjson.loads(line[6:]) for line in made.splitlines() if line.startswith(b"data: {")]
    deltas = [one["choices"][0]["delta"] for one in chunks if one["choices"]]
    assert deltas[0] == {"role": "assistant", "content": ""}
    if which != "tools":
        assert "".join(one.get("content") or "" for one in deltas) == "hello"
        return
    calls: dict[int, str] = {}
    for call in (one for delta in deltas for one in delta.get("tool_calls") or ()):
        calls[call["index"]] = calls.get(call["index"], "") + call["function"]["arguments"]
    assert calls == {0: '{"a":1}', 1: "{}"}
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("events", "trouble"),
    [
        (MESSAGE_EVENTS[:4], "cut_off"),
        ([*MESSAGE_EVENTS[:4], b"data: {\n\n", *MESSAGE_EVENTS[4:]], "upstream_error"),
        (
            sse({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}),
            "upstream_error",
        ),
    ],
)
def test_a_stream_that_goes_wrong_is_seen_to(events: list[bytes], trouble: str) -> None:
    stream, reader = AnthropicStream("m", tells_usage=False), ChatReader()
    for one in events:
        reader.feed(stream.feed(one))
    reader.feed(stream.close())
    assert reader.close() == trouble


def test_a_line_without_end_is_not_kept() -> None:
    stream = AnthropicStream("m", tells_usage=False)
    said = [stream.feed(b"x" * 3_000_000) for _ in range(4)]
    assert any(b"malformed" in one for one in said)
    assert len(stream._rest) <= 8_000_000
