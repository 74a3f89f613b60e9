"""The gateway as an ASGI application: which path is whose, what runs beside the requests, how it starts and stops."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Final

import orjson

from promptship.client.kept import KeptRoutes
from promptship.client.live import LiveTable
from promptship.errors import place_of
from promptship.gateway import for_clients, models, ofrep, otlp
from promptship.gateway.admission import Admission
from promptship.gateway.apis import CHAT, MESSAGES, RESPONSES
from promptship.gateway.attributes import KNOWN_APPLICATION
from promptship.gateway.embeddings import Embeddings
from promptship.gateway.feedback import Feedbacks
from promptship.gateway.intake import Names
from promptship.gateway.keys import ALLOWED, Keys
from promptship.gateway.news import News
from promptship.gateway.record import Spool
from promptship.gateway.rejection import Rejection
from promptship.gateway.reports import Reports
from promptship.gateway.sampling import Sampler, Samples
from promptship.gateway.serving import Around, Serving
from promptship.gateway.spans import Tracing
from promptship.gateway.upstream import Costs, Upstream
from promptship.gateway.wire import JSON, BodyLimits, Receive, Reply, Scope, Send
from promptship.ports import Clock, RouteFeed
from promptship.prompts.digest import from_canonical
from promptship.routing.api import Api
from promptship.settings import GatewaySettings

_LOG = logging.getLogger("promptship.gateway")
_AGAIN_S: Final = 1.0
_API: Final[Mapping[str, Api]] = {"/v1/messages": "messages", "/v1/responses": "responses"}
"""In whose words errors are told; elsewhere in those of chat completions."""
_OPEN: Final = frozenset({"/healthz", "/v1/feedback"})
"""Paths without an application's key: feedback carries its signed token."""
_PREFIXES: Final = (models.PATH, ofrep.FLAGS)
"""Paths whose handlers have what stands below them, too."""
Handler = Callable[[Scope, Receive, Reply], Awaitable[None]]


class Gateway:
    """An ASGI 3 application. Its lifespan follows the route feed, and closes upstream and spool at the end."""

    def __init__(
        self, *, feed: RouteFeed, kept: KeptRoutes, around: Around, keys: Keys, intake: bool = True
    ) -> None:
        self._feed = feed
        self._kept = kept
        self._around = around
        self._live = around.live
        self._keys = keys
        self.news = News(around.live)
        feedback = Feedbacks(spool=around.spool, secret=around.secret, clock=around.clock)
        reports = Reports(spool=around.spool, secret=around.secret, clock=around.clock, costs=around.costs)
        traces = otlp.Traces(reports=reports, live=around.live, admission=around.admission)
        self._spans_taken = traces.counts
        self._handlers: Mapping[str, tuple[str, Handler]] = {
            "/v1/chat/completions": ("POST", Serving(words=CHAT, around=around)),
            "/v1/responses": ("POST", Serving(words=RESPONSES, around=around)),
            "/v1/messages": ("POST", Serving(words=MESSAGES, around=around)),
            "/v1/embeddings": ("POST", Embeddings(around=around)),
            "/v1/feedback": ("POST", feedback),
            models.PATH: ("GET", models.Models(self._live)),
            **for_clients.paths(around, self.news),
            **({otlp.PATH: ("POST", traces)} if intake else {}),
            "/healthz": ("GET", lambda _scope, _receive, reply: self._health(reply)),
        }
        self._heard = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            await self._http(scope, receive, Reply(send, _API.get(scope["path"], "chat")))
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        path: str = scope["path"]
        below = (prefix for prefix in _PREFIXES if path.startswith(prefix + "/"))
        method, handler = self._handlers.get(next(below, path), ("", None))
        if handler is None:
            known = ", ".join(self._handlers)
            await reply.reject(
                Rejection(404, "unknown_url", f"there is no {path[:200]!r} here; there is {known}")
            )
        elif scope["method"] != method:
            rejection = Rejection(405, "method_not_allowed", f"{path} takes {method}")
            await reply.reject(rejection, [(b"allow", method.encode())])
        elif path in _OPEN:
            await self._guarded(handler, scope, receive, reply)
        elif isinstance(application := self._keys.application(scope), Rejection):
            await reply.reject(application)
        else:
            scope[KNOWN_APPLICATION], scope[ALLOWED] = application.name, application.prompts
            await self._guarded(handler, scope, receive, reply)

    async def _guarded(self, handler: Handler, scope: Scope, receive: Receive, reply: Reply) -> None:
        try:
            await handler(scope, receive, reply)
        except Exception as error:  # noqa: BLE001 - the server would log its text
            # A fault of ours. Not logged with its text: that may quote what the request held.
            _LOG.error("%s failed: %s", scope["path"], place_of(error))
            if not reply.started:
                await reply.reject(
                    Rejection(500, "internal_error", "the gateway failed; the request was not answered")
                )
            # Else the server cuts an answer off that has not ended; it must not log the error's text either.

    async def _health(self, reply: Reply) -> None:
        """200 once routes are known, also from disk; 503 until then."""
        table = self._live.table
        state = {
            "status": "starting" if table is None else "ok",
            "revision": None if table is None else table.revision,
            "age_s": None if table is None else round(self._live.age_s, 3),
            "source": "control plane" if self._heard else "disk" if table else None,
            "lost": self._around.spool.lost,
            "samples_dropped": 0 if self._around.sampler is None else self._around.sampler.samples.dropped,
            "spans_lost": 0 if self._around.tracing is None else self._around.tracing.spans.lost,
            "spans_in": asdict(self._spans_taken),
            "requests": self._around.admission.requests,
            "held_bytes": self._around.admission.held_bytes,
            "shed": self._around.admission.shed,
        }
        await reply.whole(503 if table is None else 200, [JSON], orjson.dumps(state))

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
        await self._around.upstream.aclose()
        await asyncio.to_thread(self._around.spool.close)
        if self._around.sampler is not None:
            await asyncio.to_thread(self._around.sampler.samples.close)
        if self._around.tracing is not None:
            await asyncio.to_thread(self._around.tracing.spans.close)
        await send({"type": "lifespan.shutdown.complete"})

    async def _follow(self) -> None:
        """Every table the feed brings, as long as the process lives."""
        while True:
            try:
                async for table in self._feed.follow():
                    self._heard = True
                    changed = self._live.take(table)
                    self.news.wake()
                    if changed:
                        _LOG.info("routes of revision %d", table.revision)
                        await asyncio.to_thread(self._kept.save, table)
            except Exception as error:  # noqa: BLE001 - without the feed the gateway would grow old unnoticed
                _LOG.error("the route feed broke: %s", place_of(error))
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
    costs: Costs | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    samples: Samples | None = None,
    tracing: Tracing | None = None,
    intake: bool = True,
) -> Gateway:
    """The gateway on these ports. `secret` signs feedback tokens; `monotonic` counts leases and latencies; `intake`: take spans."""
    settings = settings or GatewaySettings()
    live = LiveTable(lambda name, version: from_canonical(name, version.content), monotonic=monotonic)
    around = Around(
        live=live,
        upstream=upstream,
        spool=spool,
        costs=costs,
        names=Names(settings.prompt_ids),
        secret=secret,
        clock=clock,
        admission=Admission(requests_max=settings.requests_max, held_bytes_max=settings.held_bytes_max),
        limits=BodyLimits(settings.body_bytes_max, settings.body_timeout),
        timeout_s=settings.timeout,
        monotonic=monotonic,
        sampler=None if samples is None else Sampler(live, samples),
        tracing=tracing,
    )
    return Gateway(feed=feed, kept=kept, around=around, keys=Keys(settings.applications), intake=intake)
