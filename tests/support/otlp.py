"""Spans as applications send them, and spans as they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from promptship.adapters.otel_json import Span
from tests.support.gateway import AT, STABLE_DIGEST

JSON = {"content-type": "application/json"}
PROTOBUF = {"content-type": "application/x-protobuf"}
AT_NS = int(AT.timestamp() * 1e9)


class KeptSpans:
    """A list for a collector."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.lost = 0
        self.closed = False

    def offer(self, span: Span) -> None:
        self.spans.append(span)

    def close(self) -> None:
        self.closed = True


def value(of: Any) -> dict[str, Any]:
    if isinstance(of, bool):
        return {"boolValue": of}
    if isinstance(of, int):
        return {"intValue": str(of)}
    if isinstance(of, float):
        return {"doubleValue": of}
    if isinstance(of, list):
        return {"arrayValue": {"values": [value(one) for one in of]}}
    return {"stringValue": of}


def span(number: int = 1, *, ms: float = 250.0, failed: bool = False, **attributes: Any) -> dict[str, Any]:
    """A chat span of the stable version; `attributes` with `__` for dots, None: left out."""
    said = {
        "gen_ai.operation.name": "chat",
        "gen_ai.prompt.name": "support",
        "gen_ai.prompt.version": STABLE_DIGEST,
        **{name.replace("__", "."): one for name, one in attributes.items()},
    }
    return {
        "traceId": f"{7:032x}",
        "spanId": f"{number:016x}",
        "name": "chat gpt-x",
        "kind": 3,
        "startTimeUnixNano": str(AT_NS),
        "endTimeUnixNano": str(AT_NS + int(ms * 1e6)),
        "attributes": [{"key": key, "value": value(one)} for key, one in said.items() if one is not None],
        "status": {"code": 2} if failed else {},
    }


def export(spans: Sequence[dict[str, Any]], *, scope: str = "my-app") -> bytes:
    return orjson.dumps({"resourceSpans": [{"scopeSpans": [{"scope": {"name": scope}, "spans": [*spans]}]}]})


def as_protobuf(told: bytes) -> ExportTraceServiceRequest:
    """OTLP/JSON as the protobuf message; ids are hexadecimal there, where protobuf's own JSON has base64."""
    message = ExportTraceServiceRequest()
    Parse(told, message)
    for resource in message.resource_spans:
        for inside in resource.scope_spans:
            for one in inside.spans:
                one.trace_id, one.span_id = _unhex(one.trace_id), _unhex(one.span_id)
                one.parent_span_id = _unhex(one.parent_span_id)
    return message


def _unhex(read_as_base64: bytes) -> bytes:
    from base64 import b64encode

    return bytes.fromhex(b64encode(read_as_base64).decode())
