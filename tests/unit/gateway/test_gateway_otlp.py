"""Spans in: which become observations, which are ignored, which are refused, and that none counts twice."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from promptship.routing.token import Claims, sign
from tests.support.gateway import (
    AT,
    CANDIDATE,
    CANDIDATE_DIGEST,
    SECRET,
    STABLE_DIGEST,
    Bench,
    Heard,
    ListSpool,
    bench,
    table,
)
from tests.support.otlp import JSON, PROTOBUF, as_protobuf, export, span

AT_MS = int(AT.timestamp() * 1000)
REQUEST = "0192f0c1-7c2a-7000-8000-000000000001"
TOKEN = sign(
    SECRET, Claims(REQUEST, AT_MS - 1000, "support", CANDIDATE_DIGEST, "candidate", "r-1", 1, "ab" * 8)
)


async def send(gateway: Bench, *spans: dict[str, Any], scope: str = "my-app") -> Heard:
    return await gateway.ask("POST", "/v1/traces", export(spans, scope=scope), headers=JSON)


async def counted(gateway: Bench) -> dict[str, int]:
    found: dict[str, int] = (await gateway.ask("GET", "/healthz")).json["spans_in"]
    return found


async def test_a_span_becomes_an_observation(tmp_path: Path) -> None:
    gateway = bench(tmp_path, costs=lambda *_: 0.25)
    heard = await send(
        gateway,
        span(
            gen_ai__request__model="gpt-x",
            gen_ai__usage__input_tokens=11,
            gen_ai__usage__output_tokens=4,
            gen_ai__request__stream=True,
            gen_ai__response__time_to_first_chunk=0.125,
        ),
    )
    assert (heard.status, heard.json) == (200, {})
    (line,) = gateway.spool.observations
    assert line.model_dump(exclude={"id"}) == {
        "at_ms": AT_MS, "prompt": "support", "version": STABLE_DIGEST, "arm": "stable", "release": None, "stage": None,
        "unit": None, "model": "gpt-x", "latency_ms": 250.0, "ttft_ms": 125.0, "tokens_in": 11, "tokens_out": 4,
        "cost_usd": 0.25, "status": 200, "error": False, "error_type": "", "refusal": None, "streamed": True, "decision": "",
    }  # fmt: skip
    assert await counted(gateway) == {"taken": 1, "ignored": 0, "refused": 0}


async def test_json_and_protobuf_plain_and_gzipped_say_the_same(tmp_path: Path) -> None:
    gateway = bench(tmp_path)
    told = export(
        [span(gen_ai__response__finish_reasons=["content_filter"], http__response__status_code=200)]
    )
    message = as_protobuf(told).SerializeToString()
    for body, headers in ((told, JSON), (message, PROTOBUF)):
        for sent, more in ((body, {}), (gzip.compress(body), {"content-encoding": "gzip"})):
            heard = await gateway.ask("POST", "/v1/traces", sent, headers={**headers, **more})
            assert (heard.status, heard.headers["content-type"]) == (200, headers["content-type"])
    first, *others = gateway.spool.observations
    assert first.refusal is True
    assert others == [first] * 3  # the id is the same: it counts once


async def test_the_id_follows_the_spans_own(tmp_path: Path) -> None:
    gateway = bench(tmp_path)
    await send(gateway, span(1), span(2), span(1))
    first, second, again = (line.id for line in gateway.spool.observations)
    assert first == again != second
    assert first[14] == "7"


async def test_a_token_of_ours_brings_a_span_into_the_experiment(tmp_path: Path) -> None:
    gateway = bench(tmp_path, routes=table(candidate=CANDIDATE))
    await send(gateway, span(promptship__feedback_token=TOKEN, gen_ai__prompt__version=CANDIDATE_DIGEST[:12]))
    (line,) = gateway.spool.observations
    assert (line.id, line.at_ms, line.arm, line.release, line.stage, line.unit, line.decision) == (
        REQUEST, AT_MS - 1000, "candidate", "r-1", 1, "ab" * 8, "in",
    )  # fmt: skip


async def test_what_a_span_says_of_its_arm_is_not_believed(tmp_path: Path) -> None:
    gateway = bench(tmp_path, routes=table(candidate=CANDIDATE))
    claimed: dict[str, Any] = {
        "promptship__release": "r-1",
        "promptship__stage": 0,
        "promptship__arm": "candidate",
    }
    await send(gateway, span(1, **claimed), span(2, gen_ai__prompt__version=CANDIDATE_DIGEST, **claimed))
    told = [
        (line.arm, line.release, line.stage, line.unit, line.decision) for line in gateway.spool.observations
    ]
    assert told == [("stable", None, None, None, "pinned"), ("candidate", None, None, None, "pinned")]


@pytest.mark.parametrize(
    "changes",
    [
        {"promptship__feedback_token": TOKEN[:-2] + "xx"},
        {"promptship__feedback_token": 7},
        {"promptship__feedback_token": TOKEN, "gen_ai__prompt__version": STABLE_DIGEST},
        {
            "promptship__feedback_token": TOKEN,
            "gen_ai__prompt__name": "other",
            "gen_ai__prompt__version": None,
        },
        {"ms": -1.0},
        {"gen_ai__usage__input_tokens": 10**12},
    ],
)
async def test_a_span_that_cannot_be_believed_is_refused_and_the_others_are_taken(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    gateway = bench(tmp_path, routes=table(candidate=CANDIDATE))
    heard = await send(gateway, span(1, **changes), span(2))
    assert heard.json["partialSuccess"]["rejectedSpans"] == "1"
    assert heard.json["partialSuccess"]["errorMessage"]
    assert len(gateway.spool.observations) == 1
    assert await counted(gateway) == {"taken": 1, "ignored": 0, "refused": 1}


async def test_partial_success_in_protobuf(tmp_path: Path) -> None:
    gateway = bench(tmp_path)
    body = as_protobuf(export([span(promptship__feedback_token="no"), span(2)])).SerializeToString()
    heard = await gateway.ask("POST", "/v1/traces", body, headers=PROTOBUF)
    answer = ExportTraceServiceResponse.FromString(heard.body)
    assert answer.partial_success.rejected_spans == 1
    assert "token" in answer.partial_success.error_message


@pytest.mark.parametrize("hours", [-24, 1])
async def test_a_span_too_old_to_be_known_again_or_of_the_future_is_refused(
    tmp_path: Path, hours: int
) -> None:
    gateway = bench(tmp_path)
    late = span()
    for edge in ("startTimeUnixNano", "endTimeUnixNano"):
        late[edge] = str(int(late[edge]) + hours * 3_600 * 10**9)
    assert (await send(gateway, late)).json["partialSuccess"]["rejectedSpans"] == "1"
    assert gateway.spool.observations == []


@pytest.mark.parametrize(
    "changes",
    [
        {"gen_ai__prompt__name": None},
        {"gen_ai__prompt__name": "nobody"},
        {"gen_ai__prompt__version": None},
        {"gen_ai__prompt__version": "3"},
        {"gen_ai__prompt__version": "0" * 64},
        {"gen_ai__operation__name": "invoke_agent"},
        {"gen_ai__operation__name": None},
    ],
)
async def test_any_other_span_is_accepted_and_ignored(tmp_path: Path, changes: dict[str, Any]) -> None:
    gateway = bench(tmp_path)
    heard = await send(gateway, span(**changes))
    assert (heard.status, heard.json, gateway.spool.observations) == (200, {}, [])
    assert await counted(gateway) == {"taken": 0, "ignored": 1, "refused": 0}


async def test_the_gateways_own_spans_are_not_counted_again(tmp_path: Path) -> None:
    gateway = bench(tmp_path)
    await send(gateway, span(), scope="promptship.gateway")
    assert gateway.spool.observations == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"failed": True}, (True, "other", 500)),
        (
            {"error__type": "RateLimitError", "http__response__status_code": 429},
            (True, "RateLimitError", 429),
        ),
        ({"error__type": "my card is 4111 1111"}, (True, "other", 500)),
        ({}, (False, "", 200)),
    ],
)
async def test_errors_are_words_never_texts(
    tmp_path: Path, changes: dict[str, Any], expected: tuple[bool, str, int]
) -> None:
    gateway = bench(tmp_path)
    await send(gateway, span(**changes))
    (line,) = gateway.spool.observations
    assert (line.error, line.error_type, line.status) == expected


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", JSON, 400),
        (b"[]", JSON, 400),
        (b'{"resourceSpans": 3}', JSON, 400),
        (b"\xff\xff\xff", PROTOBUF, 400),
        (b"{}", {}, 415),
        (b"{}", {**JSON, "content-encoding": "br"}, 415),
        (b"{}", {**JSON, "content-encoding": "gzip"}, 400),
        (gzip.compress(b"{}", mtime=0)[:-6], {**JSON, "content-encoding": "gzip"}, 400),
        (gzip.compress(b" " * 16_000_001, mtime=0), {**JSON, "content-encoding": "gzip"}, 413),
        (b" " * 4_000_001, JSON, 413),
        (b"{}", {**JSON, "content-type": "application/json; charset=utf-8"}, 200),
        (b"", PROTOBUF, 200),
    ],
)
async def test_bodies(tmp_path: Path, body: bytes, headers: dict[str, str], status: int) -> None:
    gateway = bench(tmp_path)
    assert (await gateway.ask("POST", "/v1/traces", body, headers=headers)).status == status
    assert gateway.app._around.admission.held_bytes == 0


async def test_what_cannot_be_written_is_asked_for_again(tmp_path: Path) -> None:
    gateway = bench(tmp_path, spool=ListSpool(broken=True))
    heard = await send(gateway, span())
    assert (heard.status, heard.headers["retry-after"]) == (503, "1")
    assert (await counted(gateway))["taken"] == 0


async def test_applications_need_their_key_here_too(tmp_path: Path) -> None:
    gateway = bench(tmp_path, applications={"shop": "0" * 64})
    assert (await send(gateway, span())).status == 401


async def test_a_flood_is_shed(tmp_path: Path) -> None:
    gateway = bench(tmp_path, requests_max=1)
    with gateway.app._around.admission.enter(0) or pytest.fail("no place"):
        assert (await send(gateway, span())).status == 429
    assert orjson.loads((await send(gateway, span())).body) == {}
