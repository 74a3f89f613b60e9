"""The few HTTP words the gateway needs, directly on ASGI: a framework would cost more than everything else it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptship.gateway.admission import OVERLOADED, Admission, Ticket
from promptship.gateway.rejection import Rejection
from promptship.routing.api import Api

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")


class Reply:
    """The answer to one request, whole or in pieces; knows whether anything has been sent yet, and in which words errors go."""

    __slots__ = ("_send", "api", "ended", "started")

    def __init__(self, send: Send, api: Api = "chat") -> None:
        self._send = send
        self.api: Api = api
        self.started = False
        self.ended = False

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Head and body at once."""
        await self.begin(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self.end(body)

    async def reject(self, rejection: Rejection, headers: Headers = ()) -> None:
        """The error, in the API's own shape."""
        told = [*headers, JSON]
        if rejection.retry_after_s is not None:
            told.append((b"retry-after", b"%d" % rejection.retry_after_s))
        await self.whole(rejection.status, told, rejection.body(self.api))

    async def begin(self, status: int, headers: Headers) -> None:
        """The head."""
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def piece(self, body: bytes) -> None:
        """A part of the body, sent at once."""
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def end(self, body: bytes = b"") -> None:
        """The last part."""
        self.ended = True
        await self._send({"type": "http.response.body", "body": body, "more_body": False})


def header(scope: Scope, name: bytes) -> str:
    """The first header of that (lower-case) name, or an empty text."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return ""


def declared_bytes(scope: Scope) -> int:
    """What `content-length` says; 0: nothing."""
    length = header(scope, b"content-length")
    return int(length) if length.isdecimal() else 0


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What a body may take: bytes, and seconds until it has arrived."""

    bytes_max: int
    timeout_s: float


async def read_body(
    scope: Scope, receive: Receive, limits: BodyLimits, ticket: Ticket | None = None
) -> bytes | Rejection | None:
    """The request's body; a rejection if it is larger or slower than allowed; None if the client left while sending it."""
    bytes_max = limits.bytes_max
    too_large = Rejection(413, "request_too_large", f"the body is larger than {bytes_max:,} bytes")
    if declared_bytes(scope) > bytes_max:
        return too_large
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.timeout_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                part = message.get("body", b"")
                size += len(part)
                if size > bytes_max:
                    return too_large
                if ticket is not None and not ticket.grow_to(size):
                    return OVERLOADED
                parts.append(part)
                if not message.get("more_body", False):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
    except TimeoutError:
        return Rejection(408, "body_too_slow", f"the body did not arrive within {limits.timeout_s:g} s")


async def admit(
    admission: Admission,
    limits: BodyLimits,
    exchange: tuple[Scope, Receive, Reply],
    headers: Headers,
    handle: Callable[[bytes, Ticket], Awaitable[None]],
) -> None:
    """Take a request on, if there is a place for it, read its body, and handle that; else say why not."""
    scope, receive, reply = exchange
    ticket = admission.enter(min(declared_bytes(scope), limits.bytes_max))
    if ticket is None:
        await reply.reject(OVERLOADED, headers)
        return
    with ticket:
        body = await read_body(scope, receive, limits, ticket)
        if isinstance(body, Rejection):
            await reply.reject(body, headers)
        elif body is not None:
            await handle(body, ticket)
