"""What the gateway costs: clients -> gateway -> a stub provider that answers at once, beside a bare proxy of the same parts.

Everything runs on loopback in processes of its own; the CPU time is the measured process's alone. First as many requests as each
connection can make (there the latency is the queue's: connections / rate), then at a fixed rate (there it is what one is added).

    python benchmarks/bench_gateway.py [--seconds 5] [--connections 16] [--rate 500] [--stream]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import quantiles
from typing import Any, cast

import aiohttp
import uvicorn
import uvloop
from yarl import URL

from promptship.adapters.clock import SystemClock
from promptship.adapters.telemetry.spool import SpoolWriter
from promptship.client.kept import KeptRoutes
from promptship.gateway.choose import Choice
from promptship.gateway.reading import Reading, Usage
from promptship.gateway.record import Record
from promptship.gateway.serve import KEPT_ROUTES, run
from promptship.prompts.digest import canonical, digest
from promptship.prompts.model import Message, Prompt, Variable
from promptship.routing.table import Route, RoutingTable, Version
from promptship.settings import GatewaySettings, ProviderSettings, ServerSettings, Settings

TEXT = "Thank you for writing. Your parcel left our warehouse this morning and arrives tomorrow before noon. "
COMPLETION = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "stub",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": TEXT * 4}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 120, "completion_tokens": 80, "total_tokens": 200},
    }
).encode()
PIECES = 20
WANTED = (
    "wanted: 1,500 req/s, 0.7 ms CPU per request; added at a fixed rate: p50 1 ms, p99 5 ms, of streams to the first byte\n"
    "elsewhere, same machine: LiteLLM 66 req/s and 15 ms, Portkey 1,446 req/s and 2 ms"
)


def stub_answer(*, stream: bool) -> bytes:
    """The provider's whole answer."""
    if not stream:
        head = (
            f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(COMPLETION)}\r\n\r\n"
        )
        return head.encode() + COMPLETION
    chunk = json.dumps({"choices": [{"index": 0, "delta": {"content": "word "}}]})
    events = [f"data: {chunk}\n\n"] * PIECES
    events.append(
        'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    )
    body = "".join(f"{len(event):x}\r\n{event}\r\n" for event in events)
    return f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{body}0\r\n\r\n".encode()


class Stub(asyncio.Protocol):
    """Answers every request that has come in whole, without looking at it."""

    answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready."""
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        """Head, then as many bytes as it says."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            self._transport.write(self.answer)


def serve_stub(port: int, stream: bool) -> None:
    """The stub provider, until it is stopped."""

    async def main() -> None:
        Stub.answer = stub_answer(stream=stream)
        server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", port)
        await server.serve_forever()

    uvloop.run(main())


def serve_gateway(settings: Settings, ready: Event) -> None:
    """The gateway, until it is stopped."""
    run(settings, token="-", secret=b"a secret of the benchmark", ready=lambda _: ready.set())  # noqa: S106


@dataclass(frozen=True)
class Took:
    """Seconds of each request: to the first byte of the answer's body, and to its last."""

    first: list[float]
    whole: list[float]


async def hit(port: int, request: bytes, until: float, took: Took, pause_s: float) -> None:
    """One connection: ask, read the whole answer, ask again; with a pause, at moments fixed beforehand."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    due = time.perf_counter() + random.random() * pause_s
    while (began := time.perf_counter()) < until:
        if pause_s:
            if due > began:
                await asyncio.sleep(due - began)
            due, began = due + pause_s, time.perf_counter()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b" 200 " not in head[:15]:
            raise SystemExit(f"not 200: {head[:200]!r} {await reader.read(500)!r}")
        if b"chunked" in head:
            size, first = int(await reader.readline(), 16), time.perf_counter()
            while size > 0:
                await reader.readexactly(size + 2)
                size = int(await reader.readline(), 16)
            await reader.readline()
        else:
            first = time.perf_counter()
            await reader.readexactly(int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))
        took.first.append(first - began)
        took.whole.append(time.perf_counter() - began)
    writer.close()


def load(port: int, body: bytes, *, connections: int, seconds: float, rate: float = 0.0) -> Took:
    """Requests of a closed loop, or of that many per second in all."""
    took = Took([], [])
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    request, pause_s = head.encode() + body, connections / rate if rate else 0.0

    async def main() -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(hit(port, request, until, took, pause_s) for _ in range(connections)))

    uvloop.run(main())
    return took


def serve_bare(port: int, stub: int, stream: bool) -> None:
    """The least reverse proxy of the same parts, uvicorn and aiohttp: what no gateway made of them can be faster than."""

    async def main() -> None:
        connector = aiohttp.TCPConnector(limit=0)
        session = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        )
        url, head = URL(f"http://127.0.0.1:{stub}/v1/chat/completions"), {"content-type": "application/json"}

        async def app(_scope: Any, receive: Any, send: Any) -> None:
            message = await receive()
            answer = await session.request("POST", url, data=message["body"], headers=head)
            if not stream:
                body = await answer.read()
                length = (b"content-length", b"%d" % len(body))
                await send({"type": "http.response.start", "status": 200, "headers": [length]})
                await send({"type": "http.response.body", "body": body})
                return
            await send({"type": "http.response.start", "status": 200, "headers": []})
            async for piece in answer.content.iter_any():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

        config = uvicorn.Config(
            app, port=port, lifespan="off", access_log=False, log_config=None, server_header=False, date_header=False,
            proxy_headers=False,
        )  # fmt: skip
        await uvicorn.Server(config).serve()

    uvloop.run(main())


def cpu_s(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def settings_for(root: Path, stub: int, port: int) -> Settings:
    """A gateway that knows one prompt from disk; its control plane is away."""
    prompt = Prompt(
        name="support",
        model="stub",
        messages=(
            Message(role="system", content="You answer customers of {{ company }} politely. " * 10),
            Message(role="user", content="{{ question }}"),
        ),
        variables={"company": Variable(), "question": Variable()},
    )
    name = digest(prompt)
    routes = RoutingTable(
        revision=1,
        routes={"support": Route(prompt="support", revision=1, stable=name)},
        versions={name: Version(digest=name, commit="c", content=canonical(prompt))},
    )
    settings = Settings(
        root=root,
        gateway=GatewaySettings(port=port),
        server=ServerSettings(port=free_port()),
        providers={"stub": ProviderSettings(base_url=f"http://127.0.0.1:{stub}/v1")},
    )
    KeptRoutes(settings.data / KEPT_ROUTES).save(routes)
    return settings


def started(target: Callable[..., None], *words: object) -> multiprocessing.Process:
    """A process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=words, daemon=True)
    process.start()
    return process  # type: ignore[return-value]


def wait_for(port: int) -> None:
    """Until something listens."""
    for _ in range(300):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit("a server did not start")


def telemetry_us(requests: int = 50_000) -> float:
    """Time of one observation, made and appended to the spool."""
    with tempfile.TemporaryDirectory() as directory:
        spool = SpoolWriter(Path(directory), clock=SystemClock())
        choice = Choice("support", "a" * 64, "stable", "release", 1, "b" * 16)
        reading = Reading(Usage(120, 80), refusal=False)
        began = time.perf_counter()
        for _ in range(requests):
            made = Record(
                spool, time.monotonic, id="x" * 36, at_ms=1, began=0.0, choice=choice, streamed=False
            )
            made.write(200, reading=reading)
        took = time.perf_counter() - began
        spool.close()
    return 1e6 * took / requests


def measure(options: argparse.Namespace, *, stream: bool) -> None:
    """One table: the stub itself, the bare proxy, the gateway."""
    stub, bare, port = free_port(), free_port(), free_port()
    variables = {"company": "Acme", "question": "Where is my parcel?"}
    asked = {"model": "prompt:support", "user": "u-1", "prompt_variables": variables, "stream": stream}
    body = json.dumps(asked).encode()
    with tempfile.TemporaryDirectory() as directory:
        settings = settings_for(Path(directory), stub, port)
        ready = multiprocessing.get_context("spawn").Event()
        processes = [
            started(serve_stub, stub, stream),
            started(serve_bare, bare, stub, stream),
            started(serve_gateway, settings, ready),
        ]
        try:
            for one in (stub, bare, port):
                wait_for(one)
            print(f"\n{'streams' if stream else 'plain'}, {options.connections} connections")
            print(f"{'':12}{'req/s':>9}{'CPU ms/req':>12}{'p50 ms':>9}{'p99 ms':>9}   ", end="")
            print(f"at {options.rate:,} req/s:{'first p50':>11}{'first p99':>11}{'p50 ms':>9}{'p99 ms':>9}")
            for name, where, process in zip(
                ("stub alone", "bare proxy", "gateway"), (stub, bare, port), processes, strict=True
            ):
                row(name, where, process.pid or 0, body, options)
        finally:
            for process in processes:
                process.terminate()
                process.join(15)


def row(name: str, port: int, pid: int, body: bytes, options: argparse.Namespace) -> None:
    """As fast as it goes, then at a rate."""
    load(port, body, connections=options.connections, seconds=1.0)  # warm
    before = cpu_s(pid)
    took = load(port, body, connections=options.connections, seconds=options.seconds).whole
    used = 1000 * (cpu_s(pid) - before) / len(took)
    paced = load(port, body, connections=options.connections, seconds=options.seconds, rate=options.rate)
    cuts = [quantiles(one, n=100) for one in (took, paced.first, paced.whole)]
    (p50, p99), (first50, first99), (whole50, whole99) = [(1000 * one[49], 1000 * one[98]) for one in cuts]
    print(f"{name:12}{len(took) / options.seconds:9,.0f}{used:12.3f}{p50:9.2f}{p99:9.2f}", end="")
    print(f"{'':18}{first50:14.2f}{first99:11.2f}{whole50:9.2f}{whole99:9.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rate", type=int, default=500, help="requests per second of the second half")
    parser.add_argument("--stream", action="store_true", help="streams only")
    options = parser.parse_args()
    for stream in (True,) if options.stream else (False, True):
        measure(options, stream=stream)
    print(f"\ntelemetry: {telemetry_us():.1f} us per request, wanted at most 10")
    print(WANTED)


if __name__ == "__main__":
    main()
