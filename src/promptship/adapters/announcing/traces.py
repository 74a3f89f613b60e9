"""A release as one trace: a span per part of its life, and one around them when it has ended. OTLP/HTTP with JSON."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import httpx
import orjson

from promptship import __version__
from promptship.adapters.announcing.posting import LATER, MENDED, post
from promptship.adapters.otel import traces_url
from promptship.release.events import PHASE_AFTER, Event, Fact
from promptship.release.history import Release, fold
from promptship.release.phase import OPEN, Phase

SCOPE: Final = "promptship.release"
_INTERNAL: Final = 1
_DOING: Final[Mapping[Phase, str]] = {
    Phase.REQUESTED: "lint",
    Phase.LINTED: "regression",
    Phase.EVALUATED: "start",
    Phase.CANARY: "canary",
    Phase.AWAITING_APPROVAL: "approval",
    Phase.APPROVED: "promotion",
    Phase.PROMOTED: "serving",
}
"""What is done while a release stands in a phase: the name of the span that ends with it."""
_FAILED: Final = frozenset({Phase.REJECTED, Phase.ROLLED_BACK, Phase.FAILED})


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of a release's life."""

    name: str
    id: str
    parent: str
    began: datetime
    ended: datetime
    release: Release
    """As it stands at the end of it."""


def trace_id(release_id: str) -> str:
    """32 hex digits that follow from the release: whoever knows the release finds its trace."""
    return hashlib.sha256(f"promptship.release:{release_id}".encode()).hexdigest()[:32]


def span_id(release_id: str, seq: int | None) -> str:
    """16 hex digits: of the part that ends with event `seq`, or of the span around all."""
    name = "root" if seq is None else str(seq)
    return hashlib.sha256(f"promptship.release:{release_id}:{name}".encode()).hexdigest()[:16]


class ReleaseTraces:
    """Sends the part of a release that an event ends. Ids follow from release and event: sent twice, it is the same span.

    Args:
        endpoint: base address of a collector.
        headers: sent with every span.
        service: `service.name`.
        history: events of a release without its looks.
        timeout_s: deadline of one call.
    """

    name: Final = "traces"

    def __init__(
        self,
        endpoint: str,
        *,
        headers: Mapping[str, str],
        service: str,
        history: Callable[[str], Sequence[Event]],
        timeout_s: float,
    ) -> None:
        self._url = traces_url(endpoint)
        self._service = service
        self._history = history
        sent = {"content-type": "application/json", "content-encoding": "gzip", **headers}
        self._client = httpx.Client(headers=sent, timeout=timeout_s)

    def wants(self, fact: Fact) -> bool:
        """What moves a release: anything else ends no part of it."""
        return PHASE_AFTER[fact.kind] is not None and fact.kind != "requested"

    def tell(self, event: Event, release: Release) -> None:  # noqa: ARG002 - the span says how it stood then
        """Send the span that ends here. Raises Unavailable, or Refused when the collector does not take it."""
        parts = parts_ended_by(event, self._history(event.release_id))
        sent = gzip.compress(export_request(parts, service=self._service))
        post(self._client, self._url, "collector of traces", later=LATER | MENDED, content=sent)

    def close(self) -> None:
        """Close connections."""
        self._client.close()


def parts_ended_by(event: Event, history: Sequence[Event]) -> list[_Part]:
    """The part of its life that a release left with this event; with its first ending also the span around everything. Pure."""
    so_far = [one for one in history if one.seq <= event.seq]
    before = fold(so_far[:-1])
    after = fold(so_far)
    root = span_id(event.release_id, None)
    name = _DOING[before.phase] + (f" stage {before.stage}" if before.phase is Phase.CANARY else "")
    part = _Part(name, span_id(event.release_id, event.seq), root, before.moved_at, event.at, after)
    if after.phase in OPEN or before.phase not in OPEN:
        return [part]
    return [part, _Part(f"release {after.prompt}", root, "", after.opened_at, event.at, after)]


def export_request(parts: Sequence[_Part], *, service: str) -> bytes:
    """An ExportTraceServiceRequest."""
    resource = _attributes({"service.name": service, "service.version": __version__})
    inside = {"scope": {"name": SCOPE, "version": __version__}, "spans": [_span(part) for part in parts]}
    return orjson.dumps({"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": [inside]}]})


def _span(part: _Part) -> dict[str, Any]:
    release = part.release
    told: dict[str, str | int | float] = {
        "promptship.release": release.id,
        "gen_ai.prompt.name": release.prompt,
        "promptship.commit": release.commit,
        "promptship.phase": release.phase.value,
        "promptship.share": release.share,
    }
    if release.version is not None:
        told["gen_ai.prompt.version"] = release.version
    if release.stage is not None:
        told["promptship.stage"] = release.stage
    span: dict[str, Any] = {
        "traceId": trace_id(release.id),
        "spanId": part.id,
        "name": part.name,
        "kind": _INTERNAL,
        "startTimeUnixNano": _nanoseconds(part.began),
        "endTimeUnixNano": _nanoseconds(part.ended),
        "attributes": _attributes(told),
        "status": {"code": 2, "message": release.phase.value} if release.phase in _FAILED else {},
    }
    if part.parent:
        span["parentSpanId"] = part.parent
    return span


def _nanoseconds(at: datetime) -> str:
    """64-bit numbers are texts in OTLP/JSON."""
    return str(int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1_000)


def _attributes(values: Mapping[str, str | float]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: str | float) -> dict[str, Any]:
    if isinstance(value, str):
        return {"stringValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"doubleValue": value}
