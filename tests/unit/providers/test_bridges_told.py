"""A chat completion told as a response or a message: a stream tells what a whole answer does, and troubles have the API's shape."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.adapters.providers.bridges.bridge import Bridge
from promptship.adapters.providers.events import Events
from promptship.gateway.reading_messages import MessageReader, read_message
from promptship.gateway.reading_responses import ResponseReader, read_response
from promptship.routing.api import Api

EXTRA = {"google": {"thought_signature": "c2ln"}}
ECHOED: dict[str, Any] = {
    "instructions": "Be kind.",
    "temperature": 0.5,
    "tools": [{"type": "function", "name": "find", "parameters": {}}],
}


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
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
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
    bridge = Bridge("responses", ECHOED)
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
    assert {name: whole[name] for name in ECHOED} == ECHOED
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
    bridge = Bridge("messages", {})
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
