"""How gateways learn of routes: one poller for all of them, and a stream each.

A lease is sent as seconds that are left *now*, so a table is read for the sending of it (at most a quarter of a second before,
so that a thousand gateways that reconnect at once cost four reads a second) and never taken from further back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

import orjson
from starlette.concurrency import run_in_threadpool

from promptship.errors import PromptshipError
from promptship.ports import Routes
from promptship.release.environment import DEFAULT, parse
from promptship.routing.environments import of_environment
from promptship.routing.table import RoutingTable

_log = logging.getLogger(__name__)

POLL_S: Final = 0.2
LEASE_S: Final = 1.0
FRESH_S: Final = 0.25
SILENCE_S_MAX: Final = 15.0
"""Without news a comment is sent this often, so that a client that left is noticed."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    table: RoutingTable
    read_at: float
    parts: dict[str, _Part] = field(default_factory=dict)
    """By environment; made when the first asks for it."""

    def part(self, environment: str) -> _Part:
        if environment not in self.parts:
            table = of_environment(self.table, environment)
            self.parts[environment] = _Part(table.revision, table.model_dump_json().encode())
        return self.parts[environment]


@dataclass(frozen=True, slots=True)
class _Part:
    """The table of one environment."""

    revision: int
    json: bytes


class RouteBroadcast:
    """Watches the largest revision and wakes every stream when it moves; tells the leases each second."""

    def __init__(
        self,
        routes: Routes,
        *,
        poll_s: float = POLL_S,
        lease_s: float = LEASE_S,
        complete: Callable[[RoutingTable], RoutingTable] = lambda table: table,
    ) -> None:
        self._routes = routes
        self._complete = complete
        self._poll_s = poll_s
        self._lease_s = lease_s
        self._reading = asyncio.Lock()
        self._snapshot: _Snapshot | None = None
        self._revision = -1
        self._leases_left: dict[str, float] = {}
        self._told: RoutingTable = RoutingTable(revision=-1)
        self._notice: dict[str, bytes] = {}
        self._notices = 0
        self._news = asyncio.Event()
        self._closed = False
        self._trouble = ""

    async def run(self) -> None:
        """Poll until closed. Trouble with the ledger is silence: gateways then let their leases run out by themselves."""
        told_at = float("-inf")
        while not self._closed:
            try:
                revision = await run_in_threadpool(self._routes.revision)
                if revision != self._revision:
                    self._revision = revision
                    self._wake()
                if time.monotonic() - told_at >= self._lease_s:
                    told_at = time.monotonic()
                    await self._tell_leases()
                self._trouble = ""
            except PromptshipError as error:
                self._say(str(error))
            except Exception:  # noqa: BLE001
                # Whatever it is, it must not leave every gateway without news until somebody restarts us.
                _log.exception("polling the routes failed")
            await asyncio.sleep(self._poll_s)

    def close(self) -> None:
        """End every stream: their connections would otherwise keep the server from stopping."""
        self._closed = True
        self._wake()

    async def table_json(self, environment: str = DEFAULT) -> bytes:
        """The table of an environment as JSON, leases as of now. Raises Unavailable."""
        return (await self._current()).part(environment).json

    async def stream(self, environment: str = DEFAULT) -> AsyncIterator[bytes]:
        """Server-sent events: `table` at once and on every change, `lease` each second. Ends when the ledger cannot be read.

        A change in another environment is no news here.
        """
        sent_revision, sent_notices = None, self._notices
        told: int | None = None
        while not self._closed:
            news = self._news
            if sent_revision is None or sent_revision < self._revision:
                try:
                    snapshot = await self._current()
                except PromptshipError:
                    return
                sent_revision, sent_notices = snapshot.table.revision, self._notices
                part = snapshot.part(environment)
                if part.revision != told:
                    told = part.revision
                    yield _event("table", part.json)
            elif sent_notices != self._notices:
                sent_notices = self._notices
                yield _event("lease", self._lease_notice(environment))
            else:
                try:
                    await asyncio.wait_for(news.wait(), SILENCE_S_MAX)
                except TimeoutError:
                    yield b":\n\n"

    async def _current(self) -> _Snapshot:
        async with self._reading:
            held = self._snapshot
            age_s = time.monotonic() - held.read_at if held is not None else float("inf")
            if held is not None and age_s < FRESH_S and held.table.revision >= self._revision:
                return held
            began = time.monotonic()
            table = await run_in_threadpool(self._table)
            self._snapshot = _Snapshot(table, began)
            self._revision = max(self._revision, table.revision)
            return self._snapshot

    def _table(self) -> RoutingTable:
        return self._complete(self._routes.table())

    async def _tell_leases(self) -> None:
        table = self._snapshot.table if self._snapshot is not None else None
        if table is None or table.revision < self._revision:
            table = (await self._current()).table
        self._leases_left = await run_in_threadpool(self._leases, table)
        self._told, self._notice = table, {}
        self._notices += 1
        self._wake()

    def _lease_notice(self, environment: str) -> bytes:
        """What the streams of an environment are told of its leases; put together once for all of them."""
        if environment not in self._notice:
            mine = of_environment(self._told, environment)
            leases = {
                place.prompt: left
                for name, left in self._leases_left.items()
                if (place := parse(name)).environment == environment
            }
            self._notice[environment] = orjson.dumps({"revision": mine.revision, "leases": leases})
        return self._notice[environment]

    def _leases(self, table: RoutingTable) -> dict[str, float]:
        """Seconds left of every split in the table that is still the same one."""
        leases = {}
        for prompt, route in table.routes.items():
            now = self._routes.get(prompt) if route.split is not None else None
            if now is not None and now.split is not None and now.revision == route.revision:
                leases[prompt] = now.split.lease_s
        return leases

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _say(self, trouble: str) -> None:
        """Once, not five times a second."""
        if trouble != self._trouble:
            _log.warning("routes cannot be read, gateways keep what they know: %s", trouble)
            self._trouble = trouble


def _event(name: str, data: bytes) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
