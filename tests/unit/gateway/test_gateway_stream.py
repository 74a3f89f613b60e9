"""Streams pass piece by piece, and their ending is written down once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.errors import Unavailable
from promptship.gateway.hiding import UsageHider
from promptship.gateway.reading_chat import ChatReader
from tests.support.gateway import Bench, FakeAnswer, Heard, bench, completion, event

DONE = b"data: [DONE]\n\n"
USAGE = event(choices=[], usage={"prompt_tokens": 11, "completion_tokens": 2})
WHOLE = [event("Hel"), event("lo"), event(finish="stop"), USAGE, DONE]


def stream(*pieces: object, **changes: object) -> FakeAnswer:
    return FakeAnswer(pieces, content_type="text/event-stream", **changes)  # type: ignore[arg-type]


async def ask(gateway: Bench, **options: Any) -> Heard:
    return await gateway.chat({"stream": True}, **options)


ASKS: dict[str, Any] = {"include_usage": True}


@pytest.mark.parametrize(
    ("options", "sent", "shown"),
    [
        (ASKS, ASKS, WHOLE),
        ({"include_usage": True, "x": 1}, {"include_usage": True, "x": 1}, WHOLE),
        (None, ASKS, [*WHOLE[:3], DONE]),
        ({"include_usage": False, "x": 1}, {"include_usage": True, "x": 1}, [*WHOLE[:3], DONE]),
    ],
)
async def test_usage_is_always_measured_and_shown_to_who_asked(
    tmp_path: Path, options: dict[str, Any] | None, sent: dict[str, Any], shown: list[bytes]
) -> None:
    gateway = bench(tmp_path, stream(*WHOLE))
    fields = {"stream": True} | ({} if options is None else {"stream_options": options})
    heard = await gateway.chat(fields)
    assert heard.status == 200
    assert heard.body == b"".join(shown)
    assert gateway.upstream.asked[0][1]["stream_options"] == sent
    assert heard.headers["content-type"].startswith("text/event-stream")
    assert "content-length" not in heard.headers
    assert gateway.upstream.asked[0][1]["stream"] is True
    (seen,) = gateway.spool.observations
    assert (seen.streamed, seen.tokens_in, seen.tokens_out, seen.refusal) == (True, 11, 2, False)
    assert (seen.status, seen.error) == (200, False)


async def test_a_plain_call_has_no_options_of_streams(tmp_path: Path) -> None:
    gateway = bench(tmp_path, FakeAnswer([completion()]))
    await gateway.chat()
    assert "stream_options" not in gateway.upstream.asked[0][1]


KEPT = (
    event("Hel"),
    event(choices=[], prompt_filter_results=[1]),
    b": ping\n\n",
    event(choices=[], usage=None),
    event(choices=[{"delta": {"content": '"choices":[]'}}], usage={"prompt_tokens": 1}),
    b"data: {\n\n",
    b"data: [DONE]\r\n\r\n",
)
HIDDEN = (USAGE, USAGE.replace(b"\n", b"\r\n"), b'data: {"choices": [], "usage": {"prompt_tokens": 1}}\n\n')


@given(
    st.lists(st.sampled_from(KEPT + HIDDEN), max_size=8),
    st.lists(st.integers(1, 60), max_size=12),
    st.booleans(),
)
def test_exactly_the_events_that_hold_usage_alone_are_hidden(
    events: list[bytes], cuts: list[int], is_cut_off: bool
) -> None:
    whole = b"".join(events)
    if is_cut_off and events and events[-1] in KEPT:
        whole = whole[:-3]
    hider, rest, shown = UsageHider(), whole, b""
    for cut in cuts:
        shown += hider.feed(rest[:cut])
        rest = rest[cut:]
    shown += hider.feed(rest) + hider.close()
    wanted = b"".join(one for one in events if one in KEPT)
    assert shown == (wanted[:-3] if len(whole) < len(b"".join(events)) else wanted)


async def test_the_time_to_the_first_piece_and_to_the_last_are_two_times(tmp_path: Path) -> None:
    gateway = bench(tmp_path)

    async def later() -> None:
        gateway.now.seconds += 0.25

    gateway.upstream.answers = [stream(later, WHOLE[0], later, *WHOLE[1:])]
    await ask(gateway)
    (seen,) = gateway.spool.observations
    assert (seen.ttft_ms, seen.latency_ms) == (250.0, 500.0)


@pytest.mark.parametrize(
    ("answer", "status", "error_type"),
    [
        (stream(), 502, "malformed"),
        (stream(Unavailable("reset")), 502, "unreachable"),
        (FakeAnswer([completion()]), 502, "malformed"),
        (FakeAnswer([b"<html>"], status=503, content_type="text/html"), 503, "upstream_503"),
        (Unavailable("no"), 502, "unreachable"),
    ],
)
async def test_a_stream_that_fails_before_its_first_byte_is_a_plain_error(
    tmp_path: Path, answer: object, status: int, error_type: str
) -> None:
    gateway = bench(tmp_path, answer)
    heard = await ask(gateway)
    assert (heard.status, heard.headers["content-type"]) == (status, "application/json")
    assert heard.error["code"]
    assert [(seen.status, seen.error_type) for seen in gateway.spool.observations] == [(status, error_type)]


@pytest.mark.parametrize(
    ("pieces", "error_type"),
    [
        ([event("Hel"), Unavailable("reset")], "cut_off"),
        ([event("Hel")], "cut_off"),
        ([event("Hel"), b"data: {"], "malformed"),
        ([b"<html>", b"</html>"], "cut_off"),
    ],
)
async def test_a_stream_that_breaks_off_ends_with_an_error_event(
    tmp_path: Path, pieces: list[bytes | BaseException], error_type: str
) -> None:
    gateway = bench(tmp_path, stream(*pieces))
    heard = await ask(gateway)
    assert heard.status == 200
    if error_type == "cut_off":
        last = heard.body.rstrip().rpartition(b"\n\n")[2]
        assert orjson.loads(last.removeprefix(b"data: "))["error"]["code"] == "cut_off"
    assert [(seen.status, seen.error_type) for seen in gateway.spool.observations] == [(200, error_type)]


async def test_an_error_event_of_the_provider_is_an_error(tmp_path: Path) -> None:
    gateway = bench(tmp_path, stream(event("Hel"), b'data: {"error": {"message": "overloaded"}}\n\n', DONE))
    await ask(gateway)
    assert gateway.spool.observations[0].error_type == "upstream_error"


async def test_a_stream_without_done_but_with_its_finish_reason_is_whole(tmp_path: Path) -> None:
    gateway = bench(tmp_path, stream(event("Hel"), event(finish="stop").rstrip()))
    await ask(gateway)
    assert gateway.spool.observations[0].error is False


async def test_silence_longer_than_the_deadline_ends_the_stream(tmp_path: Path) -> None:
    async def for_ever() -> None:
        await asyncio.Event().wait()

    answer = stream(event("Hel"), for_ever)
    gateway = bench(tmp_path, answer, timeout=0.01)
    heard = await ask(gateway)
    assert b'"code":"timeout"' in heard.body
    assert answer.closed
    assert [seen.error_type for seen in gateway.spool.observations] == ["timeout"]


async def test_a_client_that_leaves_in_the_middle_cuts_the_provider_off(tmp_path: Path) -> None:
    leave = asyncio.Event()

    async def go() -> None:
        leave.set()
        await asyncio.Event().wait()

    answer = stream(event("Hel"), go)
    gateway = bench(tmp_path, answer)
    heard = await ask(gateway, leave=leave)
    assert heard.body == event("Hel")
    assert answer.closed
    assert [(seen.status, seen.error) for seen in gateway.spool.observations] == [(499, False)]


async def test_a_refusal_is_seen_across_pieces(tmp_path: Path) -> None:
    gateway = bench(tmp_path, stream(event("I'm sorry, but I ca"), event("n't help with that."), DONE))
    await ask(gateway)
    assert gateway.spool.observations[0].refusal is True


@settings(max_examples=30)
@given(st.lists(st.integers(1, 400), max_size=8))
def test_reading_does_not_depend_on_where_the_stream_is_cut(cuts: list[int]) -> None:
    raw = b"".join([b": hello\r\n\r\n", event("I can't help, "), event("sorry ü"), *WHOLE[2:]])
    reader, rest = ChatReader(), raw
    for cut in cuts:
        reader.feed(rest[:cut])
        rest = rest[cut:]
    reader.feed(rest)
    assert reader.close() == ""
    assert (
        reader.reading().usage.tokens_in,
        reader.reading().usage.tokens_out,
        reader.reading().refusal,
    ) == (
        11,
        2,
        True,
    )


def test_a_line_without_end_is_not_kept() -> None:
    reader = ChatReader()
    for _ in range(5):
        reader.feed(b"x" * 400_000)
    assert len(reader._rest) < 1_000_000
