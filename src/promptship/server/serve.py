"""The control plane as a server on a socket."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from promptship.errors import ConfigError, Problem
from promptship.lifecycle.app import App
from promptship.server.app import create_app
from promptship.server.plane import Plane

GRACE_S_MAX = 15
"""How long open requests may take when the server is told to stop."""


async def serve(
    app: App,
    *,
    token: str,
    secret: bytes,
    sock: socket.socket | None = None,
    ready: Callable[[str], None] = lambda _url: None,
    slack_secret: str | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way.

    Args:
        app: the ports; `settings.server` says where to listen.
        token: as for `create_app`.
        secret: as for `create_app`.
        sock: a socket that is bound already; None: one is bound to the configured host and port.
        ready: called with the server's address once it answers.
        slack_secret: as for `create_app`.

    Raises:
        ConfigError: the address is taken or not ours.
    """
    asgi = create_app(app, token=token, secret=secret, slack_secret=slack_secret)
    sock = sock or _bound(app.settings.server.host, app.settings.server.port)
    config = uvicorn.Config(
        asgi, access_log=False, log_config=None, server_header=False, lifespan="on",
        timeout_graceful_shutdown=GRACE_S_MAX, timeout_keep_alive=30,
    )  # fmt: skip
    host, port = sock.getsockname()[:2]
    await _Server(config, asgi.state.plane, lambda: ready(f"http://{_shown(host)}:{port}")).serve(
        sockets=[sock]
    )


class _Server(uvicorn.Server):
    """Says when it answers, and ends event streams first when it is told to stop: it would wait for them."""

    def __init__(self, config: uvicorn.Config, plane: Plane, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._plane = plane
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._plane.broadcast.close()
        await super().shutdown(sockets)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        advice = "choose another port, or stop what listens there"
        raise ConfigError(
            [
                Problem(
                    "promptship.toml",
                    "server.port",
                    f"{host}:{port} ({error.strerror})",
                    "expected a free address",
                    advice,
                )
            ]
        ) from None
    return sock


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
