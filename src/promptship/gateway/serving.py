"""One request for an answer: from its body to the routing decision. What follows it is `exchange.py`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus

from promptship.client.live import LiveTable
from promptship.gateway import compose
from promptship.gateway.admission import Admission, Ticket
from promptship.gateway.apis import Words
from promptship.gateway.attention import Attention
from promptship.gateway.attributes import DISCLOSURE, attributes_of, disclosure_value
from promptship.gateway.choose import Choice, choose
from promptship.gateway.exchange import Exchange, Question
from promptship.gateway.hiding import asks_usage
from promptship.gateway.intake import Call, Names
from promptship.gateway.keys import forbidden
from promptship.gateway.record import Record, Spool
from promptship.gateway.rejection import NO_ROUTES, Rejection
from promptship.gateway.sampling import Sampler, Tap
from promptship.gateway.spans import Traced, Tracing
from promptship.gateway.upstream import Costs, Upstream
from promptship.gateway.wire import BodyLimits, Headers, Receive, Reply, Scope, admit, header
from promptship.ports import Clock
from promptship.routing.eligibility import Decision
from promptship.routing.request_id import uuid7
from promptship.routing.token import Claims, sign

KILLED = Decision.KILLED


@dataclass(frozen=True, kw_only=True)
class Around:
    """What every request needs."""

    live: LiveTable
    upstream: Upstream
    spool: Spool
    costs: Costs | None
    names: Names
    secret: bytes
    clock: Clock
    admission: Admission
    limits: BodyLimits
    timeout_s: float
    monotonic: Callable[[], float] = time.monotonic
    sampler: Sampler | None = None
    """Draws answers to be scored; None: nobody scores."""
    tracing: Tracing | None = None
    """None: no spans."""


class Came:
    """When a request came, and its id."""

    __slots__ = ("at_ms", "began", "request")

    def __init__(self, began: float, at_ms: int) -> None:
        self.began = began
        """On the clock that measures."""
        self.at_ms = at_ms
        self.request = uuid7(at_ms)


@dataclass(frozen=True, kw_only=True)
class Serving:
    """Serves prompts by one API."""

    words: Words
    around: Around

    async def __call__(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        """Answer one request; exactly one observation if it was routed."""
        came = Came(self.around.monotonic(), int(self.around.clock.now().timestamp() * 1000))
        headers = [(b"x-promptship-request-id", came.request.encode())]

        async def handle(body: bytes, ticket: Ticket) -> None:
            await self._routed(body, came, ticket, (scope, receive, reply), headers)

        around = self.around
        await admit(around.admission, around.limits, (scope, receive, reply), headers, handle)

    async def _routed(
        self,
        body: bytes,
        came: Came,
        ticket: Ticket,
        exchange: tuple[Scope, Receive, Reply],
        headers: list[tuple[bytes, bytes]],
    ) -> None:
        scope, receive, reply = exchange
        call = self.words.read(body, header(scope, b"x-unit-id"), self.around.names)
        if isinstance(call, Rejection):
            await reply.reject(call, headers)
            return
        choice = self._choose(call, scope)
        if isinstance(choice, Rejection):
            await reply.reject(choice, headers)
            return
        span = None if self.around.tracing is None else self.around.tracing.begin(scope, came.request)
        record = Record(
            self.around.spool,
            self.around.monotonic,
            id=came.request,
            at_ms=came.at_ms,
            began=came.began,
            choice=choice,
            streamed=call.stream,
            costs=self.around.costs,
            tap=self._tap(choice, call, came.request, came.at_ms),
            span=span,
        )
        headers += self._told(choice, came.request, came.at_ms)
        question = self._question(call, choice, record, scope, span)
        if isinstance(question, Rejection):
            await reply.reject(question, headers)
        else:
            await self._serve(question, record, ticket, receive, reply, headers)

    def _choose(self, call: Call, scope: Scope) -> Choice | Rejection:
        refusal = forbidden(scope, call.prompt, call.named_by)
        if refusal is not None:
            return refusal
        attributes = attributes_of(scope)
        if isinstance(attributes, Rejection):
            return attributes
        live = self.around.live
        if live.table is None:
            return NO_ROUTES
        route, leased = live.route(call.prompt), live.leased(call.prompt)
        chosen = choose(
            route, prompt=call.prompt, pin=call.pin, unit=call.unit, leased=leased, attributes=attributes
        )
        if isinstance(chosen, Choice) or call.named_by == "model":
            return chosen
        if route is not None:
            return replace(chosen, param=call.named_by)
        why = f"{chosen.message}; `gateway.prompt_ids` can say which prompt an id means"
        return replace(chosen, message=why, param="prompt.id")

    def _tap(self, choice: Choice, call: Call, request: str, at_ms: int) -> Tap | None:
        if self.around.sampler is None:
            return None
        return self.around.sampler.tap(
            choice, self.words.api, id=request, at_ms=at_ms, streamed=call.stream, variables=call.variables
        )

    def _told(self, choice: Choice, request: str, at_ms: int) -> list[tuple[bytes, bytes]]:
        claims = Claims(
            request,
            at_ms,
            choice.prompt,
            choice.version,
            choice.arm,
            choice.release,
            choice.stage,
            choice.unit,
        )
        told = [
            (b"x-promptship-prompt", choice.prompt.encode()),
            (b"x-promptship-version", choice.version.encode()),
            (b"x-promptship-arm", choice.arm.encode()),
            (b"x-promptship-feedback-token", sign(self.around.secret, claims).encode()),
        ]
        if choice.release is not None:
            told.append((b"x-promptship-release", choice.release.encode()))
        if choice.variant:
            told.append((b"x-promptship-variant", choice.variant.encode()))
        if choice.disclosure:
            told.append((DISCLOSURE, disclosure_value(choice.disclosure)))
        return told

    def _question(
        self, call: Call, choice: Choice, record: Record, scope: Scope, span: Traced | None
    ) -> Question | Rejection:
        """What the provider is asked. A rejection is observed when it is ours, or the difference between two versions."""
        ready = self.around.live.ready(choice.prompt, choice.version)
        prompt = compose.rendered(
            ready, compose.safe_call(ready, call) if choice.decision is KILLED else call
        )
        if isinstance(prompt, Rejection):
            return self._refused(prompt, call, choice, record)
        body = self.words.compose(prompt, call)
        if isinstance(body, Rejection):
            return self._refused(body, call, choice, record)
        record.sent_to(prompt.model or "")
        passed = tuple(
            (str(name, "ascii"), str(value, "latin-1"))
            for name, value in scope["headers"]
            if name in self.words.passed
        )
        if span is not None:
            passed += span.headers()
        hides = call.stream and self.words.api == "chat" and not asks_usage(call.fields.get("stream_options"))
        return Question(self.words.api, prompt.model or "", body, call.stream, passed, hides_usage=hides)

    def _refused(self, rejection: Rejection, call: Call, choice: Choice, record: Record) -> Rejection:
        is_ours = rejection.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        if is_ours or self._other_arm_takes(call, choice):
            record.write(rejection.status, error_type=rejection.code)
        return rejection

    async def _serve(
        self,
        question: Question,
        record: Record,
        ticket: Ticket,
        receive: Receive,
        reply: Reply,
        headers: Headers,
    ) -> None:
        exchange = Exchange(
            self.around.upstream,
            record,
            reply,
            headers,
            whole=self.words.whole,
            reader=self.words.reader,
            ticket=ticket,
            timeout_s=self.around.timeout_s,
        )
        async with Attention(receive) as attention:
            try:
                await exchange.run(question)
            except asyncio.CancelledError:
                if attention.gone:
                    record.write(499)
                raise  # to Attention, or on to whoever stops the process
            finally:
                # Whatever happened, also a stop of the process or a fault of ours: the request was routed, so it counts.
                record.write(500, error_type="gateway")

    def _other_arm_takes(self, call: Call, choice: Choice) -> bool:
        """Whether the other arm accepts the very variables this one refuses.

        Then it is not the client's mistake but a difference between the versions (a new required variable, say), and the
        canary must see it; an input that both refuse is the client's and is not observed.
        """
        if choice.other is None:
            return False
        other = self.around.live.ready(choice.prompt, choice.other)
        return not isinstance(compose.rendered(other, call), Rejection)
