"""The wire against real sockets on loopback."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from promptship.adapters.providers.wire import Wire, WireWeb, _proxy
from promptship.errors import ConfigError, Unavailable

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[str]:
    tasks: set[asyncio.Task[Any]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/v1?key=secret"
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    at = head.lower().find(b"content-length:")
    length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return head, await reader.readexactly(length)


def always(answer: bytes, seen: list[tuple[bytes, bytes]] | None = None) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await read_request(reader)
            if seen is not None:
                seen.append(request)
            writer.write(answer)
            await writer.drain()

    return handle


@asynccontextmanager
async def wire(**more: Any) -> AsyncIterator[Wire]:
    one = Wire(**more)
    try:
        yield one
    finally:
        await one.aclose()


OK = b"HTTP/1.1 200 OK\r\nX-Many: one\r\nx-many: two\r\nContent-Length: 5\r\n\r\nhello"


async def test_it_sends_what_it_was_given_and_returns_what_came() -> None:
    seen: list[tuple[bytes, bytes]] = []
    async with server(always(OK, seen)) as url, wire() as one:
        answer = await one.send("PUT", url, headers={"X-Key": "k"}, body=b"body", timeout_s=5)
        again = await one.send("GET", url, headers=[("a", "1"), ("a", "2")], timeout_s=5)
    assert (answer.status, answer.body, answer.headers["x-many"]) == (200, b"hello", "one, two")
    assert answer.latency_ms > 0
    assert again.status == 200
    head = seen[0][0].lower()
    assert head.startswith(b"put /v1?key=secret http/1.1")
    assert b"x-key: k" in head
    assert b"accept-encoding: identity" in head
    assert b"cookie" not in head
    assert seen[0][1] == b"body"
    assert b"\r\na: 1, 2\r\n" in seen[1][0]


async def test_every_status_is_an_answer_and_nothing_is_followed() -> None:
    for head in (b"302 Found\r\nLocation: /x", b"429 Too Many Requests", b"500 Oops", b"204 No Content"):
        async with (
            server(always(b"HTTP/1.1 " + head + b"\r\nContent-Length: 0\r\n\r\n")) as url,
            wire() as one,
        ):
            assert (await one.send("GET", url, timeout_s=5)).status == int(head[:3])


async def test_connections_are_used_again() -> None:
    opened = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        await always(OK)(reader, writer)

    async with server(handle) as url, wire() as one:
        for _ in range(3):
            await asyncio.gather(*(one.send("POST", url, body=b"x", timeout_s=5) for _ in range(10)))
    assert opened <= 10


BROKEN = {
    "closed at once": b"",
    "cut in the head": b"HTTP/1.1 200 OK\r\nContent-",
    "cut in the body": b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
    "cut in a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nhello",
    "not http": b"SSH-2.0-OpenSSH_9.0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "not gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
async def test_whatever_breaks_on_the_way_is_unavailable_and_says_where_without_secrets(
    answer: bytes,
) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        await writer.drain()

    async with server(handle) as url, wire() as one:
        with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:\d+") as caught:
            await one.send("POST", url, headers=[("authorization", "Bearer secret")], body=b"x", timeout_s=5)
    assert "secret" not in str(caught.value)


async def test_nobody_there_is_unavailable() -> None:
    async with server(always(OK)) as url:
        pass
    async with wire() as one:
        with pytest.raises(Unavailable, match="Cannot connect"):
            await one.send("GET", url, timeout_s=5)
        with pytest.raises(Unavailable):
            await one.send("GET", "http://nowhere.invalid/", timeout_s=5)


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhel"])
async def test_an_answer_that_does_not_come_or_does_not_end_is_given_up_in_time(begun: bytes) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(begun)
        await asyncio.Event().wait()

    async with server(handle) as url, wire() as one:
        with pytest.raises(Unavailable, match=r"did not answer within 0\.05 s"):
            await one.send("POST", url, body=b"x", timeout_s=0.05)


async def test_too_many_bytes_are_not_kept_packed_or_not() -> None:
    big = b"x" * 5000
    packed = gzip.compress(big)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n"
    for answer in (
        head % 5000 + b"\r\n" + big,
        head % len(packed) + b"Content-Encoding: gzip\r\n\r\n" + packed,
    ):
        async with server(always(answer)) as url, wire(bytes_max=4999) as one:
            with pytest.raises(Unavailable, match="more than 4,999 bytes"):
                await one.send("GET", url, timeout_s=5)
        async with server(always(answer)) as url, wire(bytes_max=5000) as one:
            assert (await one.send("GET", url, timeout_s=5)).body == big


async def test_long_heads_are_read() -> None:
    answer = b"HTTP/1.1 200 OK\r\nX-Long: " + b"y" * 30_000 + b"\r\nContent-Length: 0\r\n\r\n"
    async with server(always(answer)) as url, wire() as one:
        assert len((await one.send("GET", url, timeout_s=5)).headers["x-long"]) == 30_000


@pytest.mark.parametrize("url", ["", "ftp://x/", "nonsense", "http://", "http://[::1"])
async def test_what_is_no_address_is_a_mistake_of_the_configuration(url: str) -> None:
    async with wire() as one:
        with pytest.raises(ConfigError, match="http or https address"):
            await one.send("GET", url, timeout_s=5)


async def test_a_header_that_http_cannot_carry_is_one_too_and_is_not_quoted() -> None:
    async with server(always(OK)) as url, wire() as one:
        for value in ("secret\r\nx: y", "secret\N{SNOWMAN}"):
            with pytest.raises(ConfigError, match="headers") as caught:
                await one.send("GET", url, headers={"x": value}, timeout_s=5)
            assert "secret" not in str(caught.value)


def test_it_works_in_one_event_loop_after_another() -> None:
    one = Wire()

    async def go() -> int:
        async with server(always(OK)) as url:
            status = (await one.send("GET", url, timeout_s=5)).status
            await one.aclose()
            return status

    assert [asyncio.run(go()), asyncio.run(go())] == [200, 200]


async def test_a_webhook_gets_json_and_whatever_it_answers_is_told() -> None:
    seen: list[tuple[bytes, bytes]] = []
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"pass": true}'
    async with server(always(answer, seen)) as url, wire() as one:
        assert await WireWeb(one).post(url, {"output": "x", "n": 2**70}, timeout_s=5) == (200, {"pass": True})
    assert b'"output"' in seen[0][1]
    assert b"application/json" in seen[0][0]
    async with server(always(OK)) as url, wire() as one:
        assert await WireWeb(one).post(url, {}, timeout_s=5) == (200, None)


def test_proxies_are_used_for_everybody_but_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert _proxy("https", "api.example.org") == ""
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example.org:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example.org")
    assert _proxy("https", "api.example.org") == "http://proxy.example.org:3128"
    assert _proxy("http", "api.example.org") == ""
    for host in ("127.0.0.1", "127.9.9.9", "localhost", "::1", "inside.example.org"):
        assert _proxy("https", host) == ""
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.example.org")
    with pytest.raises(ConfigError, match="a socks5 proxy"):
        _proxy("https", "api.example.org")


@pytest.mark.parametrize("layers", [1, 2])
async def test_a_packed_body_is_unpacked_no_further_than_allowed(layers: int) -> None:
    body = bytes(3_000_000)
    for _ in range(layers):
        body = gzip.compress(body)
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {', '.join(['gzip'] * layers)}\r\ncontent-length: {len(body)}\r\n\r\n"
    async with server(always(head.encode() + body)) as url:
        async with wire(bytes_max=1_000_000) as one:
            with pytest.raises(Unavailable, match="sent more than 1,000,000 bytes"):
                await one.send("POST", url, body=b"{}", timeout_s=5)
        async with wire(bytes_max=3_000_000) as one:
            assert len((await one.send("POST", url, body=b"{}", timeout_s=5)).body) == 3_000_000


@pytest.mark.parametrize(
    ("encoding", "body", "read"),
    [
        ("deflate", zlib.compress(b'{"a": 1}'), b'{"a": 1}'),
        ("deflate", zlib.compress(b'{"a": 1}')[2:-4], b'{"a": 1}'),
        ("x-gzip", gzip.compress(b"{}", mtime=0), b"{}"),
        ("nonsense", b"{}", b"{}"),
        ("gzip", b"", b""),
        ("gzip", b"hello", None),
        ("gzip", gzip.compress(b"hello there", mtime=0)[:-9], None),
    ],
)
async def test_packed_bodies_are_read_or_refused(encoding: str, body: bytes, read: bytes | None) -> None:
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: {len(body)}\r\n\r\n"
    async with server(always(head.encode() + body)) as url, wire() as one:
        if read is None:
            with pytest.raises(Unavailable, match=f"no {encoding}"):
                await one.send("POST", url, body=b"{}", timeout_s=5)
        else:
            assert (await one.send("POST", url, body=b"{}", timeout_s=5)).body == read
