"""A gateway as far as a client can see it: routes as a control plane tells them, and a place for reports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from promptship.client import AsyncClient
from promptship.routing.table import RoutingTable
from tests.support.control_plane import ControlPlane
from tests.support.loopback import Asked, Loopback, raw

KEY = "tok"


@dataclass
class ClientGateway:
    plane: ControlPlane
    batches: list[dict[str, Any]] = field(default_factory=list)
    """Every batch of reports that came, also those that were not taken."""
    answers: list[bytes] = field(default_factory=list)
    """To the next batches; then all are taken."""

    async def __call__(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.path != "/v1/observations":
            await self.plane(asked, writer)
            return
        self.batches.append(asked.json)
        taken = raw("202 Accepted", orjson.dumps({"taken": 0, "refused": []}))
        writer.write(self.answers.pop(0) if self.answers else taken)

    def reports(self, stream: str) -> list[dict[str, Any]]:
        return [report for batch in self.batches for report in batch[stream]]


@asynccontextmanager
async def client_of(
    routes: RoutingTable, **options: Any
) -> AsyncIterator[tuple[AsyncClient, ClientGateway, Loopback]]:
    gateway = ClientGateway(ControlPlane(routes))
    async with Loopback(gateway) as server:
        client = AsyncClient(server.url, **({"key": KEY, "cache": None, "wait_s": 20.0} | options))
        client._client._parts()[1]._every_s = 0.01
        async with client:
            yield client, gateway, server


async def becomes(condition: Callable[[], bool] | Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.002)


def kept_in(directory: Path) -> Path:
    (found,) = directory.glob("routes-*.json")
    return found
