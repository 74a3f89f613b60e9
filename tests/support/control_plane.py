"""A control plane as far as a gateway can see it: the table, and its stream of changes and lease renewals."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import orjson

from promptship.routing.table import RoutingTable
from tests.support.loopback import Asked, raw


@dataclass
class ControlPlane:
    """Serves the table and its changes like the real one, as far as a feed can see."""

    current: RoutingTable
    broken: set[str] = field(default_factory=set)
    """Paths that answer 500."""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    events: list[bytes] = field(default_factory=list)

    async def say(self, event: bytes) -> None:
        async with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    async def push(self, new: RoutingTable) -> None:
        self.current = new
        await self.say(b"event: table\ndata: " + new.model_dump_json().encode() + b"\n\n")

    async def renew(self, revision: int, leases: dict[str, float]) -> None:
        await self.say(
            b"event: lease\ndata: " + orjson.dumps({"revision": revision, "leases": leases}) + b"\n\n"
        )

    async def __call__(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.path in self.broken:
            writer.write(raw("500 No"))
        elif asked.headers.get("authorization") != "Bearer tok":
            writer.write(raw("401 No"))
        elif asked.path == "/api/routes":
            writer.write(raw("200 OK", self.current.model_dump_json().encode()))
        else:
            await self._stream(writer)

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: hello\n\n")
        sent = 0
        while True:
            async with self.changed:
                await self.changed.wait_for(lambda: len(self.events) > sent)  # noqa: B023 - read at once
            for event in self.events[sent:]:
                if event == b"":
                    writer.close()
                    return
                writer.write(event)
            sent = len(self.events)
            await writer.drain()
