"""The few HTTP words the gateway needs, directly on ASGI: a framework would cost more than everything else it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from promptship.gateway.rejection import Rejection

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")


class Reply:
    """The answer to one request, whole or in pieces; knows whether anything has been sent yet."""

    __slots__ = ("_send", "ended", "started")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False
        self.ended = False

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Head and body at once."""
        await self.begin(status, [*headers, (b"content-length", b"%d" % len(body))])
        await self.end(body)

    async def reject(self, rejection: Rejection, headers: Headers = ()) -> None:
        """The error, in OpenAI's shape."""
        await self.whole(rejection.status, [*headers, JSON], rejection.body())

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


async def read_body(scope: Scope, receive: Receive, *, bytes_max: int) -> bytes | Rejection | None:
    """The request's body; a rejection if it is larger than allowed; None if the client left while sending it."""
    length = header(scope, b"content-length")
    too_large = Rejection(413, "request_too_large", f"the body is larger than {bytes_max:,} bytes")
    if length.isdecimal() and int(length) > bytes_max:
        return too_large
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > bytes_max:
            return too_large
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)
