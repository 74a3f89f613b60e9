"""`RouteFeed` over HTTP: server-sent events from control plane or gateway, polling when they fail, and never an end."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Final

import httpx
from pydantic import BaseModel, NonNegativeFloat, ValidationError

from promptship.client.live import elapsed, with_leases
from promptship.errors import Refused, Unavailable
from promptship.routing.table import RoutingTable

_JITTER = random.Random()  # noqa: S311 - no secret; the application's own random numbers stay as they are

_LOG = logging.getLogger("promptship.routes")
APPLICATION_HEADER: Final = "x-promptship-application"
SILENCE_S_MAX: Final = 5.0
"""The control plane speaks at least every second; a stream that is silent for longer is dead."""
_LINE_CHARACTERS_MAX: Final = 64_000_000


class _Notice(BaseModel):
    revision: int
    leases: dict[str, NonNegativeFloat]


class HttpRouteFeed:
    """Follows `/api/routes/events`; a change arrives within a second also when only `GET /api/routes` works.

    Args:
        base_url: of the control plane, or of a gateway, which passes on what it knows.
        token: sent as bearer token; empty: none.
        environment: whose routes; empty: those of the default one. A gateway has those of one environment.
        poll_s: longest pause between two tries; each is drawn from its upper half, so that followers do not call in step.
        monotonic: a clock that never goes back.
        troubled: told in one line what went wrong with a try, each time.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        environment: str = "",
        poll_s: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
        troubled: Callable[[str], None] = lambda _what: None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._token = token
        self._query = {"environment": environment} if environment else {}
        self._poll_s = poll_s
        self._monotonic = monotonic
        self._troubled = troubled
        self._said = ""
        self.age_s = 0.0
        """How long ago the table that came last had been confirmed, when it came: a gateway may be cut off itself."""
        self.application = ""
        """What a gateway calls us by our key; empty: it asks nobody, or it is a control plane."""

    async def follow(self) -> AsyncIterator[RoutingTable]:
        """The table at once, then on every change and lease renewal. `lease_s` is what was left when it was sent."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        timeout = httpx.Timeout(SILENCE_S_MAX)
        # The control plane is ours and near: a proxy meant for the outside world must not stand between.
        async with httpx.AsyncClient(
            base_url=self._base_url,
            headers=headers,
            timeout=timeout,
            trust_env=False,
            verify=needs_tls(self._base_url),
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
                await asyncio.sleep(self._poll_s * _JITTER.uniform(0.5, 1.0))

    async def _fetch(self, client: httpx.AsyncClient) -> RoutingTable:
        asked = self._monotonic()
        answer = await client.get("/api/routes", params=self._query)
        answer.raise_for_status()
        self.age_s = _age(answer.headers.get("age", ""))
        self.application = answer.headers.get(APPLICATION_HEADER, "")
        # The leases were computed somewhere between asking and now: count from asking, a lease may only be cut short.
        return elapsed(RoutingTable.model_validate_json(answer.content), self._monotonic() - asked)

    async def _stream(self, client: httpx.AsyncClient, table: RoutingTable) -> AsyncIterator[RoutingTable]:
        """Tables from the event stream until it breaks; `table` is what is known when it begins."""
        known, learned = table, self._monotonic()
        async with client.stream("GET", "/api/routes/events", params=self._query) as answer:
            answer.raise_for_status()
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                raise ValueError("/api/routes/events is no event stream")
            self._well()
            async for event, data in _events(answer.aiter_lines()):
                now = self._monotonic()
                if event == "table":
                    known, self.age_s = RoutingTable.model_validate_json(data), 0.0
                elif event == "lease":
                    revision, leases = _notice(data)
                    self.age_s = 0.0
                    if revision == known.revision:
                        known = with_leases(elapsed(known, now - learned), leases)
                    else:  # the change itself passed us by
                        known = await self._fetch(client)
                else:
                    continue
                learned = now
                yield known

    def _trouble(self, what: str) -> None:
        """Log it once, not every second."""
        self._troubled(what)
        if what != self._said:
            _LOG.warning("%s: %s; keeping the last known routes", self._base_url, what)
            self._said = what

    def _well(self) -> None:
        if self._said:
            _LOG.info("%s answers again", self._base_url)
            self._said = ""


def fetch_table(base_url: str, key: str) -> RoutingTable:
    """The table as it is now, once.

    Raises:
        Refused: the key is not accepted.
        Unavailable: no table came.
    """
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx.Client(headers=headers, timeout=SILENCE_S_MAX, trust_env=False) as client:
            answer = client.get(base_url.rstrip("/") + "/api/routes")
        if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise Refused(f"{base_url} does not accept this key")
        answer.raise_for_status()
        return RoutingTable.model_validate_json(answer.content)
    except (httpx.HTTPError, httpx.InvalidURL, ValidationError) as error:
        raise Unavailable(f"{base_url}: {_reason(error)}") from None


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


def needs_tls(url: str) -> bool:
    """Whether certificates will be looked at; loading them takes longer than everything else before the first request."""
    return not url.startswith("http://")


def _age(value: str) -> float:
    """Seconds of the header `Age`; 0: it says nothing."""
    return float(value) if value.isdecimal() else 0.0


def _reason(error: Exception) -> str:
    """One line without addresses' queries or bodies."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"answered {error.response.status_code} to {error.request.url.path}"
    if isinstance(error, ValidationError):
        return f"sent a table that cannot be read here ({error.error_count()} problems)"
    return f"{type(error).__name__} {error}".strip()
