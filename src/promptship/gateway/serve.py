"""The gateway as a process: adapters chosen, socket opened, a stop that finishes what has begun."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator
from types import FrameType
from typing import Final, Literal

import uvicorn

from promptship.adapters.clock import SystemClock
from promptship.adapters.otel import spans_of
from promptship.adapters.providers.costs import Costs
from promptship.adapters.providers.endpoints import Endpoints
from promptship.adapters.providers.upstream import HttpUpstream
from promptship.adapters.samples import SampleWriter
from promptship.adapters.telemetry.spool import SpoolWriter
from promptship.client.feed import HttpRouteFeed
from promptship.client.kept import KeptRoutes
from promptship.errors import Unavailable
from promptship.gateway.app import Gateway, create_app
from promptship.gateway.losses import tell_losses
from promptship.gateway.record import Spool
from promptship.gateway.sampling import Samples
from promptship.gateway.spans import Spans, Tracing
from promptship.gateway.upstream import Upstream
from promptship.ports import Clock, RouteFeed
from promptship.settings import GatewaySettings, Settings

STOP_S_MAX: Final = 10
"""How long running requests may go on after SIGTERM."""
_KEEP_ALIVE_S: Final = 65
KEPT_ROUTES: Final = "gateway-routes.json"
"""The last known routes of the default environment, in the data directory."""


class _Server(uvicorn.Server):
    """Uvicorn that says when it listens, and ends with status 0 on SIGTERM and SIGINT instead of dying of the signal."""

    def __init__(self, config: uvicorn.Config, app: Gateway, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._app = app
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What is loaded by now stays: no collection in the middle of requests needs to walk over it again.
        gc.collect()
        gc.freeze()
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.news.close()  # the server would wait for its streams
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        signals = (signal.SIGINT, signal.SIGTERM)
        before = [(number, signal.signal(number, self._stop)) for number in signals]
        try:
            yield
        finally:
            for number, handler in before:
                signal.signal(number, handler)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self.handle_exit(number, None)


def kept_routes(settings: Settings) -> str:
    """Name of the file with the last known routes: those of another environment must never be served from it."""
    name = settings.gateway.environment
    return KEPT_ROUTES if name in {"", settings.default_environment} else f"gateway-routes-{name}.json"


def build(
    settings: Settings,
    *,
    feed: RouteFeed,
    upstream: Upstream,
    spool: Spool,
    secret: bytes,
    clock: Clock | None = None,
    samples: Samples | None = None,
    spans: Spans | None = None,
) -> Gateway:
    """The gateway of these settings on these ports; no process, no socket."""
    return create_app(
        feed=feed,
        upstream=upstream,
        spool=spool,
        secret=secret,
        clock=clock or SystemClock(),
        kept=KeptRoutes(settings.data / kept_routes(settings)),
        settings=settings.gateway,
        costs=Costs(settings.providers, settings.models),
        samples=samples,
        tracing=None if spans is None else Tracing(spans, settings.otel.sample),
        intake=settings.otel.intake,
    )


async def serve(
    settings: Settings,
    *,
    token: str,
    secret: bytes,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; running requests then get 10 s to end.

    Args:
        settings: `gateway` says where to listen (port 0: any free one), `server` whom to follow.
        token: for the control plane.
        secret: signs feedback tokens; at least 16 bytes, the same for every gateway of an installation.
        ready: called once with the base address, when connections are accepted.

    Raises:
        Unavailable: the address is taken or not ours.
    """
    clock = SystemClock()
    listener = _listening(settings.gateway.host, settings.gateway.port)
    spool = SpoolWriter(settings.spool, clock=clock, writer="gateway")
    app = build(
        settings,
        feed=HttpRouteFeed(settings.server_url, token, environment=settings.gateway.environment),
        upstream=HttpUpstream(Endpoints(settings.providers, settings.models, os.environ)),
        spool=spool,
        secret=secret,
        clock=clock,
        samples=SampleWriter(
            settings.samples,
            spool_bytes_max=settings.scorer.samples_bytes_max,
            age_s_max=settings.scorer.samples_age_max,
        ),
        spans=spans_of(settings.otel, settings.providers, settings.models, os.environ),
    )
    address = f"http://{settings.gateway.host}:{listener.getsockname()[1]}"
    server = _Server(_config(app, settings.gateway), app, lambda: ready(address) if ready else None)
    name = f"{socket.gethostname()}:{listener.getsockname()[1]}"
    telling = asyncio.create_task(
        tell_losses(settings.server_url, token, gateway=name, lost=lambda: spool.lost)
    )
    try:
        await server.serve(sockets=[listener])
    finally:
        telling.cancel()


def run(
    settings: Settings,
    *,
    token: str,
    secret: bytes,
    ready: Callable[[str], None] | None = None,
) -> None:
    """`serve` on an event loop of its own: uvloop, where there is one."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if sys.platform != "win32":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(settings, token=token, secret=secret, ready=ready))


def _config(app: Gateway, settings: GatewaySettings) -> uvicorn.Config:
    http: type[asyncio.Protocol] | Literal["auto"] = "auto"
    if sys.platform != "win32":  # httptools and uvloop are not there
        from promptship.gateway.protocol import bounded

        http = bounded(connections_max=settings.connections_max, head_timeout_s=settings.head_timeout)
    return uvicorn.Config(
        app,
        http=http,
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_S_MAX,
    )


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise Unavailable(f"the gateway cannot listen on {host}:{port}: {error.strerror}") from error
