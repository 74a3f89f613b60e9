"""Spans on their way to a collector: batches, retries, a bounded queue, and every loss counted."""

from __future__ import annotations

import gzip
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

from promptship.adapters.otel import (
    BATCH_MAX,
    STOP_S_MAX,
    OtlpSpans,
    Providers,
    headers_of,
    spans_of,
    traces_url,
)
from promptship.adapters.otel_json import UNTOLD, Span
from promptship.errors import ConfigError
from promptship.settings import ModelSettings, OtelSettings, ProviderSettings
from tests.support.gateway import AT, STABLE_DIGEST

LINE: dict[str, Any] = {
    "id": "0192f0c1-7c2a-7000-8000-000000000001", "at_ms": int(AT.timestamp() * 1000), "prompt": "support",
    "version": STABLE_DIGEST, "arm": "stable", "release": None, "stage": None, "unit": None, "model": "gpt-x",
    "latency_ms": 12.5, "ttft_ms": None, "tokens_in": 7, "tokens_out": 3, "cost_usd": 0.5, "status": 200, "error": False,
    "error_type": "", "refusal": False, "streamed": False, "decision": "",
}  # fmt: skip


def made(number: int) -> Span:
    return Span(f"{7:032x}", f"{number:016x}", "", "", LINE, UNTOLD)


class Collector:
    """Answers with these statuses in order, the last one for ever; keeps what it accepted."""

    def __init__(self, *statuses: int, partial: int = 0) -> None:
        self.statuses = list(statuses) or [200]
        self.partial = partial
        self.batches: list[list[dict[str, Any]]] = []
        self.headers: list[httpx.Headers] = []
        self.asked = 0
        self.free = threading.Event()
        self.free.set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.free.wait(10)
        self.asked += 1
        self.headers.append(request.headers)
        assert str(request.url) == "http://collector:4318/v1/traces"
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status == 0:
            raise httpx.ConnectError("away")
        if status == 200:
            told = orjson.loads(gzip.decompress(request.content))
            self.batches.append(told["resourceSpans"][0]["scopeSpans"][0]["spans"])
        return httpx.Response(status, json={"partialSuccess": {"rejectedSpans": str(self.partial)}})


def exporter(
    collector: Collector,
    *,
    retry_s: tuple[float, ...] = (0.001, 0.001),
    monotonic: Callable[[], float] = time.monotonic,
    **options: Any,
) -> OtlpSpans:
    settings = OtelSettings(endpoint="http://collector:4318", **({"every": 0.001} | options))
    client = httpx.Client(transport=httpx.MockTransport(collector))
    headers = {"x-key": "k"}
    return OtlpSpans(
        settings,
        headers=headers,
        providers=Providers({}, {}),
        client=client,
        retry_s=retry_s,
        monotonic=monotonic,
    )


def test_everything_offered_arrives_in_batches_and_in_order() -> None:
    collector = Collector()
    spans = exporter(collector, every=30.0)
    for number in range(1, 2 * BATCH_MAX + 2):
        spans.offer(made(number))
    spans.close()
    arrived = [int(one["spanId"], 16) for batch in collector.batches for one in batch]
    assert arrived == list(range(1, 2 * BATCH_MAX + 2))
    assert max(map(len, collector.batches)) <= BATCH_MAX
    assert (collector.headers[0]["x-key"], collector.headers[0]["content-type"]) == ("k", "application/json")
    assert spans.lost == 0


def test_without_a_span_there_is_no_thread() -> None:
    collector = Collector()
    exporter(collector).close()
    assert collector.asked == 0


@pytest.mark.parametrize("status", [0, 429, 502, 503, 504])
def test_a_collector_that_is_away_is_asked_again(status: int) -> None:
    collector = Collector(status, 200)
    spans = exporter(collector)
    spans.offer(made(1))
    while not collector.batches:
        time.sleep(0.001)
    spans.close()
    assert (collector.asked, spans.lost) == (2, 0)


@pytest.mark.parametrize(("status", "asked"), [(400, 1), (401, 1), (503, 3), (0, 3)])
def test_what_does_not_arrive_is_counted(status: int, asked: int) -> None:
    collector = Collector(status)
    spans = exporter(collector)
    spans.offer(made(1))
    while spans.lost == 0:
        time.sleep(0.001)
    spans.close()
    assert (collector.asked, spans.lost) == (asked, 1)


def test_what_the_collector_refuses_is_counted() -> None:
    collector = Collector(partial=2)
    spans = exporter(collector)
    for number in (1, 2, 3):
        spans.offer(made(number))
    spans.close()
    assert spans.lost == 2 * len(collector.batches) > 0


def test_the_queue_is_bounded_and_offering_never_waits() -> None:
    collector = Collector()
    collector.free.clear()  # the collector hangs
    spans = exporter(collector, queue_max=10)
    for number in range(1, 501):
        spans.offer(made(number))
    assert spans.lost >= 500 - 10 - BATCH_MAX
    collector.free.set()
    spans.close()
    assert sum(map(len, collector.batches)) + spans.lost == 500


def test_a_stop_does_not_wait_for_a_collector_that_is_away() -> None:
    collector = Collector(503)
    spans = exporter(collector, retry_s=(3600.0,), every=30.0)
    for number in range(1, 2 * BATCH_MAX + 2):
        spans.offer(made(number))
    spans.close()
    assert (spans.lost, collector.asked) == (2 * BATCH_MAX + 1, 1)


def test_a_stop_does_not_wait_for_a_slow_collector_for_long() -> None:
    collector, clock = (
        Collector(),
        itertools.count(0.0, 0.6 * STOP_S_MAX),
    )  # every look at it is that much later
    spans = exporter(collector, every=30.0, monotonic=lambda: next(clock))
    collector.free.clear()
    for number in range(1, 5 * BATCH_MAX + 1):
        spans.offer(made(number))
    closing = threading.Thread(target=spans.close)
    closing.start()
    while not spans._closed.is_set():
        time.sleep(0.001)
    collector.free.set()
    closing.join()
    assert (len(collector.batches), spans.lost) == (2, 3 * BATCH_MAX)


def test_addresses() -> None:
    assert traces_url("http://c:4318") == traces_url("http://c:4318/") == "http://c:4318/v1/traces"
    assert traces_url("https://c/otlp/v1/traces") == "https://c/otlp/v1/traces"
    assert spans_of(OtelSettings(), {}, {}, {}) is None


def test_headers_of_the_environment() -> None:
    assert headers_of("V", "Authorization=Bearer%20a=b, x-team=1,") == {
        "authorization": "Bearer a=b",
        "x-team": "1",
    }
    with pytest.raises(ConfigError) as raised:
        headers_of("V", "s3cret")
    assert "V" in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_providers_have_the_conventions_names() -> None:
    kinds: dict[str, dict[str, Any]] = {
        "openai": {"base_url": "https://api.openai.com/v1"},
        "local": {"base_url": "http://127.0.0.1:8000/v1"},
        "claude": {"kind": "anthropic"},
        "cloud": {"kind": "azure", "base_url": "https://x.openai.azure.com"},
        "google": {"kind": "gemini"},
        "vertex": {"kind": "gemini", "project": "p"},
        "aws": {"kind": "bedrock"},
    }
    providers = {name: ProviderSettings.model_validate(one) for name, one in kinds.items()}
    name_of = Providers(providers, {name: ModelSettings(provider=name) for name in kinds})
    assert [name_of(name) for name in kinds] == [
        "openai", "local", "anthropic", "azure.ai.openai", "gcp.gemini", "gcp.vertex_ai", "aws.bedrock",
    ]  # fmt: skip
    assert Providers({}, {})("gpt-x") == ""
