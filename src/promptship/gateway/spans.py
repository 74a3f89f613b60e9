"""One span per routed request: a caller's trace is continued, handed to the provider, and told when the answer has ended."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from promptship.adapters.otel_json import UNTOLD, Span, Told
from promptship.gateway.wire import Scope, header

_PARENT: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
"""W3C Trace Context, level 1; later versions may append fields."""
_STATE_CHARACTERS_MAX: Final = 512
_SAMPLED: Final = 1
_DRAWN_OF: Final = 1 << 56


class Spans(Protocol):
    """Where spans go. Never raises, never waits."""

    @property
    def lost(self) -> int:
        """Spans that did not arrive since the start."""
        ...

    def offer(self, span: Span) -> None:
        """Hand on one."""
        ...

    def close(self) -> None:
        """Everything on its way."""
        ...


class Traced:
    """The span of one request while it is served."""

    __slots__ = ("_parent_id", "_sampled", "_span_id", "_spans", "_state", "_trace_id")

    def __init__(self, spans: Spans, trace_id: str, parent_id: str, state: str, *, sampled: bool) -> None:
        self._spans = spans
        self._trace_id = trace_id
        self._span_id = _span_id()
        self._parent_id = parent_id
        self._state = state
        self._sampled = sampled

    def headers(self) -> tuple[tuple[str, str], ...]:
        """What the provider gets: this span is the parent of what it does."""
        parent = ("traceparent", f"00-{self._trace_id}-{self._span_id}-{int(self._sampled):02x}")
        return (parent, ("tracestate", self._state)) if self._state else (parent,)

    def ended(self, line: Mapping[str, Any], told: Told | None) -> None:
        """The request's observation is written; `line` must not change any more."""
        if self._sampled:
            self._spans.offer(
                Span(self._trace_id, self._span_id, self._parent_id, self._state, line, told or UNTOLD)
            )


@dataclass(frozen=True, slots=True)
class Tracing:
    """Begins spans."""

    spans: Spans
    sample: float = 1.0
    """Share of the requests without a caller's decision."""

    def begin(self, scope: Scope, request: str) -> Traced:
        """The span of a request with that id (a UUIDv7).

        A valid `traceparent` is continued, with its decision whether to sample; else the request's id is the trace's, so either
        is found by the other.
        """
        found = _PARENT.fullmatch(header(scope, b"traceparent"))
        if found is None or (found[1] == "00" and found[5]):
            trace_id = request.replace("-", "")
            drawn = int(trace_id[-14:], 16) < self.sample * _DRAWN_OF
            return Traced(self.spans, trace_id, "", "", sampled=drawn)
        state = header(scope, b"tracestate")
        return Traced(
            self.spans,
            found[2],
            found[3],
            state if len(state) <= _STATE_CHARACTERS_MAX and state.isascii() else "",
            sampled=bool(int(found[4], 16) & _SAMPLED),
        )


def _span_id() -> str:
    # Eight zero bytes would be no id; the first is kept off zero.
    return f"{int.from_bytes(os.urandom(8)) | 1 << 63:016x}"
