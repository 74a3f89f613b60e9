"""Spans of served requests as OTLP/JSON, in the names of OpenTelemetry's GenAI conventions. Pure.

Written directly: OpenTelemetry's own encoder takes 45 us of CPU per span, more than all other telemetry of a request. The
conventions are in development, so names stand here as literals. Never a prompt's text, an answer, or who asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from promptship import __version__

SCOPE: Final = "promptship.gateway"
"""Instrumentation scope of the gateway's spans: by it the gateway knows its own when they come back."""
_CLIENT: Final = 3
_UNSET: Final[Mapping[str, int]] = {}
_ERROR: Final[Mapping[str, int]] = {"code": 2}
_WORD_CHARACTERS_MAX: Final = 128
_MS: Final = 1_000_000

_TEXTS: Final = (
    ("prompt", "gen_ai.prompt.name"),
    ("version", "gen_ai.prompt.version"),
    ("arm", "promptship.arm"),
    ("release", "promptship.release"),
    ("id", "promptship.request"),
    ("decision", "promptship.decision"),
    ("error_type", "error.type"),
)
_COUNTS: Final = (
    ("tokens_in", "gen_ai.usage.input_tokens"),
    ("tokens_out", "gen_ai.usage.output_tokens"),
    ("stage", "promptship.stage"),
    ("status", "http.response.status_code"),
)


class Told(NamedTuple):
    """What the answer says about itself beside its usage; empty: nothing."""

    response_id: str = ""
    response_model: str = ""
    finish_reason: str = ""


UNTOLD: Final = Told()


class Span(NamedTuple):
    """One served request. Made in the request's path: everything else about it is done later, in another thread."""

    trace_id: str
    span_id: str
    parent_id: str
    """Empty: the trace begins here."""
    state: str
    """`tracestate`, as it came."""
    line: Mapping[str, Any]
    """The fields of its Observation."""
    told: Told


def export_request(spans: Sequence[Span], *, service: str, provider_of: Callable[[str], str]) -> bytes:
    """An ExportTraceServiceRequest. `provider_of`: model -> `gen_ai.provider.name`, empty if it is not known."""
    resource = [_text("service.name", service), _text("service.version", __version__)]
    scope = {"name": SCOPE, "version": __version__}
    inside = {"scope": scope, "spans": [_span(span, provider_of) for span in spans]}
    return orjson.dumps({"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": [inside]}]})


def _span(span: Span, provider_of: Callable[[str], str]) -> dict[str, Any]:
    line, model = span.line, span.line["model"]
    start = line["at_ms"] * _MS
    found: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": f"chat {model}" if model else "chat",
        "kind": _CLIENT,
        # 64-bit numbers are texts in OTLP/JSON.
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + int(line["latency_ms"] * _MS)),
        "attributes": _attributes(line, model, span.told, provider_of(model) if model else ""),
        "status": _ERROR if line["error"] else _UNSET,
    }
    if span.parent_id:
        found["parentSpanId"] = span.parent_id
    if span.state:
        found["traceState"] = span.state
    return found


def _attributes(line: Mapping[str, Any], model: str, told: Told, provider: str) -> list[dict[str, Any]]:
    texts = (
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", provider),
        ("gen_ai.request.model", model),
        ("gen_ai.response.id", told.response_id[:_WORD_CHARACTERS_MAX]),
        ("gen_ai.response.model", told.response_model[:_WORD_CHARACTERS_MAX]),
    )
    found = [_text(key, value) for key, value in texts if value]
    found += [_text(key, line[name]) for name, key in _TEXTS if line[name]]
    found += [
        {"key": key, "value": {"intValue": str(line[name])}}
        for name, key in _COUNTS
        if line[name] is not None
    ]
    if told.finish_reason:
        reason = {"stringValue": told.finish_reason[:_WORD_CHARACTERS_MAX]}
        found.append({"key": "gen_ai.response.finish_reasons", "value": {"arrayValue": {"values": [reason]}}})
    if line["streamed"]:
        found.append({"key": "gen_ai.request.stream", "value": {"boolValue": True}})
    if line["ttft_ms"] is not None:
        found.append(_number("gen_ai.response.time_to_first_chunk", line["ttft_ms"] / 1000))
    if line["cost_usd"] is not None:
        found.append(_number("promptship.cost_usd", line["cost_usd"]))
    return found


def _text(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


def _number(key: str, value: float) -> dict[str, Any]:
    return {"key": key, "value": {"doubleValue": value}}
