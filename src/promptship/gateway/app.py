"""The gateway as an ASGI application: which path is whose, what runs beside the requests, how it starts and stops."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

import orjson

from promptship.gateway.chat import Chat
from promptship.gateway.feedback import Feedbacks
from promptship.gateway.intake import SCHEME
from promptship.gateway.kept import KeptRoutes
from promptship.gateway.live import LiveTable
from promptship.gateway.record import Spool
from promptship.gateway.rejection import Rejection
from promptship.gateway.upstream import Upstream
from promptship.gateway.wire import JSON, Receive, Reply, Scope, Send
from promptship.ports import Clock, RouteFeed
from promptship.prompts.digest import from_canonical
from promptship.settings import GatewaySettings

_LOG = logging.getLogger("promptship.gateway")
_AGAIN_S: Final = 1.0
Handler = Callable[[Scope, Receive, Reply], Awaitable[None]]


class Gateway:
    """An ASGI 3 application. Its lifespan follows the route feed, and closes upstream and spool at the end."""

    def __init__(
        self,
        *,
        feed: RouteFeed,
        live: LiveTable,
        kept: KeptRoutes,
        upstream: Upstream,
        spool: Spool,
        chat: Chat,
        feedback: Feedbacks,
    ) -> None:
        self._feed = feed
        self._live = live
        self._kept = kept
        self._upstream = upstream
        self._spool = spool
        self._handlers: Mapping[str, tuple[str, Handler]] = {
            "/v1/chat/completions": ("POST", chat),
            "/v1/feedback": ("POST", feedback),
            "/v1/models": ("GET", lambda _scope, _receive, reply: self._models(reply)),
            "/healthz": ("GET", lambda _scope, _receive, reply: self._health(reply)),
        }
        self._heard = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            await self._http(scope, receive, Reply(send))
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        method, handler = self._handlers.get(scope["path"], ("", None))
        if handler is None:
            known = ", ".join(self._handlers)
            await reply.reject(
                Rejection(404, "unknown_url", f"there is no {scope['path'][:200]!r} here; there is {known}")
            )
        elif scope["method"] != method:
            rejection = Rejection(405, "method_not_allowed", f"{scope['path']} takes {method}")
            await reply.reject(rejection, [(b"allow", method.encode())])
        else:
            await self._guarded(handler, scope, receive, reply)

    async def _guarded(self, handler: Handler, scope: Scope, receive: Receive, reply: Reply) -> None:
        try:
            await handler(scope, receive, reply)
        except Exception as error:
            # A fault of ours. Not logged with its text: that may quote what the request held.
            _LOG.error("%s failed: %s", scope["path"], _where(error))
            if reply.started:
                raise
            await reply.reject(
                Rejection(500, "internal_error", "the gateway failed; the request was not answered")
            )

    async def _health(self, reply: Reply) -> None:
        """200 once routes are known, also from disk; 503 until then."""
        table = self._live.table
        state = {
            "status": "starting" if table is None else "ok",
            "revision": None if table is None else table.revision,
            "age_s": None if table is None else round(self._live.age_s, 3),
            "source": "control plane" if self._heard else "disk" if table else None,
            "lost": self._spool.lost,
        }
        await reply.whole(503 if table is None else 200, [JSON], orjson.dumps(state))

    async def _models(self, reply: Reply) -> None:
        """Every released prompt, in the shape of OpenAI's list of models."""
        table = self._live.table
        names = sorted(name for name, route in table.routes.items() if route.stable) if table else []
        data = [
            {"id": SCHEME + name, "object": "model", "created": 0, "owned_by": "promptship"} for name in names
        ]
        await reply.whole(200, [JSON], orjson.dumps({"object": "list", "data": data}))

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        known = await asyncio.to_thread(self._kept.load)
        if known is not None:
            self._live.take(known)
        following = asyncio.create_task(self._follow())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        await self._upstream.aclose()
        await asyncio.to_thread(self._spool.close)
        await send({"type": "lifespan.shutdown.complete"})

    async def _follow(self) -> None:
        """Every table the feed brings, as long as the process lives."""
        while True:
            try:
                async for table in self._feed.follow():
                    self._heard = True
                    if self._live.take(table):
                        _LOG.info("routes of revision %d", table.revision)
                        await asyncio.to_thread(self._kept.save, table)
            except Exception as error:  # noqa: BLE001 - without the feed the gateway would grow old unnoticed
                _LOG.error("the route feed broke: %s", _where(error))
            await asyncio.sleep(_AGAIN_S)


def create_app(
    *,
    feed: RouteFeed,
    upstream: Upstream,
    spool: Spool,
    secret: bytes,
    clock: Clock,
    kept: KeptRoutes,
    settings: GatewaySettings | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Gateway:
    """The gateway on these ports. `secret` signs feedback tokens; `monotonic` counts leases and latencies."""
    settings = settings or GatewaySettings()
    live = LiveTable(lambda name, version: from_canonical(name, version.content), monotonic=monotonic)
    chat = Chat(
        live=live,
        upstream=upstream,
        spool=spool,
        secret=secret,
        clock=clock,
        timeout_s=settings.timeout,
        body_bytes_max=settings.body_bytes_max,
        monotonic=monotonic,
    )
    feedback = Feedbacks(spool=spool, secret=secret, clock=clock)
    return Gateway(
        feed=feed, live=live, kept=kept, upstream=upstream, spool=spool, chat=chat, feedback=feedback
    )


def _where(error: Exception) -> str:
    """Type and place of an error, without its text."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}{place}"
