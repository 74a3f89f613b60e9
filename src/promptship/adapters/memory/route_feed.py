"""A route feed that is told what to say: for tests, and for a gateway in the same process as its control plane."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from promptship.routing.table import RoutingTable


class MemoryRouteFeed:
    """`RouteFeed` in memory. Every follower sees the current table at once, then each pushed one, in order."""

    def __init__(self, table: RoutingTable | None = None) -> None:
        self._table = table
        self._followers: set[asyncio.Queue[RoutingTable]] = set()

    def push(self, table: RoutingTable) -> None:
        """Hand a table (a change, or only a renewed lease) to every follower."""
        self._table = table
        for follower in self._followers:
            follower.put_nowait(table)

    async def follow(self) -> AsyncIterator[RoutingTable]:
        """Never ends; a feed that was never pushed a table yields nothing."""
        queue: asyncio.Queue[RoutingTable] = asyncio.Queue()
        if self._table is not None:
            queue.put_nowait(self._table)
        self._followers.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._followers.discard(queue)
