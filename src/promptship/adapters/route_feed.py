"""`RouteFeed` over HTTP: server-sent events from the control plane, polling when they fail, and never an end."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

import httpx
from pydantic import BaseModel, NonNegativeFloat, ValidationError

from promptship.routing.table import RoutingTable

_LOG = logging.getLogger("promptship.routes")
SILENCE_S_MAX: Final = 5.0
"""The control plane speaks at least every second; a stream that is silent for longer is dead."""
_LINE_CHARACTERS_MAX: Final = 64_000_000


class _Notice(BaseModel):
    revision: int
    leases: dict[str, NonNegativeFloat]


class HttpRouteFeed:
    """Follows `/api/routes/events`; a change arrives within a second also when only `GET /api/routes` works.

    Args:
        base_url: of the control plane.
        token: sent as bearer token.
        poll_s: longest pause between two tries; each is drawn from its upper half, so that gateways do not call in step.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        poll_s: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._token = token
        self._poll_s = poll_s
        self._monotonic = monotonic
        self._said = ""

    async def follow(self) -> AsyncIterator[RoutingTable]:
        """The table at once, then on every change and lease renewal. `lease_s` is what was left when it was sent."""
        headers = {"Authorization": f"Bearer {self._token}"}
        timeout = httpx.Timeout(SILENCE_S_MAX)
        # The control plane is ours and near: a proxy meant for the outside world must not stand between.
        async with httpx.AsyncClient(
            base_url=self._base_url, headers=headers, timeout=timeout, trust_env=False
        ) as client:
            while True:
                try:
                    known = await self._fetch(client)
                    yield known
                    async for table in self._stream(client, known):
                        yield table
                    self._trouble("the event stream ended")
                except (httpx.HTTPError, ValidationError, ValueError) as error:
                    self._trouble(_reason(error))
                await asyncio.sleep(self._poll_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret

    async def _fetch(self, client: httpx.AsyncClient) -> RoutingTable:
        asked = self._monotonic()
        answer = await client.get("/api/routes")
        answer.raise_for_status()
        # The leases were computed somewhere between asking and now: count from asking, a lease may only be cut short.
        return elapsed(RoutingTable.model_validate_json(answer.content), self._monotonic() - asked)

    async def _stream(self, client: httpx.AsyncClient, table: RoutingTable) -> AsyncIterator[RoutingTable]:
        """Tables from the event stream until it breaks; `table` is what is known when it begins."""
        known, learned = table, self._monotonic()
        async with client.stream("GET", "/api/routes/events") as answer:
            answer.raise_for_status()
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                raise ValueError("/api/routes/events is no event stream")
            self._well()
            async for event, data in _events(answer.aiter_lines()):
                now = self._monotonic()
                if event == "table":
                    known = RoutingTable.model_validate_json(data)
                elif event == "lease":
                    revision, leases = _notice(data)
                    if revision == known.revision:
                        known = _with_leases(elapsed(known, now - learned), leases)
                    else:  # the change itself passed us by
                        known = await self._fetch(client)
                else:
                    continue
                learned = now
                yield known

    def _trouble(self, what: str) -> None:
        """Say it once, not every second."""
        if what != self._said:
            _LOG.warning("control plane %s: %s; keeping the last known routes", self._base_url, what)
            self._said = what

    def _well(self) -> None:
        if self._said:
            _LOG.info("control plane %s answers again", self._base_url)
            self._said = ""


def elapsed(table: RoutingTable, seconds: float) -> RoutingTable:
    """The same table `seconds` later: every lease is that much shorter, at least 0."""
    return _with_leases(
        table,
        {
            name: max(0.0, route.split.lease_s - seconds)
            for name, route in table.routes.items()
            if route.split is not None
        },
    )


def _with_leases(table: RoutingTable, leases: dict[str, float]) -> RoutingTable:
    routes = {
        name: route.model_copy(update={"split": route.split.model_copy(update={"lease_s": leases[name]})})
        if route.split is not None and name in leases
        else route
        for name, route in table.routes.items()
    }
    return table.model_copy(update={"routes": routes})


def _notice(data: str) -> tuple[int, dict[str, float]]:
    """Revision and leases of a `lease` notice. A prompt it does not name keeps what is left of its lease."""
    notice = _Notice.model_validate_json(data)
    return notice.revision, notice.leases


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, str]]:
    """(event, data) of a server-sent event stream; comments, ids and retry hints are passed over."""
    event, data = "message", ""
    async for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield event, data
            event, data = "message", ""
        elif field == "event":
            event = value
        elif field == "data":
            data = f"{data}\n{value}" if data else value
            if len(data) > _LINE_CHARACTERS_MAX:
                raise ValueError("an event larger than any routing table")


def _reason(error: Exception) -> str:
    """One line without addresses' queries or bodies."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"answered {error.response.status_code} to {error.request.url.path}"
    if isinstance(error, ValidationError):
        return f"sent a table this gateway cannot read ({error.error_count()} problems)"
    return f"{type(error).__name__} {error}".strip()
