"""POST /v1/traces, OTLP/HTTP: an application that calls models by itself is measured by its spans.

GenAI spans that name a prompt and its version become observations. Into an experiment a span comes only with the signed token of
its evaluation: what it says of its arm and release by itself is not believed. Without one it counts outside, like a call that
pins its version.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from pydantic import ValidationError

from promptship.adapters.otel_json import SCOPE
from promptship.client.live import LiveTable
from promptship.errors import Refused
from promptship.gateway.admission import OVERLOADED, Admission, Ticket
from promptship.gateway.keys import allowed
from promptship.gateway.otlp_reading import PROMPT, PROTOBUF_TYPE, TOKEN, Batch, Seen, inflated, read_traces
from promptship.gateway.rejection import Rejection
from promptship.gateway.reports import Reports
from promptship.gateway.wire import BodyLimits, Receive, Reply, Scope, admit, header
from promptship.routing.choice import Choice, choose
from promptship.routing.token import read

PATH: Final = "/v1/traces"
_LIMITS: Final = BodyLimits(4_000_000, 10.0)
_OPERATIONS: Final = frozenset({"chat", "generate_content", "text_completion"})
"""Calls of a model. The spans around them (agents, workflows, tools) may name the prompt too; they are no requests."""
_PIN: Final = re.compile(r"[0-9a-f]{6,64}")
_MODEL: Final = re.compile(r"[!-~]{0,128}")
_ERROR_TYPE: Final = re.compile(r"[A-Za-z0-9._-]{1,40}")
_REFUSALS: Final = frozenset({"content_filter", "refusal", "safety"})
_STATUS_MAX: Final = 999
_YIELD_EVERY: Final = 200


@dataclass(kw_only=True)
class Counts:
    """Spans since the start."""

    taken: int = 0
    ignored: int = 0
    """Not of a prompt that is served here, or no call of a model."""
    refused: int = 0
    """Of a prompt, but malformed, too old, or with a token that is not ours."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """One request's spans: lines to write, and what became of the others."""

    lines: list[Mapping[str, Any]] = field(default_factory=list)
    ignored: int = 0
    refused: int = 0
    why: str = ""
    """Of the first that was refused; quotes nothing."""


@dataclass(frozen=True, kw_only=True)
class Traces:
    """Takes spans. The same span again counts once: its ids make the observation's, or its token does."""

    reports: Reports
    live: LiveTable
    admission: Admission
    counts: Counts = field(default_factory=Counts)

    async def __call__(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        """200 in OTLP's shape, with how many were refused; 503 if some could not be written: send all again."""

        async def handle(body: bytes, ticket: Ticket) -> None:
            found = await self._sorted(scope, body, ticket)
            if isinstance(found, Rejection):
                await reply.reject(found)
            elif not await self._written(found):
                await reply.reject(
                    Rejection(
                        503,
                        "not_written",
                        "not every span could be written; send all again later",
                        retry_after_s=1,
                    )
                )
            else:
                self._count(found)
                await self._answer(_content_type(scope), found, reply)

        await admit(self.admission, _LIMITS, (scope, receive, reply), (), handle)

    async def _sorted(self, scope: Scope, body: bytes, ticket: Ticket) -> Sorted | Rejection:
        content = inflated(body, header(scope, b"content-encoding").strip().lower())
        if isinstance(content, Rejection):
            return content
        if not ticket.grow_to(len(body) + len(content)):
            return OVERLOADED
        now_ms = int(self.reports.clock.now().timestamp() * 1000)

        def work() -> Sorted | Rejection:
            batch = read_traces(content, _content_type(scope))
            return batch if isinstance(batch, Rejection) else self._observed(batch, now_ms, allowed(scope))

        # A large batch takes tens of milliseconds: not on the loop that serves requests.
        return await asyncio.to_thread(work)

    def _observed(self, batch: Batch, now_ms: int, prompts: frozenset[str] | None) -> Sorted:
        lines: list[Mapping[str, Any]] = []
        ignored, refused, why = batch.others, batch.malformed, "a malformed span" if batch.malformed else ""
        for seen in batch.spans:
            try:
                fields = self._fields(seen)
                if fields is None:
                    ignored += 1
                    continue
                line = self.reports.observation(fields, now_ms)
                if prompts is not None and line["prompt"] not in prompts:
                    raise Refused("this application's key is not for the prompt")  # noqa: TRY301
                lines.append(line)
            except Refused as error:
                refused, why = refused + 1, why or str(error)
            except ValidationError:
                refused, why = refused + 1, why or "an attribute of the wrong type"
        return Sorted(lines, ignored, refused, why)

    def _fields(self, seen: Seen) -> Mapping[str, Any] | None:
        """A report of the span; None: it is not of a prompt that is served here. Raises Refused: its token is not ours."""
        operation = seen.attributes.get("gen_ai.operation.name")
        if seen.scope == SCOPE or operation not in _OPERATIONS:
            return None
        token = seen.attributes.get(TOKEN)
        if token is not None:
            self._agrees(seen, token)
            return {"token": token, **measured(seen)}
        chosen = self._pinned(seen)
        if chosen is None:
            return None
        at_ms = seen.start_ns // 1_000_000
        return {
            "id": observation_id(seen, at_ms),
            "at_ms": at_ms,
            "prompt": chosen.prompt,
            "version": chosen.version,
            "arm": chosen.arm,
            "decision": chosen.decision.value,
            **measured(seen),
        }

    def _agrees(self, seen: Seen, token: object) -> None:
        """Refuse a span that says it called another prompt or version than its token was given for."""
        claims = read(self.reports.secret, token if isinstance(token, str) else "")
        named, version = seen.attributes.get(PROMPT), seen.attributes.get("gen_ai.prompt.version")
        if named not in {None, claims.prompt} or (
            version is not None and not claims.version.startswith(str(version) or "-")
        ):
            raise Refused("the span names another prompt or version than its token")

    def _pinned(self, seen: Seen) -> Choice | None:
        """The version that the span names, outside any experiment; None: it is not being served."""
        name, version = seen.attributes.get(PROMPT), seen.attributes.get("gen_ai.prompt.version")
        if not isinstance(name, str) or not isinstance(version, str) or not _PIN.fullmatch(version):
            return None
        chosen = choose(self.live.route(name), prompt=name, pin=version, unit="", leased=False)
        return chosen if isinstance(chosen, Choice) else None

    async def _written(self, found: Sorted) -> bool:
        whole = True
        for index, line in enumerate(found.lines, 1):
            whole = self.reports.spool.write(line) and whole
            if index % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        return whole

    def _count(self, found: Sorted) -> None:
        self.counts.taken += len(found.lines)
        self.counts.ignored += found.ignored
        self.counts.refused += found.refused

    async def _answer(self, content_type: str, found: Sorted, reply: Reply) -> None:
        body = _protobuf_answer(found) if content_type == PROTOBUF_TYPE else _json_answer(found)
        await reply.whole(200, [(b"content-type", content_type.encode())], body)


def measured(seen: Seen) -> dict[str, Any]:
    """What the span says of the call, as fields of an observation. Nothing of it is free text."""
    said = seen.attributes
    error_type = _error_type(said.get("error.type"), failed=seen.failed)
    first = _number(said.get("gen_ai.response.time_to_first_chunk"))
    tokens_in, tokens_out = said.get("gen_ai.usage.input_tokens"), said.get("gen_ai.usage.output_tokens")
    model = said.get("gen_ai.request.model") or said.get("gen_ai.response.model") or ""
    reasons = said.get("gen_ai.response.finish_reasons")
    refused = isinstance(reasons, list) and any(reason in _REFUSALS for reason in map(str, reasons))
    return {
        "model": model if isinstance(model, str) and _MODEL.fullmatch(model) else "",
        "latency_ms": round((seen.end_ns - seen.start_ns) / 1e6, 3),
        "ttft_ms": None if first is None else round(first * 1000, 3),
        "tokens_in": _count(said.get("gen_ai.usage.prompt_tokens") if tokens_in is None else tokens_in),
        "tokens_out": _count(
            said.get("gen_ai.usage.completion_tokens") if tokens_out is None else tokens_out
        ),
        "status": _status(said.get("http.response.status_code"), failed=bool(error_type)),
        "error": bool(error_type),
        "error_type": error_type,
        # A span has no text to judge; only a provider's own word for a refusal is one.
        "refusal": True if refused else None,
        "streamed": said.get("gen_ai.request.stream") is True or first is not None,
    }


def observation_id(seen: Seen, at_ms: int) -> str:
    """A UUIDv7 that is the same whenever the same span comes."""
    drawn = hashlib.sha256(f"{seen.trace_id}{seen.span_id}".encode()).hexdigest()
    value = f"{at_ms & (1 << 48) - 1:012x}7{drawn[:3]}{8 | int(drawn[3], 16) & 3:x}{drawn[4:19]}"
    return f"{value[:8]}-{value[8:12]}-{value[12:16]}-{value[16:20]}-{value[20:]}"


def _error_type(said: object, *, failed: bool) -> str:
    if isinstance(said, str) and said:
        # Whatever is no word may be a message, and a message may quote the user.
        return said if _ERROR_TYPE.fullmatch(said) else "other"
    return "other" if failed else ""


def _status(said: object, *, failed: bool) -> int:
    if isinstance(said, int) and 0 < said <= _STATUS_MAX:
        return said
    return 500 if failed else 200


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


def _content_type(scope: Scope) -> str:
    return header(scope, b"content-type").partition(";")[0].strip().lower()


def _json_answer(found: Sorted) -> bytes:
    if not found.refused:
        return b"{}"
    partial = {"rejectedSpans": str(found.refused), "errorMessage": found.why}
    return orjson.dumps({"partialSuccess": partial})


def _protobuf_answer(found: Sorted) -> bytes:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTracePartialSuccess,
        ExportTraceServiceResponse,
    )

    if not found.refused:
        return b""
    partial = ExportTracePartialSuccess(rejected_spans=found.refused, error_message=found.why)
    return bytes(ExportTraceServiceResponse(partial_success=partial).SerializeToString())
