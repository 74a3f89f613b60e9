"""Spans out of an OTLP request, JSON or protobuf: of each only what an observation needs. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from promptship.gateway.rejection import Rejection, bad_request

JSON_TYPE: Final = "application/json"
PROTOBUF_TYPE: Final = "application/x-protobuf"
INFLATED_BYTES_MAX: Final = 16_000_000
PROMPT: Final = "gen_ai.prompt.name"
TOKEN: Final = "promptship.feedback_token"  # noqa: S105 - the name of an attribute
WANTED: Final = frozenset(
    {
        PROMPT, TOKEN, "gen_ai.prompt.version", "gen_ai.operation.name", "gen_ai.request.model", "gen_ai.response.model",
        "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.prompt_tokens",
        "gen_ai.usage.completion_tokens", "gen_ai.response.finish_reasons", "gen_ai.request.stream",
        "gen_ai.response.time_to_first_chunk", "error.type", "http.response.status_code",
    }
)  # fmt: skip
"""Attributes that are read. All others, messages and user ids among them, are not even looked at."""
_GZIP: Final = 31
_ERROR: Final = 2
_SCALARS: Final = {"stringValue": str, "boolValue": bool, "intValue": int, "doubleValue": float}


@dataclass(frozen=True, slots=True)
class Seen:
    """One span."""

    trace_id: str
    span_id: str
    scope: str
    start_ns: int
    end_ns: int
    failed: bool
    """Its status is an error."""
    attributes: Mapping[str, Any]
    """Of `WANTED`, those it has."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request holds."""

    spans: Sequence[Seen] = ()
    others: int = 0
    """Spans that name no prompt."""
    malformed: int = 0


def inflated(body: bytes, encoding: str) -> bytes | Rejection:
    """The body without its compression; a rejection: another one than gzip, broken, or larger than 16 MB."""
    if encoding in {"", "identity"}:
        return body
    if encoding != "gzip":
        return Rejection(415, "unsupported_encoding", "content-encoding is gzip or nothing")
    unzip = zlib.decompressobj(_GZIP)
    try:
        content = unzip.decompress(body, INFLATED_BYTES_MAX)
    except zlib.error:
        return bad_request("the body is not gzip")
    if unzip.unconsumed_tail:
        return Rejection(
            413, "request_too_large", f"the body inflates to more than {INFLATED_BYTES_MAX:,} bytes"
        )
    return content if unzip.eof else bad_request("the body is cut off")


def read_traces(body: bytes, content_type: str) -> Batch | Rejection:
    """The spans of an ExportTraceServiceRequest."""
    if content_type == JSON_TYPE:
        return _from_json(body)
    if content_type == PROTOBUF_TYPE:
        return _from_protobuf(body)
    return Rejection(415, "unsupported_type", f"content-type is {PROTOBUF_TYPE} or {JSON_TYPE}")


def _from_json(body: bytes) -> Batch | Rejection:
    try:
        fields = orjson.loads(body)
        spans = [
            (str((inside.get("scope") or {}).get("name") or ""), span)
            for resource in fields.get("resourceSpans") or ()
            for inside in resource.get("scopeSpans") or ()
            for span in inside.get("spans") or ()
        ]
    except (ValueError, AttributeError, TypeError):
        return bad_request("the body is not an ExportTraceServiceRequest in JSON")
    return _batch(iter(spans), _json_span)


def _from_protobuf(body: bytes) -> Batch | Rejection:
    try:
        from google.protobuf.message import DecodeError
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    except ImportError:
        return Rejection(
            415, "unsupported_type", f"this gateway reads {JSON_TYPE}; for protobuf it needs promptship[otel]"
        )
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        return bad_request("the body is not an ExportTraceServiceRequest in protobuf")
    spans = (
        (inside.scope.name, span)
        for resource in request.resource_spans
        for inside in resource.scope_spans
        for span in inside.spans
    )
    return _batch(spans, _protobuf_span)


def _batch(spans: Iterator[tuple[str, Any]], read: Callable[[str, Any], Seen | None]) -> Batch:
    found: list[Seen] = []
    others = malformed = 0
    for scope, span in spans:
        try:
            seen = read(scope, span)
        except (ValueError, KeyError, AttributeError, TypeError):
            malformed += 1
            continue
        if seen is None:
            others += 1
        else:
            found.append(seen)
    return Batch(found, others, malformed)


def _json_span(scope: str, span: Mapping[str, Any]) -> Seen | None:
    pairs = ((one["key"], one.get("value") or {}) for one in span.get("attributes") or ())
    attributes = {key: _json_value(value) for key, value in pairs if key in WANTED}
    if PROMPT not in attributes and TOKEN not in attributes:
        return None
    status = (span.get("status") or {}).get("code")
    return Seen(
        trace_id=_id(span["traceId"], 32),
        span_id=_id(span["spanId"], 16),
        scope=scope,
        start_ns=int(span["startTimeUnixNano"]),
        end_ns=int(span["endTimeUnixNano"]),
        failed=status in {_ERROR, "STATUS_CODE_ERROR"},
        attributes=attributes,
    )


def _json_value(value: Mapping[str, Any]) -> Any:
    for kind, made in _SCALARS.items():
        if kind in value:
            return made(value[kind])
    if "arrayValue" in value:
        return [_json_value(one) for one in value["arrayValue"].get("values") or ()]
    return None


def _protobuf_span(scope: str, span: Any) -> Seen | None:
    attributes = {one.key: _protobuf_value(one.value) for one in span.attributes if one.key in WANTED}
    if PROMPT not in attributes and TOKEN not in attributes:
        return None
    return Seen(
        trace_id=_id(span.trace_id.hex(), 32),
        span_id=_id(span.span_id.hex(), 16),
        scope=scope,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        failed=span.status.code == _ERROR,
        attributes=attributes,
    )


def _protobuf_value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind in {"string_value", "bool_value", "int_value", "double_value"}:
        return getattr(value, kind)
    return [_protobuf_value(one) for one in value.array_value.values] if kind == "array_value" else None


def _id(text: str, digits: int) -> str:
    """Hexadecimal digits in lower case. Raises ValueError: another length, or all of them zero, which is no id."""
    if len(text) != digits or int(text, 16) == 0:
        raise ValueError("not an id")
    return text.lower()
