"""A gateway process under too much: floods, slow clients, a full disk. It serves what it can, and says what it did not."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.support.gateway import completion, event, table
from tests.support.gateway_process import BODY, running, until
from tests.support.loopback import Asked, raw, says

pytestmark = pytest.mark.system

ANSWERS = says(raw("200 OK", completion("hush-answer"), "content-type: application/json"))


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other side ends the connection, in whatever way."""
    got = b""
    try:
        while piece := await reader.read(1000):
            got += piece
    except ConnectionError:
        pass
    return got


async def test_a_flood_is_shed_and_what_was_taken_on_is_served(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def slowly(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        await ANSWERS(asked, writer)

    async with running(tmp_path, table(), slowly, requests_max=5) as (started, _, provider):
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=started.address, timeout=30.0, limits=limits) as clients:
            asking = [
                asyncio.create_task(clients.post("/v1/chat/completions", json=BODY)) for _ in range(200)
            ]

            async def shed() -> bool:
                # Those that were taken on are on their way to the provider while the others are told.
                return sum(one.done() for one in asking) == 195 and len(provider.asked) == 5

            await until(shed)
            health = (await started.http.get("/healthz")).json()
            assert (health["requests"], health["shed"]) == (5, 195)
            go_on.set()
            heard = await asyncio.gather(*asking)
        assert Counter(one.status_code for one in heard) == {200: 5, 429: 195}
        assert {one.headers["retry-after"] for one in heard if one.status_code == 429} == {"1"}
        assert len(started.lines()) == 5
        assert (await started.ask()).status_code == 200


async def test_connections_above_the_limit_are_told_and_closed(tmp_path: Path) -> None:
    async with running(tmp_path, table(), ANSWERS, connections_max=3) as (started, _, _provider):
        host, _, port = started.address.removeprefix("http://").partition(":")
        idle = [await asyncio.open_connection(host, int(port)) for _ in range(5)]
        told = [await rest(reader) for reader, _ in idle[2:]]
        assert all(b"429" in one.split(b"\r\n")[0] and b"gateway_overloaded" in one for one in told)
        for _, writer in idle:
            writer.close()
        assert (await started.ask()).status_code == 200


@pytest.mark.parametrize(
    "begun", [b"", b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-slow: 1", b"POST /v1"]
)
async def test_a_head_that_does_not_come_ends_the_connection(tmp_path: Path, begun: bytes) -> None:
    async with running(tmp_path, table(), ANSWERS, head_timeout=2.0) as (started, _, _provider):
        host, _, port = started.address.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(begun)
        async with asyncio.timeout(20):
            assert await rest(reader) == b""
        writer.close()
        assert (await started.ask()).status_code == 200


async def test_a_second_head_that_does_not_come_ends_the_connection_too(tmp_path: Path) -> None:
    async with running(tmp_path, table(), ANSWERS, head_timeout=2.0) as (started, _, _provider):
        host, _, port = started.address.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"200" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"GET /healthz HTTP/1.1\r\nhos")
        async with asyncio.timeout(20):
            await rest(reader)
        writer.close()


async def test_a_body_that_does_not_come_is_a_408(tmp_path: Path) -> None:
    async with running(tmp_path, table(), ANSWERS, body_timeout=0.2) as (started, _, _provider):
        host, _, port = started.address.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{")
        async with asyncio.timeout(20):
            assert b" 408 " in await reader.readuntil(b"\r\n")
        writer.close()
        assert (await started.http.get("/healthz")).json()["requests"] == 0


async def test_a_client_that_stops_reading_ends_the_call(tmp_path: Path) -> None:
    async def endless(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        while True:
            writer.write(event("x" * 10_000))
            await writer.drain()

    async with running(tmp_path, table(), endless, timeout=2.0) as (started, _, _provider):
        host, _, port = started.address.removeprefix("http://").partition(":")
        body = b'{"model": "prompt:support", "prompt_variables": {"question": "?"}, "stream": true}'
        _reader, writer = await asyncio.open_connection(host, int(port), limit=1000)
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
        writer.write(head + body)

        async def ended() -> bool:
            return bool(started.lines())

        await until(ended)
        writer.transport.abort()
        (line,) = started.lines()
        assert (line["status"], line["error"]) == (499, False)


async def test_a_full_disk_costs_lines_and_says_so_but_never_an_answer(tmp_path: Path) -> None:
    async with running(tmp_path, table(), ANSWERS, file_bytes_max=3000) as (started, _, _provider):
        for number in range(30):
            heard = await started.ask(user=f"hush-user-{number}")
            assert heard.status_code == 200
        lost = (await started.http.get("/healthz")).json()["lost"]
        assert 0 < lost < 30
        told = (tmp_path / "stderr").read_text()
        assert "telemetry is being lost" in told
        assert "hush" not in told
