"""How much of a core one request costs the gateway: closed-loop clients -> gateway -> a stub provider that answers at once.

Everything runs on loopback in processes of its own; the CPU time is the gateway's alone. Prints one table.

    python benchmarks/bench_gateway.py [--seconds 5] [--connections 32] [--stream]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import quantiles
from typing import cast

import uvloop

from promptship.gateway.kept import KeptRoutes
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


async def hit(port: int, request: bytes, until: float, took: list[float]) -> None:
    """One connection: ask, read the whole answer, ask again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (began := time.perf_counter()) < until:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b" 200 " not in head[:15]:
            raise SystemExit(f"not 200: {head[:200]!r} {await reader.read(500)!r}")
        if b"chunked" in head:
            while (size := int(await reader.readline(), 16)) > 0:
                await reader.readexactly(size + 2)
            await reader.readline()
        else:
            await reader.readexactly(int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))
        took.append(time.perf_counter() - began)
    writer.close()


def load(port: int, body: bytes, *, connections: int, seconds: float) -> list[float]:
    """Seconds that each request of a closed loop took."""
    took: list[float] = []
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    request = head.encode() + body

    async def main() -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(hit(port, request, until, took) for _ in range(connections)))

    uvloop.run(main())
    return took


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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--stream", action="store_true")
    options = parser.parse_args()
    stub, port = free_port(), free_port()
    variables = {"company": "Acme", "question": "Where is my parcel?"}
    asked = {
        "model": "prompt:support",
        "user": "u-1",
        "prompt_variables": variables,
        "stream": options.stream,
    }
    body = json.dumps(asked).encode()
    with tempfile.TemporaryDirectory() as directory:
        ready = multiprocessing.get_context("spawn").Event()
        settings = settings_for(Path(directory), stub, port)
        processes = [started(serve_stub, stub, options.stream), started(serve_gateway, settings, ready)]
        try:
            if not ready.wait(30):
                sys.exit("the gateway did not start")
            load(port, body, connections=options.connections, seconds=1.0)  # warm
            print(
                f"{options.connections} connections, {options.seconds:g} s, {'stream' if options.stream else 'plain'}"
            )
            print(f"{'':12}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms/req':>12}")
            for name, where, process in (("stub alone", stub, None), ("gateway", port, processes[1])):
                before = cpu_s(process.pid or 0) if process else 0.0
                took = load(where, body, connections=options.connections, seconds=options.seconds)
                used = (
                    f"{1000 * (cpu_s(process.pid or 0) - before) / len(took):12.3f}"
                    if process
                    else f"{'-':>12}"
                )
                cuts = quantiles(took, n=100)
                print(
                    f"{name:12}{len(took) / options.seconds:9,.0f}{1000 * cuts[49]:9.2f}{1000 * cuts[98]:9.2f}{used}"
                )
        finally:
            for process in processes:
                process.terminate()
                process.join(15)


if __name__ == "__main__":
    main()
