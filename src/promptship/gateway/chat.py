"""POST /v1/chat/completions: from the body to the routing decision. What follows it is `exchange.py`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from promptship.gateway import compose
from promptship.gateway.attention import Attention
from promptship.gateway.choose import Choice, choose
from promptship.gateway.exchange import Exchange
from promptship.gateway.intake import Call, read_call
from promptship.gateway.live import LiveTable
from promptship.gateway.record import Record, Spool, uuid7
from promptship.gateway.rejection import Rejection
from promptship.gateway.upstream import Upstream
from promptship.gateway.wire import Headers, Receive, Reply, Scope, header, read_body
from promptship.ports import Clock
from promptship.routing.token import Claims, sign


@dataclass(frozen=True, kw_only=True)
class Chat:
    """Serves chat completions."""

    live: LiveTable
    upstream: Upstream
    spool: Spool
    secret: bytes
    clock: Clock
    timeout_s: float
    body_bytes_max: int
    monotonic: Callable[[], float] = time.monotonic

    async def __call__(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        """Answer one request; exactly one observation if it was routed."""
        began = self.monotonic()
        at_ms = int(self.clock.now().timestamp() * 1000)
        request = uuid7(at_ms)
        headers = [(b"x-promptship-request-id", request.encode())]
        body = await read_body(scope, receive, bytes_max=self.body_bytes_max)
        if body is None:
            return
        call = body if isinstance(body, Rejection) else read_call(body, header(scope, b"x-unit-id"))
        if isinstance(call, Rejection):
            await reply.reject(call, headers)
            return
        choice = self._choose(call)
        if isinstance(choice, Rejection):
            await reply.reject(choice, headers)
            return
        record = Record(
            self.spool,
            self.monotonic,
            id=request,
            at_ms=at_ms,
            began=began,
            choice=choice,
            streamed=call.stream,
        )
        headers += self._told(choice, request, at_ms)
        await self._serve(call, choice, record, receive, reply, headers)

    def _choose(self, call: Call) -> Choice | Rejection:
        if self.live.table is None:
            return Rejection(
                503, "no_routes_yet", "this gateway has not heard from its control plane yet; try again"
            )
        route = self.live.route(call.prompt)
        leased = self.live.leased(call.prompt)
        return choose(route, prompt=call.prompt, pin=call.pin, unit=call.unit, leased=leased)

    def _told(self, choice: Choice, request: str, at_ms: int) -> list[tuple[bytes, bytes]]:
        claims = Claims(
            request, at_ms, choice.prompt, choice.version, choice.arm, choice.release, choice.stage
        )
        told = [
            (b"x-promptship-prompt", choice.prompt.encode()),
            (b"x-promptship-version", choice.version.encode()),
            (b"x-promptship-arm", choice.arm.encode()),
            (b"x-promptship-feedback-token", sign(self.secret, claims).encode()),
        ]
        if choice.release is not None:
            told.append((b"x-promptship-release", choice.release.encode()))
        return told

    async def _serve(
        self, call: Call, choice: Choice, record: Record, receive: Receive, reply: Reply, headers: Headers
    ) -> None:
        prompt = compose.rendered(self.live.ready(choice.prompt, choice.version), call)
        if isinstance(prompt, Rejection):
            if prompt.status >= HTTPStatus.INTERNAL_SERVER_ERROR or self._other_arm_takes(call, choice):
                record.write(prompt.status, error_type=prompt.code)
            await reply.reject(prompt, headers)
            return
        record.sent_to(prompt.model or "")
        exchange = Exchange(self.upstream, record, reply, headers, timeout_s=self.timeout_s)
        async with Attention(receive) as attention:
            try:
                await exchange.run(prompt.model or "", compose.body(prompt, call), stream=call.stream)
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
        return not isinstance(compose.rendered(self.live.ready(choice.prompt, choice.other), call), Rejection)
