"""GET /api/routes and /api/routes/events: the routes this gateway serves by, passed on to clients as the control plane tells them."""

from __future__ import annotations

from collections.abc import Iterator, KeysView, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from promptship.client.feed import APPLICATION_HEADER
from promptship.client.live import LiveTable
from promptship.gateway.attributes import KNOWN_APPLICATION
from promptship.gateway.keys import allowed
from promptship.gateway.news import COMMENT, News, event
from promptship.gateway.rejection import NO_ROUTES
from promptship.gateway.wire import JSON, Receive, Reply, Scope
from promptship.routing.table import RoutingTable

PATH: Final = "/api/routes"
EVENTS: Final = "/api/routes/events"
QUIET_S: Final = 5.0
"""A gateway that has not heard from its control plane for so long does not vouch for its routes: clients see them grow old."""


@dataclass
class Relay:
    """Tells routes. A lease is told as what is left of it now on this gateway's clock."""

    live: LiveTable
    news: News
    _versions: tuple[Any, bytes] = field(default=(None, b""), repr=False)

    async def table(self, scope: Scope, _receive: Receive, reply: Reply) -> None:
        """The table; `Age` says how long ago the control plane confirmed it."""
        if self.live.table is None:
            await reply.reject(NO_ROUTES)
            return
        age = b"%d" % max(0, int(self.live.age_s))
        headers = [JSON, (b"cache-control", b"no-store"), (b"age", age)]
        if application := scope.get(KNOWN_APPLICATION, ""):
            headers.append((APPLICATION_HEADER.encode(), application.encode()))
        await reply.whole(200, headers, self.json(allowed(scope)))

    async def events(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        """`table` at once and on every change, `lease` each second while the control plane is heard, else comments."""
        if self.live.table is None:
            await reply.reject(NO_ROUTES)
            return
        await self.news.stream(receive, reply, _Told(self, allowed(scope)).pieces)

    def leases(self, prompts: frozenset[str] | None = None) -> Mapping[str, float]:
        """Seconds left of every split, of these prompts only (None: of all)."""
        table = self.live.remaining()
        if table is None:
            return {}
        return {
            name: route.split.lease_s
            for name, route in table.routes.items()
            if route.split is not None and (prompts is None or name in prompts)
        }

    def json(self, prompts: frozenset[str] | None = None) -> bytes:
        """The table as clients know it, as JSON. Contents are the bulk of it and seldom change: they are written once.

        Clients stand in applications and are older than their gateway: they are not told what only gateways need, nor
        fields that say the default, so that a new one disturbs none that does not need it.
        """
        table = self.live.remaining()
        if table is None:
            return b"null"
        if prompts is not None:
            return _part(table, prompts)
        key, versions = self._versions
        if key != (table.revision, table.versions.keys()):
            key = (table.revision, table.versions.keys())
            versions = orjson.dumps({name: one.model_dump() for name, one in table.versions.items()})
            self._versions = (key, versions)
        routes = orjson.dumps(
            {name: one.model_dump(exclude_defaults=True) for name, one in table.routes.items()}
        )
        return b'{"revision":%d,"routes":%b,"versions":%b}' % (table.revision, routes, versions)


def _part(table: RoutingTable, prompts: frozenset[str]) -> bytes:
    """The table of these prompts: their routes, and the versions that these name."""
    routes = {
        name: one.model_dump(exclude_defaults=True) for name, one in table.routes.items() if name in prompts
    }
    named = set(_texts(routes))
    versions = {name: one.model_dump() for name, one in table.versions.items() if name in named}
    return orjson.dumps({"revision": table.revision, "routes": routes, "versions": versions})


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


class _Told:
    """What one stream was told so far."""

    def __init__(self, relay: Relay, prompts: frozenset[str] | None) -> None:
        self._relay = relay
        self._prompts = prompts
        self._said: tuple[int, KeysView[str]] | None = None

    def pieces(self) -> bytes:
        """The next event."""
        live = self._relay.live
        table = live.table
        if table is None:
            return COMMENT
        now = (table.revision, table.versions.keys())
        if now != self._said:
            self._said = now
            return event(self._relay.json(self._prompts), b"table")
        if live.age_s > QUIET_S:
            return COMMENT
        notice = {"revision": table.revision, "leases": self._relay.leases(self._prompts)}
        return event(orjson.dumps(notice), b"lease")
