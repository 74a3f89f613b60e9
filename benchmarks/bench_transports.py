"""What one call to a provider costs the gateway's process, by transport: 16 parallel calls to a stub that answers at once.

The last row parses only what it must and handles no fault: the floor that a transport of one's own could come near to.

    python benchmarks/bench_transports.py [--calls 6000]
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import httptools
import httpx
import uvloop
from bench_gateway import free_port, serve_stub, started, wait_for
from httpx_aiohttp import AiohttpTransport
from yarl import URL

PARALLEL = 16
BODY = b'{"model":"stub","messages":[{"role":"system","content":"%b"}]}' % (b"You answer politely. " * 30)
HEADERS = {"content-type": "application/json", "authorization": "Bearer x"}
Call = Callable[[], Awaitable[None]]


def through(transport: httpx.AsyncBaseTransport, url: str) -> Call:
    """A call through httpx's transport API."""
    address = httpx.URL(url)

    async def call() -> None:
        request = httpx.Request(
            "POST", address, headers=HEADERS, content=BODY, extensions={"timeout": {"connect": 10}}
        )
        response = await transport.handle_async_request(request)
        async for _ in response.aiter_raw():
            pass
        await response.aclose()

    return call


def direct(session: aiohttp.ClientSession, url: str) -> Call:
    """A call of aiohttp's client."""
    address, timeout = URL(url), aiohttp.ClientTimeout(total=None, sock_connect=10)

    async def call() -> None:
        response = await session.request(
            "POST", address, data=BODY, headers=HEADERS, allow_redirects=False, timeout=timeout
        )
        async for _ in response.content.iter_any():
            pass
        response.release()

    return call


class Parsed(asyncio.Protocol):
    """One connection on httptools alone."""

    ended: asyncio.Future[None]
    transport: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """On to the parser."""
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self.ended.set_result(None)

    def ask(self) -> asyncio.Future[None]:
        """Send; the future ends with the answer."""
        self.parser = httptools.HttpResponseParser(self)
        self.ended = asyncio.get_running_loop().create_future()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(BODY)}\r\n"
            "content-type: application/json\r\nauthorization: Bearer x\r\n\r\n"
        )
        self.transport.write(head.encode() + BODY)
        return self.ended


def floor(port: int) -> Call:
    """A call with nothing but a pool that is a list."""
    pool: list[Parsed] = []

    async def call() -> None:
        if pool:
            one = pool.pop()
        else:
            _, one = await asyncio.get_running_loop().create_connection(Parsed, "127.0.0.1", port)
        await one.ask()
        pool.append(one)

    return call


async def cost(call: Call, calls: int) -> tuple[float, float]:
    """(CPU ms, calls per second) of one call."""

    async def some(count: int) -> None:
        for _ in range(count):
            await call()

    await asyncio.gather(*(some(20) for _ in range(PARALLEL)))
    cpu, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(some(calls // PARALLEL) for _ in range(PARALLEL)))
    made = calls // PARALLEL * PARALLEL
    return 1000 * (time.process_time() - cpu) / made, made / (time.perf_counter() - began)


async def compare(port: int, calls: int) -> None:
    """Print one row each."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    )
    limits = httpx.Limits(max_connections=2000, max_keepalive_connections=500)
    rows = {
        "httpx transport (httpcore)": through(httpx.AsyncHTTPTransport(limits=limits), url),
        "httpx over aiohttp": through(AiohttpTransport(client=session), url),
        "aiohttp": direct(session, url),
        "httptools, no fault handled": floor(port),
    }
    for name, call in rows.items():
        cpu, rate = await cost(call, calls)
        print(f"{name:30}{cpu:12.3f}{rate:12,.0f}")
    await session.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=6_000)
    options = parser.parse_args()
    for stream in (False, True):
        port = free_port()
        stub = started(serve_stub, port, stream)
        try:
            wait_for(port)
            print(f"{'streams' if stream else 'plain':30}{'CPU ms/call':>12}{'calls/s':>12}")
            uvloop.run(compare(port, options.calls))
        finally:
            stub.terminate()
            stub.join(15)


if __name__ == "__main__":
    main()
