"""A raw HTTP server on loopback that answers, byte for byte, what a test says: also what no decent server would."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import orjson


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


Behaviour = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


def raw(status: str, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """A whole answer; `length` lies about the body's."""
    told = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", f"content-length: {told}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def says(answer: bytes, *, close: bool = False) -> Behaviour:
    """Send these bytes."""

    async def behave(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        if close:
            writer.close()

    return behave


async def hangs(_asked: Asked, _writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def resets(_asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Drop the connection without a word."""
    writer.transport.abort()


@dataclass
class Loopback:
    """`async with Loopback(behaviour) as server`; `behaviour` may be changed while it runs."""

    behaviour: Behaviour
    asked: list[Asked] = field(default_factory=list)
    cut_off: int = 0
    """Connections that the other side ended while the behaviour was still running."""

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Go away: no new connections, and the open ones are dropped."""
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.001)  # an aborted transport closes its socket one turn of the loop later

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (asked := await _request(reader)) is not None:
                self.asked.append(asked)
                await self._behave(asked, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _behave(self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        doing = asyncio.ensure_future(self.behaviour(asked, writer))
        leaving = asyncio.ensure_future(_left(reader))
        done, _ = await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        self.cut_off += doing not in done
        for future in (doing, leaving):
            future.cancel()
        await asyncio.gather(doing, leaving, return_exceptions=True)


async def _left(reader: asyncio.StreamReader) -> None:
    """Ends when the other side has gone; looks without taking anything."""
    while not reader.at_eof():  # noqa: ASYNC110 - a stream has no event for its end
        await asyncio.sleep(0.002)


async def _request(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, body)
