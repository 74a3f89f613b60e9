"""Who may come in: programs with the bearer token, browsers with a session that the token once opened."""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime
from typing import Final

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from promptship.server.answers import unauthorized

COOKIE: Final = "promptship_session"
SESSION_S_MAX: Final = 7 * 86400


def same(given: str, expected: str) -> bool:
    """Compare in a time that tells nothing about where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())


def bears(connection: HTTPConnection, token: str) -> bool:
    """Whether the request carries `Authorization: Bearer <token>`."""
    scheme, _, given = connection.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and same(given.strip(), token)


def new_session(token: str, secret: bytes, now: datetime) -> str:
    """Cookie for a browser that showed the token: says when, and holds neither token nor secret."""
    issued = str(int(now.timestamp()))
    return f"{issued}.{_mac(token, secret, issued)}"


def has_session(connection: HTTPConnection, token: str, secret: bytes, now: datetime) -> bool:
    """Whether the browser's cookie is ours, less than a week old, and of the token in force."""
    issued, _, mac = connection.cookies.get(COOKIE, "").partition(".")
    if not re.fullmatch(r"[0-9]{1,12}", issued, re.ASCII) or not same(mac, _mac(token, secret, issued)):
        return False
    return 0 <= now.timestamp() - int(issued) < SESSION_S_MAX


class RequireToken:
    """ASGI middleware in front of the API: without the token there is not even a 404. A gateway's token opens the routes only."""

    def __init__(self, app: ASGIApp, token: str, gateway_token: str) -> None:
        self._app = app
        self._token = token
        self._gateway_token = gateway_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 401."""
        if scope["type"] == "http" and not self._may(HTTPConnection(scope)):
            refusal = unauthorized(
                "send `Authorization: Bearer <token>`: PROMPTSHIP_TOKEN, or the file `token` in the data directory"
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _may(self, connection: HTTPConnection) -> bool:
        if bears(connection, self._token):
            return True
        reads_routes = connection.url.path.startswith("/api/routes")
        return reads_routes and bears(connection, self._gateway_token)


def _mac(token: str, secret: bytes, issued: str) -> str:
    return hmac.new(secret, f"session\n{issued}\n{token}".encode(), hashlib.sha256).hexdigest()
