"""Responses, Anthropic's messages and embeddings: what the provider gets, what the client gets, what is written down."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.errors import Unavailable
from promptship.gateway.intake import Names
from promptship.gateway.reading import StreamReader
from promptship.gateway.reading_messages import MessageReader
from promptship.gateway.reading_responses import ResponseReader
from promptship.gateway.rejection import Rejection
from promptship.prompts.model import Tool
from tests.support.gateway import (
    CANDIDATE,
    STABLE_DIGEST,
    Bench,
    FakeAnswer,
    Heard,
    bench,
    prompt,
    table,
)
from tests.support.provider_answers import (
    EMBEDDINGS,
    MESSAGE,
    MESSAGE_EVENTS,
    RESPONSE,
    RESPONSE_EVENTS,
    sse,
)

RESPONSES, MESSAGES, EMBED = "/v1/responses", "/v1/messages", "/v1/embeddings"
NAMED: dict[str, Any] = {"prompt": {"id": "support", "variables": {"question": "why?"}}}
MODELLED: dict[str, Any] = {"model": "promptship/support", "prompt_variables": {"question": "why?"}}


async def post(gateway: Bench, path: str, fields: dict[str, Any], **options: Any) -> Heard:
    return await gateway.ask("POST", path, orjson.dumps(fields), **options)


def says(value: dict[str, Any]) -> FakeAnswer:
    return FakeAnswer([orjson.dumps(value)])


def streams(*pieces: Any) -> FakeAnswer:
    return FakeAnswer(pieces, content_type="text/event-stream")


SHOTS = prompt(
    messages=[
        {"role": "system", "content": "You answer {{ question }}"},
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "An example?"},
        {"role": "assistant", "content": "A result."},
    ],
    parameters={"max_tokens": 50, "reasoning_effort": "low", "temperature": 0},
    tools=(Tool(name="find", description="finds"),),
    output_schema={"type": "object"},
)


async def test_a_prompt_object_becomes_instructions_and_input(tmp_path: Path) -> None:
    gateway = bench(tmp_path, says(RESPONSE), routes=table(stable=SHOTS))
    fields = {
        "input": "and now?",
        "instructions": "In French.",
        "text": {"verbosity": "low"},
        "temperature": 1.5,
        "store": False,
        "user": "u",
    }
    heard = await post(gateway, RESPONSES, NAMED | fields, headers={"openai-beta": "x=1", "cookie": "no"})
    assert (heard.status, heard.json) == (200, RESPONSE)
    assert gateway.upstream.apis == [("responses", {"openai-beta": "x=1"})]
    assert gateway.upstream.asked[0][1] == {
        "model": "gpt-x",
        "instructions": "You answer why?\n\nBe brief.\n\nIn French.",
        "input": [
            {"role": "user", "content": "An example?"},
            {"role": "assistant", "content": "A result."},
            {"role": "user", "content": "and now?"},
        ],
        "max_output_tokens": 50,
        "reasoning": {"effort": "low"},
        "temperature": 0,
        "tools": [{"type": "function", "name": "find", "description": "finds"}],
        "text": {
            "verbosity": "low",
            "format": {"type": "json_schema", "name": "output", "schema": {"type": "object"}},
        },
        "store": False,
        "user": "u",
    }


async def test_messages_get_the_prompts_system_and_turns_first(tmp_path: Path) -> None:
    gateway = bench(tmp_path, says(MESSAGE), routes=table(stable=prompt(messages=SHOTS.messages)))
    fields = {
        "system": [{"type": "text", "text": "In French."}],
        "messages": [{"role": "user", "content": "and now?"}],
        "max_tokens": 99,
        "metadata": {"user_id": "u"},
    }
    heard = await post(gateway, MESSAGES, MODELLED | fields, headers={"anthropic-beta": "b"})
    assert (heard.status, heard.json) == (200, MESSAGE)
    assert gateway.upstream.apis == [("messages", {"anthropic-beta": "b"})]
    assert gateway.upstream.asked[0][1] == {
        "model": "gpt-x",
        "max_tokens": 99,
        "system": [{"type": "text", "text": text} for text in ("You answer why?", "Be brief.", "In French.")],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "An example?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "A result."}]},
            {"role": "user", "content": "and now?"},
        ],
        "metadata": {"user_id": "u"},
    }
    (seen,) = gateway.spool.observations
    assert (seen.tokens_in, seen.tokens_out, seen.refusal, seen.error) == (8, 3, False, False)


@pytest.mark.parametrize(("own", "given", "sent"), [(7, 99, 7), (None, 99, 99), (None, None, 1024)])
async def test_the_prompts_limit_wins_and_there_is_always_one(
    tmp_path: Path, own: int | None, given: int | None, sent: int
) -> None:
    routes = table(stable=prompt(parameters={"max_tokens": own} if own else {}))
    gateway = bench(tmp_path, says(MESSAGE), routes=routes)
    await post(gateway, MESSAGES, MODELLED | ({"max_tokens": given} if given else {}))
    assert gateway.upstream.asked[0][1]["max_tokens"] == sent


@pytest.mark.parametrize(
    ("path", "fields", "pieces"),
    [
        (RESPONSES, NAMED, RESPONSE_EVENTS),
        (MESSAGES, MODELLED, MESSAGE_EVENTS),
    ],
)
async def test_streams_pass_as_they_are_and_the_first_token_is_not_the_first_event(
    tmp_path: Path, path: str, fields: dict[str, Any], pieces: list[bytes]
) -> None:
    gateway = bench(tmp_path)

    async def later() -> None:
        gateway.now.seconds += 0.25

    speaks = next(number for number, piece in enumerate(pieces) if b".delta" in piece or b"_delta" in piece)
    gateway.upstream.answers = [streams(*pieces[:speaks], later, *pieces[speaks:], later)]
    heard = await post(gateway, path, fields | {"stream": True})
    assert heard.body == b"".join(pieces)
    (seen,) = gateway.spool.observations
    assert (seen.ttft_ms, seen.latency_ms, seen.error) == (250.0, 500.0, False)
    assert (seen.tokens_in, seen.tokens_out) == ((9, 2) if path == RESPONSES else (8, 3))
    assert seen.refusal is False


@pytest.mark.parametrize(
    ("path", "fields", "events", "error_type", "last"),
    [
        (RESPONSES, NAMED, RESPONSE_EVENTS[:2], "cut_off", "cut_off"),
        (RESPONSES, NAMED, [*RESPONSE_EVENTS[:2], Unavailable("x")], "cut_off", "cut_off"),
        (MESSAGES, MODELLED, MESSAGE_EVENTS[:3], "cut_off", "cut_off"),
        (RESPONSES, NAMED, sse({"type": "response.failed", "response": {}}), "upstream_error", None),
        (MESSAGES, MODELLED, sse({"type": "error", "error": {"message": "busy"}}), "upstream_error", None),
        (RESPONSES, NAMED, [b"data: 3\n\n"], "malformed", None),
        (MESSAGES, MODELLED, [b"data: {\n\n"], "malformed", None),
    ],
)
async def test_a_stream_that_goes_wrong_ends_with_the_apis_own_error_event(
    tmp_path: Path, path: str, fields: dict[str, Any], events: list[Any], error_type: str, last: str | None
) -> None:
    gateway = bench(tmp_path, streams(*events))
    heard = await post(gateway, path, fields | {"stream": True})
    (seen,) = gateway.spool.observations
    assert (seen.status, seen.error_type) == (200, error_type)
    if last is not None:
        name, _, data = heard.body.rstrip().rpartition(b"\n\n")[2].partition(b"\ndata: ")
        told = orjson.loads(data)
        assert (name, told["type"], told["error"]["code"]) == (b"event: error", "error", last)


@pytest.mark.parametrize(
    ("path", "fields", "answer", "refusal", "error_type"),
    [
        (RESPONSES, NAMED, RESPONSE | {"status": "failed", "output": []}, None, "upstream_error"),
        (
            RESPONSES,
            NAMED,
            RESPONSE | {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            True,
            "",
        ),
        (
            RESPONSES,
            NAMED,
            RESPONSE | {"output": [{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}]},
            True,
            "",
        ),
        (RESPONSES, NAMED, RESPONSE | {"output": [{"type": "function_call", "name": "f"}]}, None, ""),
        (MESSAGES, MODELLED, MESSAGE | {"stop_reason": "refusal"}, True, ""),
        (MESSAGES, MODELLED, MESSAGE | {"content": [{"type": "tool_use"}]}, None, ""),
    ],
)
async def test_refusals_and_failures_are_seen_in_each_apis_words(
    tmp_path: Path,
    path: str,
    fields: dict[str, Any],
    answer: dict[str, Any],
    refusal: bool | None,
    error_type: str,
) -> None:
    gateway = bench(tmp_path, says(answer))
    assert (await post(gateway, path, fields)).json == answer
    (seen,) = gateway.spool.observations
    assert (seen.refusal, seen.error_type) == (refusal, error_type)


@pytest.mark.parametrize("path", [RESPONSES, MESSAGES, EMBED])
async def test_what_is_no_answer_of_the_api_is_a_502_in_its_words(tmp_path: Path, path: str) -> None:
    gateway = bench(tmp_path, FakeAnswer([b'{"choices": []}']))
    fields = {RESPONSES: NAMED, MESSAGES: MODELLED, EMBED: {"model": "e"}}[path]
    heard = await post(gateway, path, fields)
    assert (heard.status, heard.error["code"]) == (502, "malformed")
    assert heard.error["type"] == ("api_error" if path == MESSAGES else "server_error")


WRONG: list[tuple[str, dict[str, Any], int, str]] = [
    (RESPONSES, {}, 400, "model"),
    (RESPONSES, {"prompt": "support"}, 400, "prompt"),
    (RESPONSES, {"prompt": {"version": "2"}}, 400, "prompt.id"),
    (RESPONSES, {"prompt": {"id": "support", "version": 2}}, 400, "prompt.version"),
    (RESPONSES, {"prompt": {"id": "support", "verison": "2"}}, 400, "prompt.verison"),
    (RESPONSES, {"prompt": {"id": "support", "variables": []}}, 400, "prompt.variables"),
    (RESPONSES, {"prompt": {"id": "support"}}, 400, "question"),
    (
        RESPONSES,
        {"prompt": {"id": "support", "variables": {"question": {"type": "input_image"}}}},
        400,
        "question",
    ),
    (RESPONSES, {"prompt": {"id": "nobody"}}, 404, "prompt.id"),
    (RESPONSES, {"prompt": {"id": "Not A Name"}}, 404, "prompt.id"),
    (RESPONSES, {"prompt": {"id": "support", "version": "2"}}, 404, "prompt.version"),
    (RESPONSES, {"prompt": {"id": "support", "version": "abcdef"}}, 404, "prompt.version"),
    (RESPONSES, NAMED | {"input": 3}, 400, "input"),
    (RESPONSES, NAMED | {"input": ["hi"]}, 400, "input[0]"),
    (RESPONSES, NAMED | {"stream": 1}, 400, "stream"),
    (RESPONSES, NAMED | {"background": True}, 400, "background"),
    (RESPONSES, NAMED | {"user": 3}, 400, "user"),
    (RESPONSES, NAMED | {"safety_identifier": 3}, 400, "safety_identifier"),
    (MESSAGES, {}, 400, "model"),
    (MESSAGES, {"model": "claude-x"}, 404, "model"),
    (MESSAGES, {"model": "promptship/support"}, 400, "question"),
    (MESSAGES, MODELLED | {"messages": "hi"}, 400, "messages"),
    (MESSAGES, MODELLED | {"system": 3}, 400, "system"),
    (MESSAGES, MODELLED | {"stream": "yes"}, 400, "stream"),
    (MESSAGES, MODELLED | {"metadata": 3}, 400, "metadata"),
    (MESSAGES, MODELLED | {"metadata": {"user_id": 3}}, 400, "user_id"),
    (EMBED, {"input": "a"}, 400, "model"),
    (EMBED, {"model": "prompt:support", "input": "a"}, 404, "model"),
]


@pytest.mark.parametrize(("path", "fields", "status", "param"), WRONG)
async def test_a_mistake_is_named_in_the_apis_shape_and_leaves_no_trace(
    tmp_path: Path, path: str, fields: dict[str, Any], status: int, param: str
) -> None:
    gateway = bench(tmp_path)
    heard = await post(gateway, path, fields)
    assert (heard.status, heard.error["param"]) == (status, param)
    assert heard.error["message"]
    assert heard.json.get("type") == ("error" if path == MESSAGES else None)
    assert (gateway.upstream.asked, gateway.spool.lines) == ([], [])


IDS = {"pmpt_1": "support", "pmpt_1@2": f"support@{STABLE_DIGEST[:8]}", "pmpt_1@3": "support@abcdef012345"}


@pytest.mark.parametrize(
    ("id_", "version", "status"),
    [
        ("pmpt_1", None, 200),
        ("pmpt_1", "2", 200),
        ("pmpt_1", "3", 404),
        ("pmpt_1", "4", 404),
        ("pmpt_2", None, 404),
        ("support", STABLE_DIGEST[:6], 200),
        ("support", STABLE_DIGEST, 200),
    ],
)
async def test_prompt_ids_of_before_go_on_and_a_version_is_served_exactly_or_not_at_all(
    tmp_path: Path, id_: str, version: str | None, status: int
) -> None:
    gateway = bench(tmp_path, says(RESPONSE), routes=table(candidate=CANDIDATE, share=1.0), prompt_ids=IDS)
    object_ = {"id": id_, "version": version, "variables": {"question": {"type": "input_text", "text": "?"}}}
    heard = await post(gateway, RESPONSES, {"prompt": object_, "user": "u"})
    assert heard.status == status
    if status == 200 and version:
        assert heard.headers["x-promptship-version"] == STABLE_DIGEST
        assert gateway.spool.observations[0].release is None
    elif status == 200:
        assert heard.headers["x-promptship-arm"] == "candidate"


@pytest.mark.parametrize(
    ("id_", "version", "param", "said"),
    [
        ("pmpt_1", "3", "prompt.version", "version abcdef012345 of the prompt 'support' is not being served"),
        ("pmpt_1", "4", "prompt.version", "or a version that gateway.prompt_ids knows"),
        ("pmpt_2", None, "prompt.id", "`gateway.prompt_ids` can say which prompt an id means"),
        ("pmpt_2", "abcdef", "prompt.id", "`gateway.prompt_ids` can say which prompt an id means"),
    ],
)
async def test_a_refusal_of_a_prompt_object_names_its_field_and_what_to_do(
    tmp_path: Path, id_: str, version: str | None, param: str, said: str
) -> None:
    object_ = {"id": id_, "version": version, "variables": {"question": "?"}}
    heard = await post(bench(tmp_path, prompt_ids=IDS), RESPONSES, {"prompt": object_})
    assert (heard.status, heard.error["code"], heard.error["param"]) == (404, "model_not_found", param)
    assert said in heard.error["message"]


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_version_is_resolved_to_itself_or_refused(name: str, version: str) -> None:
    found = Names().resolve(name, version, "model")
    assert isinstance(found, Rejection) or found == (name, version)


async def test_embeddings_pass_as_they_are_and_are_not_observed(tmp_path: Path) -> None:
    gateway = bench(tmp_path, says(EMBEDDINGS))
    heard = await post(gateway, EMBED, {"model": "embed-x", "input": ["a"]})
    assert (heard.status, heard.json) == (200, EMBEDDINGS)
    assert gateway.upstream.asked == [("embed-x", {"model": "embed-x", "input": ["a"]})]
    assert gateway.upstream.apis[0][0] == "embeddings"
    assert gateway.spool.lines == []


async def test_a_client_that_leaves_embeddings_stops_the_call(tmp_path: Path) -> None:
    stopped, leave = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        leave.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    await post(bench(tmp_path, hang), EMBED, {"model": "e"}, leave=leave)
    assert stopped.is_set()


async def test_one_model(tmp_path: Path) -> None:
    gateway = bench(tmp_path)
    for wanted in ("prompt:support", "promptship/support", "support"):
        assert (await gateway.ask("GET", f"/v1/models/{wanted}")).json["id"] == "prompt:support"
    assert (await gateway.ask("GET", "/v1/models/gpt-x")).error["code"] == "model_not_found"
    assert (await gateway.ask("POST", "/v1/models/support")).status == 405


@settings(max_examples=30)
@given(st.booleans(), st.lists(st.integers(1, 400), max_size=8))
def test_reading_does_not_depend_on_where_the_stream_is_cut(is_response: bool, cuts: list[int]) -> None:
    rest = b"".join(RESPONSE_EVENTS if is_response else MESSAGE_EVENTS)
    reader: StreamReader = ResponseReader() if is_response else MessageReader()
    for cut in cuts:
        reader.feed(rest[:cut])
        rest = rest[cut:]
    reader.feed(rest)
    assert reader.close() == ""
    usage = reader.reading().usage
    assert (usage.tokens_in, usage.tokens_out, usage.cached, usage.cache_written) == (
        (9, 2, 4, 0) if is_response else (8, 3, 2, 1)
    )
    assert reader.reading().refusal is False
