"""OpenTelemetry's own exporter against a gateway process, and the gateway's spans at a collector."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from promptship.settings import OtelSettings
from tests.support.gateway import CANDIDATE, CANDIDATE_DIGEST, STABLE_DIGEST, completion, table
from tests.support.gateway_process import BODY, running, until
from tests.support.loopback import Loopback, raw, says
from tests.support.otlp import as_protobuf

pytestmark = pytest.mark.system

KEY = "key of the application"
APPLICATIONS = {"app": hashlib.sha256(KEY.encode()).hexdigest()}
CANARY = table(candidate=CANDIDATE, share=1.0, lease_s=600.0)
ANSWERS = says(raw("200 OK", completion(), "content-type: application/json"))
USAGE: Mapping[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-x",
    "gen_ai.usage.input_tokens": 9,
    "gen_ai.usage.output_tokens": 5,
    "gen_ai.response.finish_reasons": ("stop",),
    "gen_ai.input.messages": "s3cret text of a user",
    "user.id": "s3cret-user",
}


def exporter(
    address: str, *, key: str = KEY, compression: Compression = Compression.Gzip
) -> OTLPSpanExporter:
    headers = {"authorization": f"Bearer {key}"}
    return OTLPSpanExporter(f"{address}/v1/traces", headers=headers, timeout=10, compression=compression)


def spans_of_an_application(token: str) -> list[ReadableSpan]:
    """One call in the experiment, one of a pinned version, and the agent around them."""
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(kept))
    tracer = provider.get_tracer("my-app")
    with tracer.start_as_current_span("invoke_agent", attributes={"gen_ai.operation.name": "invoke_agent"}):
        for version, more in (
            (CANDIDATE_DIGEST, {"promptship.feedback_token": token}),
            (STABLE_DIGEST, {"promptship.arm": "candidate", "promptship.release": "r-1"}),
        ):
            named = {"gen_ai.prompt.name": "support", "gen_ai.prompt.version": version}
            with tracer.start_as_current_span(
                "chat gpt-x", kind=SpanKind.CLIENT, attributes={**USAGE, **named, **more}
            ):
                pass
    provider.force_flush()
    return list(kept.get_finished_spans())


async def test_the_official_exporter_reports_calls_that_the_gateway_did_not_see(tmp_path: Path) -> None:
    async with running(tmp_path, CANARY, ANSWERS, applications=APPLICATIONS) as (started, _, _):
        asked = await started.http.post(
            "/ofrep/v1/evaluate/flags/support",
            json={"context": {"targetingKey": "user-1", "variables": {"question": "why?"}}},
            headers={"authorization": f"Bearer {KEY}"},
        )
        token = asked.json()["metadata"]["feedbackToken"]
        before = len(started.lines())
        spans = await asyncio.to_thread(spans_of_an_application, token)
        for compression in (Compression.Gzip, Compression.NoCompression):  # the second time is a retry
            sent = exporter(started.address, compression=compression)
            assert await asyncio.to_thread(sent.export, spans) is SpanExportResult.SUCCESS
        stranger = exporter(started.address, key="another")
        assert await asyncio.to_thread(stranger.export, spans) is SpanExportResult.FAILURE
        health = (await started.http.get("/healthz")).json()
        lines = started.lines()[before:]
    assert health["spans_in"] == {"taken": 4, "ignored": 2, "refused": 0}
    told = {line["id"]: (line["arm"], line["release"], line["decision"], line["tokens_in"]) for line in lines}
    assert (len(lines), len(told)) == (4, 2)
    assert sorted(told.values(), key=str) == [("candidate", "r-1", "in", 9), ("stable", None, "pinned", 9)]
    assert "s3cret" not in str(lines)
    assert b"s3cret" not in (tmp_path / "stderr").read_bytes()


async def test_the_gateways_spans_join_the_callers_trace_at_a_collector(tmp_path: Path) -> None:
    tracer = TracerProvider().get_tracer("my-app")
    takes = says(raw("200 OK", b"{}", "content-type: application/json"))
    async with Loopback(takes) as collector:
        otel = OtelSettings(endpoint=collector.url, every=0.05)
        async with running(tmp_path, CANARY, ANSWERS, otel=otel) as (started, _, upstream):
            with tracer.start_as_current_span("shop") as caller:
                headers: dict[str, str] = {}
                TraceContextTextMapPropagator().inject(headers)
                await started.http.post("/v1/chat/completions", json=BODY, headers=headers)

            async def arrived() -> bool:
                return bool(collector.asked)

            await until(arrived)
            passed = upstream.asked[-1].headers["traceparent"]
            health = (await started.http.get("/healthz")).json()
    message = as_protobuf(gzip.decompress(collector.asked[0].body))
    (span,) = message.resource_spans[0].scope_spans[0].spans
    context = caller.get_span_context()
    assert span.trace_id == context.trace_id.to_bytes(16)
    assert span.parent_span_id == context.span_id.to_bytes(8)
    assert passed == f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01"
    assert (span.name, health["spans_lost"], collector.asked[0].path) == ("chat gpt-x", 0, "/v1/traces")


async def test_a_collector_that_is_away_costs_no_request(tmp_path: Path) -> None:
    otel = OtelSettings(endpoint="http://127.0.0.1:9", every=0.05, queue_max=5)
    async with running(tmp_path, CANARY, ANSWERS, otel=otel) as (started, _, _):
        for _ in range(40):
            assert (await started.ask()).status_code == 200
        assert (await started.http.get("/healthz")).json()["status"] == "ok"
        started.process.terminate()
        assert await asyncio.wait_for(started.process.wait(), 20) == 0
    assert b"spans do not reach the collector" in (tmp_path / "stderr").read_bytes()
