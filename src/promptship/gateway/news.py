"""Wakes the streams that tell others of routes: at every table and lease that arrives, and once a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from promptship.client.live import LiveTable
from promptship.gateway.attention import Attention
from promptship.gateway.rejection import Rejection
from promptship.gateway.wire import Receive, Reply

STREAMS_MAX: Final = 2_000
TICK_S: Final = 1.0
_TAKE_S_MAX: Final = 10.0
"""How long a follower may take to read a piece; then it counts as gone."""
_FULL: Final = Rejection(429, "too_many_streams", "too many event streams are open; poll", retry_after_s=5)
_ENDING: Final = Rejection(503, "stopping", "this gateway stops; try again", retry_after_s=1)
_HEADERS: Final = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)


class News:
    """One per gateway."""

    def __init__(self, live: LiveTable) -> None:
        self.live = live
        self.closed = False
        self._streams = 0
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Something arrived."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def close(self) -> None:
        """End every stream: the server would wait for them when it stops."""
        self.closed = True
        self.wake()

    async def stream(self, receive: Receive, reply: Reply, pieces: Callable[[], bytes]) -> None:
        """Answer with an event stream: `pieces` is asked at every turn what there is to say; empty is nothing."""
        refused = _ENDING if self.closed else _FULL if self._streams >= STREAMS_MAX else None
        if refused is not None:
            await reply.reject(refused)
            return
        self._streams += 1
        try:
            await reply.begin(200, _HEADERS)
            async with Attention(receive) as attention:
                async for piece in self._turns(pieces):
                    async with asyncio.timeout(_TAKE_S_MAX):
                        await reply.piece(piece)
            if not attention.gone:
                await reply.end()
        except TimeoutError:
            return  # the server cuts an answer off that has not ended
        finally:
            self._streams -= 1

    async def _turns(self, pieces: Callable[[], bytes]) -> AsyncIterator[bytes]:
        while not self.closed:
            changed = self._changed
            if piece := pieces():
                yield piece
            try:
                await asyncio.wait_for(changed.wait(), TICK_S)
            except TimeoutError:
                continue


def event(data: bytes, name: bytes = b"") -> bytes:
    """A server-sent event. `data` is one line."""
    return (b"event: " + name + b"\n" if name else b"") + b"data: " + data + b"\n\n"


COMMENT: Final = b":\n\n"
"""Says nothing but that the stream lives."""
