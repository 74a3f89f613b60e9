"""Spans out: what one holds, whose trace it continues, what the provider gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from promptship.adapters.otel_json import export_request
from promptship.gateway.spans import Tracing
from tests.support.gateway import CANDIDATE, STABLE_DIGEST, Bench, FakeAnswer, bench, completion, event, table
from tests.support.otlp import KeptSpans, as_protobuf

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


def traced(tmp_path: Path, *answers: Any, sample: float = 1.0, **options: Any) -> tuple[Bench, KeptSpans]:
    kept = KeptSpans()
    return bench(tmp_path, *answers, tracing=Tracing(kept, sample), **options), kept


def exported(kept: KeptSpans) -> list[tuple[Any, dict[str, Any]]]:
    """As a collector reads them: by the message definitions of OpenTelemetry."""
    request = as_protobuf(export_request(kept.spans, service="gw", provider_of=lambda _model: "openai"))
    (resource,) = request.resource_spans
    (inside,) = resource.scope_spans
    return [
        (one, {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in one.attributes})
        for one in inside.spans
    ]


async def test_a_span_has_the_names_of_the_conventions(tmp_path: Path) -> None:
    gateway, kept = traced(tmp_path)
    heard = await gateway.chat()
    ((span, said),) = exported(kept)
    assert (span.name, span.kind, span.status.code) == ("chat gpt-x", 3, 0)
    reasons = said.pop("gen_ai.response.finish_reasons")
    assert [one.string_value for one in reasons.values] == ["stop"]
    assert said == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-x",
        "gen_ai.response.id": "c-1",
        "gen_ai.response.model": "gpt-x-1",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.prompt.name": "support",
        "gen_ai.prompt.version": STABLE_DIGEST,
        "promptship.arm": "stable",
        "promptship.request": heard.headers["x-promptship-request-id"],
        "http.response.status_code": 200,
    }
    assert span.end_time_unix_nano >= span.start_time_unix_nano > 0


async def test_a_span_in_an_experiment_says_so_and_names_nobody(tmp_path: Path) -> None:
    routes = table(candidate=CANDIDATE, share=1.0, stage=2)
    gateway, kept = traced(tmp_path, FakeAnswer([completion("s3cret answer")]), routes=routes)
    await gateway.chat(
        {"prompt_variables": {"question": "s3cret question"}}, headers={"x-unit-id": "mallory"}
    )
    ((_, said),) = exported(kept)
    assert (said["promptship.arm"], said["promptship.release"], said["promptship.stage"]) == (
        "candidate",
        "r-1",
        2,
    )
    told = export_request(kept.spans, service="gw", provider_of=lambda _model: "")
    (line,) = gateway.spool.observations
    assert line.unit is not None
    assert not [word for word in ("s3cret", "mallory", line.unit) if word.encode() in told]


async def test_a_trace_is_continued_and_handed_to_the_provider(tmp_path: Path) -> None:
    gateway, kept = traced(tmp_path, sample=0.0)
    await gateway.chat(headers={"traceparent": TRACEPARENT, "tracestate": "a=1"})
    (span,) = kept.spans
    assert (span.trace_id, span.parent_id, span.state) == (TRACE, PARENT, "a=1")
    ((_, sent),) = gateway.upstream.apis
    assert sent == {"traceparent": f"00-{TRACE}-{span.span_id}-01", "tracestate": "a=1"}


async def test_a_caller_that_does_not_sample_gets_no_span_but_its_trace_goes_on(tmp_path: Path) -> None:
    gateway, kept = traced(tmp_path)
    await gateway.chat(headers={"traceparent": TRACEPARENT[:-1] + "0"})
    ((_, sent),) = gateway.upstream.apis
    assert kept.spans == []
    assert sent["traceparent"].startswith(f"00-{TRACE}-")
    assert sent["traceparent"].endswith("-00")


@pytest.mark.parametrize(
    "broken",
    ["", "x", TRACEPARENT.upper(), TRACEPARENT + "-more", f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01",
     f"00-{TRACE}-{'0' * 16}-01", TRACEPARENT[:-1]],
)  # fmt: skip
async def test_what_is_no_traceparent_begins_a_trace_named_by_the_request(
    tmp_path: Path, broken: str
) -> None:
    gateway, kept = traced(tmp_path)
    heard = await gateway.chat(headers={"traceparent": broken})
    (span,) = kept.spans
    assert span.parent_id == ""
    assert span.trace_id == heard.headers["x-promptship-request-id"].replace("-", "")


async def test_a_later_version_of_traceparent_is_understood(tmp_path: Path) -> None:
    gateway, kept = traced(tmp_path)
    await gateway.chat(headers={"traceparent": f"01-{TRACE}-{PARENT}-01-more"})
    assert kept.spans[0].trace_id == TRACE


@pytest.mark.parametrize(("sample", "count"), [(0.0, 0), (1.0, 20)])
async def test_a_share_of_the_new_traces_is_sampled(tmp_path: Path, sample: float, count: int) -> None:
    gateway, kept = traced(tmp_path, sample=sample)
    for _ in range(20):
        await gateway.chat()
    assert len(kept.spans) == count


async def test_an_error_is_one_in_the_span_and_a_stream_tells_its_first_piece(tmp_path: Path) -> None:
    usage: dict[str, Any] = {
        "usage": {"prompt_tokens": 5, "completion_tokens": 2},
        "id": "c-9",
        "model": "gpt-x-2",
    }
    stream = FakeAnswer(
        [event("hi", **usage), event(finish="stop", **usage), b"data: [DONE]\n\n"],
        content_type="text/event-stream",
    )
    gateway, kept = traced(tmp_path, FakeAnswer([b"no"], status=503), stream)
    await gateway.chat()
    await gateway.chat({"stream": True})
    (failed, why), (streamed, said) = exported(kept)
    assert (failed.status.code, why["error.type"], why["http.response.status_code"]) == (
        2,
        "upstream_503",
        503,
    )
    assert streamed.status.code == 0
    assert (said["gen_ai.request.stream"], said["gen_ai.response.id"]) == (True, "c-9")
    assert said["gen_ai.response.time_to_first_chunk"] >= 0


async def test_without_tracing_nothing_is_sent_along(tmp_path: Path) -> None:
    gateway = bench(tmp_path)
    await gateway.chat(headers={"traceparent": TRACEPARENT})
    assert gateway.upstream.apis == [("chat", {})]


async def test_a_request_that_is_not_routed_has_no_span(tmp_path: Path) -> None:
    gateway, kept = traced(tmp_path)
    assert (await gateway.chat({"model": "prompt:nobody"})).status == 404
    assert kept.spans == []


async def test_losses_are_shown(tmp_path: Path) -> None:
    gateway, kept = traced(tmp_path)
    kept.lost = 3
    assert orjson.loads((await gateway.ask("GET", "/healthz")).body)["spans_lost"] == 3
