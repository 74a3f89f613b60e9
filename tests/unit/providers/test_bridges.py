"""Responses and messages by way of chat completions: what is asked, what is told, and that a stream tells what a whole answer does."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.adapters.providers.bridges.bridge import RENAMED, Bridge
from promptship.adapters.providers.events import Events
from promptship.adapters.providers.untranslatable import Untranslatable
from promptship.gateway.reading_messages import MessageReader, read_message
from promptship.gateway.reading_responses import ResponseReader, read_response
from promptship.routing.api import Api

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FUNCTION = {
    "type": "function",
    "function": {"name": "find", "description": "finds", "parameters": SCHEMA},
}
CALL = {"id": "c-1", "type": "function", "function": {"name": "find", "arguments": '{"a":1}'}}
EXTRA = {"google": {"thought_signature": "c2ln"}}
PICTURE = "data:image/png;base64,QUJD"
SPOKEN = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "hi"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "this:"},
            {"type": "image_url", "image_url": {"url": PICTURE}},
        ],
    },
    {"role": "assistant", "content": "I look.", "tool_calls": [{**CALL, "extra_content": EXTRA}]},
    {"role": "tool", "tool_call_id": "c-1", "content": "found"},
]
ASKED: dict[str, Any] = {
    "model": "m",
    "messages": SPOKEN,
    "max_completion_tokens": 9,
    "temperature": 0.5,
    "user": "u",
    "top_k": 3,
    "tools": [FUNCTION],
    "tool_choice": {"type": "function", "function": {"name": "find"}},
    "parallel_tool_calls": False,
    "response_format": {"type": "json_schema", "json_schema": {"name": "output", "schema": SCHEMA}},
    "reasoning_effort": "low",
    "stream": True,
    "stream_options": {"include_usage": True},
}
RESPONSE: dict[str, Any] = {
    "model": "m",
    "instructions": "Be kind.",
    "input": [
        {"role": "user", "content": "hi"},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "this:"},
                {"type": "input_image", "image_url": PICTURE, "detail": "auto"},
            ],
        },
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {
            "type": "function_call",
            "call_id": "c-1",
            "name": "find",
            "arguments": '{"a":1}',
            "extra_content": EXTRA,
        },
        {"type": "function_call_output", "call_id": "c-1", "output": "found"},
    ],
    "max_output_tokens": 9,
    "temperature": 0.5,
    "user": "u",
    "top_k": 3,
    "tools": [{"type": "function", "name": "find", "description": "finds", "parameters": SCHEMA, "strict": None}],
    "tool_choice": {"type": "function", "name": "find"},
    "parallel_tool_calls": False,
    "text": {"format": {"type": "json_schema", "name": "output", "schema": SCHEMA}, "verbosity": "medium"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "stream": True,
    "store": True,
    "metadata": {"a": "b"},
    "truncation": "disabled",
    "include": ["reasoning.encrypted_content"],
}  # fmt: skip
MESSAGE: dict[str, Any] = {
    "model": "m",
    "system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "hi"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "this:"},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"},
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "x"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "c-1", "name": "find", "input": {"a": 1}, "extra_content": EXTRA},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "c-1",
                    "content": [{"type": "text", "text": "found"}],
                }
            ],
        },
    ],
    "max_tokens": 9,
    "temperature": 0.5,
    "metadata": {"user_id": "u"},
    "top_k": 3,
    "tools": [{"name": "find", "description": "finds", "input_schema": SCHEMA}],
    "tool_choice": {"type": "tool", "name": "find", "disable_parallel_tool_use": True},
    "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"},
    "stream": True,
    "thinking": {"type": "disabled"},
}


@pytest.mark.parametrize(("api", "fields"), [("responses", RESPONSE), ("messages", MESSAGE)])
def test_the_same_call_is_the_same_chat_completion(api: Api, fields: dict[str, Any]) -> None:
    assert Bridge(api, fields).chat() == ASKED


def test_an_input_that_is_a_text_and_nothing_else_is_asked() -> None:
    assert Bridge("responses", {"model": "m", "input": "hi", "tool_choice": "auto", "tools": []}).chat() == {
        "model": "m", "messages": [{"role": "user", "content": "hi"}]
    }  # fmt: skip
    bare = {"model": "m", "system": "s", "messages": [], "max_tokens": 5, "tool_choice": {"type": "none"}}
    assert Bridge("messages", bare).chat() == {
        "model": "m", "messages": [{"role": "system", "content": "s"}], "max_completion_tokens": 5
    }  # fmt: skip


def in_input(item: dict[str, Any]) -> dict[str, Any]:
    return {"input": [item]}


def in_turn(block: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [block]}]}


@pytest.mark.parametrize(
    ("api", "fields", "field"),
    [
        ("responses", {"previous_response_id": "resp_1"}, "previous_response_id"),
        ("responses", {"conversation": "conv_1"}, "conversation"),
        ("responses", {"truncation": "auto"}, "truncation"),
        ("responses", {"top_logprobs": 3}, "top_logprobs"),
        ("responses", {"include": ["message.output_text.logprobs"]}, "include"),
        ("responses", {"max_tool_calls": 1}, "max_tool_calls"),
        ("responses", {"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ("responses", {"tools": 3}, "tools"),
        ("responses", {"tools": [3]}, "tools[0]"),
        ("responses", {"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ("responses", in_input({"type": "item_reference", "id": "x"}), "input[0].type"),
        ("responses", in_input({"content": [{"type": "input_file"}]}), "input[0].content[0].type"),
        (
            "responses",
            in_input({"content": [{"type": "input_image", "file_id": "x"}]}),
            "input[0].content[0].file_id",
        ),
        (
            "responses",
            in_input({"type": "function_call_output", "output": [{"type": "input_image", "image_url": "x"}]}),
            "input[0].output[0].type",
        ),
        ("messages", {"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking"),
        ("messages", {"mcp_servers": [{}]}, "mcp_servers"),
        ("messages", {"container": "x"}, "container"),
        ("messages", {"tools": [{"type": "web_search_20250305", "name": "x"}]}, "tools[0].type"),
        ("messages", {"tool_choice": {"type": "other"}}, "tool_choice"),
        ("messages", {"tool_choice": "auto"}, "tool_choice"),
        ("messages", in_turn({"type": "document"}), "messages[0].content[0].type"),
        (
            "messages",
            in_turn({"type": "image", "source": {"type": "file"}}),
            "messages[0].content[0].source.type",
        ),
        (
            "messages",
            in_turn({"type": "tool_result", "content": [{"type": "image"}]}),
            "messages[0].content[0].content[0].type",
        ),
    ],
)
def test_what_has_no_counterpart_is_named(api: Api, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Untranslatable) as caught:
        Bridge(api, {"model": "m", "tools": [FUNCTION], **fields}).chat()
    assert (caught.value.field, bool(caught.value.why)) == (field, True)


def test_errors_speak_of_the_fields_that_the_client_knows() -> None:
    error = Untranslatable("reasoning_effort", "no").told_as(RENAMED["messages"])
    assert str(error) == "output_config.effort: no"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=40)
@given(
    st.sampled_from(["responses", "messages"]),
    st.dictionaries(st.sampled_from(sorted({*RESPONSE, *MESSAGE} - {"stream"})), JSON, max_size=4),
)
def test_nonsense_is_a_mistake_of_the_client_never_a_fault_of_ours(api: Api, fields: dict[str, Any]) -> None:
    try:
        made = Bridge(api, {"model": "m", **fields}).chat()
    except Untranslatable:
        return
    assert isinstance(made["messages"], list)


# Answers --------------------------------------------------------------------------------------------------------------

TEXTS = st.lists(st.text("abc \n", min_size=1, max_size=5), min_size=1, max_size=3)
CALLS = st.lists(st.dictionaries(st.sampled_from("ab"), st.integers(0, 9), max_size=2), max_size=3)
USAGE = {
    "prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13,
    "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 3},
}  # fmt: skip
ANSWERS = st.fixed_dictionaries(
    {
        "thought": st.none() | TEXTS,
        "text": st.none() | TEXTS,
        "refusal": st.none() | TEXTS,
        "calls": CALLS,
        "finish": st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
        "is_signed": st.booleans(),
    }
)


def calls_of(said: dict[str, Any]) -> list[dict[str, Any]]:
    extra = {"extra_content": EXTRA} if said["is_signed"] else {}
    return [
        {"id": f"c-{index}", "type": "function", **extra,
         "function": {"name": "find", "arguments": orjson.dumps(arguments).decode()}}
        for index, arguments in enumerate(said["calls"])
    ]  # fmt: skip


def whole_of(said: dict[str, Any]) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": "".join(said["text"] or ()) or None}
    message["refusal"] = "".join(said["refusal"] or ()) or None
    if said["thought"]:
        message["reasoning_content"] = "".join(said["thought"])
    if said["calls"]:
        message["tool_calls"] = calls_of(said)
    choice = {"index": 0, "message": message, "finish_reason": said["finish"]}
    return orjson.dumps({"id": "1", "created": 5, "model": "m-1", "choices": [choice], "usage": USAGE})


def stream_of(said: dict[str, Any]) -> bytes:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": text} for text in said["thought"] or ()]
    deltas += [{"content": text} for text in said["text"] or ()]
    deltas += [{"refusal": text} for text in said["refusal"] or ()]
    for index, call in enumerate(calls_of(said)):
        arguments = call["function"]["arguments"]
        begun = {**call, "index": index, "function": {"name": "find", "arguments": arguments[:3]}}
        rest = {"index": index, "function": {"arguments": arguments[3:]}}
        deltas += [{"tool_calls": [begun]}, {"tool_calls": [rest]}]
    chunks: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": said["finish"]}]})
    chunks.append({"choices": [], "usage": USAGE})
    head = {"id": "1", "created": 5, "model": "m-1"}
    made = b"".join(b"data: " + orjson.dumps(head | chunk) + b"\n\n" for chunk in chunks)
    return made + b"data: [DONE]\n\n"


def fed(stream: Events, raw: bytes, cuts: list[int]) -> bytes:
    made = b""
    for cut in cuts:
        made += stream.feed(raw[:cut])
        raw = raw[cut:]
    return made + stream.feed(raw) + stream.close()


def events_of(made: bytes) -> list[dict[str, Any]]:
    found = []
    for event in made.decode().split("\n\n")[:-1]:
        name, data = event.split("\n")
        value = orjson.loads(data.removeprefix("data: "))
        assert name == f"event: {value['type']}"
        found.append(value)
    return found


def without_refusal_and_text(said: dict[str, Any]) -> dict[str, Any]:
    """One message holds both in a whole answer, and two items in a stream: compared apart."""
    return said | {"refusal": None} if said["text"] else said


@settings(max_examples=25)
@given(ANSWERS, st.lists(st.integers(1, 200), max_size=6))
def test_a_response_is_the_same_whole_and_streamed(said: dict[str, Any], cuts: list[int]) -> None:
    said = without_refusal_and_text(said)
    bridge = Bridge("responses", RESPONSE)
    whole = orjson.loads(bridge.whole(200, whole_of(said)))
    made = fed(bridge.stream(), stream_of(said), cuts)
    events = events_of(made)
    assert [one["sequence_number"] for one in events] == list(range(len(events)))
    assert [one["type"] for one in events[:2]] == ["response.created", "response.in_progress"]
    ended = [one for one in events if one["type"] in {"response.completed", "response.incomplete"}]
    assert ended == events[-1:]
    assert ended[0]["response"] == whole
    added = [one["item"]["id"] for one in events if one["type"] == "response.output_item.added"]
    done = [one["item"] for one in events if one["type"] == "response.output_item.done"]
    assert added == [item["id"] for item in done]
    assert done == whole["output"]
    assert whole["status"] == (
        "incomplete" if said["finish"] in {"length", "content_filter"} else "completed"
    )
    assert whole["usage"]["output_tokens_details"] == {"reasoning_tokens": 3}
    assert {whole[name] == RESPONSE[name] for name in ("instructions", "tools", "temperature")} == {True}
    reader = ResponseReader()
    reader.feed(made)
    assert reader.close() == ""
    reading = read_response(orjson.dumps(whole))
    assert reading is not None
    assert reader.reading() == reading
    assert (reading.usage.tokens_in, reading.usage.tokens_out, reading.usage.cached) == (9, 4, 2)


@settings(max_examples=25)
@given(ANSWERS, st.lists(st.integers(1, 200), max_size=6))
def test_a_message_is_the_same_whole_and_streamed(said: dict[str, Any], cuts: list[int]) -> None:
    said = without_refusal_and_text(said)
    bridge = Bridge("messages", MESSAGE)
    whole = orjson.loads(bridge.whole(200, whole_of(said)))
    made = fed(bridge.stream(), stream_of(said), cuts)
    events = events_of(made)
    blocks: list[dict[str, Any]] = []
    is_open = False
    for one in events:
        match one["type"]:
            case "content_block_start":
                assert (is_open, one["index"]) == (False, len(blocks))
                is_open = True
                blocks.append(one["content_block"] | {"json": ""})
            case "content_block_delta":
                assert (is_open, one["index"]) == (True, len(blocks) - 1)
                delta = one["delta"]
                field = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "json"}
                told = delta.get("partial_json", delta.get("text", delta.get("thinking")))
                blocks[-1][field[delta["type"]]] += told
            case "content_block_stop":
                is_open = False
    for block in blocks:
        arguments = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = orjson.loads(arguments)
    assert blocks == whole["content"]
    assert [one["type"] for one in events[-2:]] == ["message_delta", "message_stop"]
    assert events[-2]["delta"]["stop_reason"] == whole["stop_reason"]
    assert events[-2]["usage"] == whole["usage"]
    assert whole["usage"] == {
        "input_tokens": 6, "cache_creation_input_tokens": 1, "cache_read_input_tokens": 2, "output_tokens": 4
    }  # fmt: skip
    reader = MessageReader()
    reader.feed(made)
    assert reader.close() == ""
    reading = read_message(orjson.dumps(whole))
    assert reading is not None
    assert reader.reading() == reading


@pytest.mark.parametrize("api", ["responses", "messages"])
@pytest.mark.parametrize(
    ("raw", "trouble"),
    [
        (b'data: {"error": {"message": "busy", "type": "server_error", "code": "x"}}\n\ndata: [DONE]\n\n', "busy"),
        (b"data: {\n\ndata: [DONE]\n\n", "cannot be read"),
        (b'data: {"choices": 3}\n\n', "cannot be read"),
    ],
)  # fmt: skip
def test_a_stream_that_goes_wrong_says_so_once_in_the_apis_words(api: Api, raw: bytes, trouble: str) -> None:
    begun = b'data: {"id": "1", "choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'
    made = fed(Bridge(api, {"model": "m"}).stream(), begun + raw, [])
    errors = [one for one in events_of(made) if one["type"] == "error"]
    assert len(errors) == 1
    assert trouble in errors[0]["error"]["message"]
    assert events_of(made)[-1] == errors[0]
    reader = ResponseReader() if api == "responses" else MessageReader()
    reader.feed(made)
    assert reader.close() == "upstream_error"


@pytest.mark.parametrize("api", ["responses", "messages"])
def test_a_stream_that_breaks_off_has_no_end(api: Api) -> None:
    begun = b'data: {"id": "1", "choices": [{"index": 0, "delta": {"content": "a"}}]}\n\n'
    made = fed(Bridge(api, {"model": "m"}).stream(), begun, [])
    reader = ResponseReader() if api == "responses" else MessageReader()
    reader.feed(made)
    assert reader.close() == "cut_off"


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "invalid_request_error"), (429, "rate_limit_error"), (500, "api_error")]
)
def test_errors_have_the_shape_of_the_api(status: int, kind: str) -> None:
    said = orjson.dumps({"error": {"message": "no", "type": "x", "param": "p", "code": "c"}})
    assert Bridge("responses", {}).whole(status, said) == said
    assert orjson.loads(Bridge("messages", {}).whole(status, said)) == {
        "type": "error", "error": {"type": kind, "message": "no", "param": "p", "code": "c"}
    }  # fmt: skip


@pytest.mark.parametrize("api", ["responses", "messages"])
@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'{"choices": []}', b'{"error": 3}'])
def test_what_is_no_answer_stays_as_it_is(api: Api, content: bytes) -> None:
    assert Bridge(api, {}).whole(200, content) == content
    assert Bridge(api, {}).whole(500, content) == content
