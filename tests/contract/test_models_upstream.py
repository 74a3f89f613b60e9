"""The gateway's way to a provider: when it tries again, when it does not, and that leaving ends the call."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from promptship.adapters.providers.connections import environment_proxies
from promptship.adapters.providers.endpoints import Endpoints
from promptship.adapters.providers.upstream import HttpUpstream
from promptship.errors import ConfigError, Unavailable
from promptship.gateway.upstream import Answer
from promptship.settings import ProviderSettings
from tests.support.loopback import Asked, Behaviour, Loopback, hangs, raw, resets, says


def upstream_to(url: str) -> HttpUpstream:
    return HttpUpstream(Endpoints({"main": ProviderSettings(base_url=url)}, {}, {}))


@asynccontextmanager
async def opened(*behaviours: Behaviour) -> AsyncIterator[tuple[HttpUpstream, Loopback]]:
    """An upstream whose provider behaves like each of these in turn, the last one for ever."""
    left = list(behaviours)

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(asked, writer)

    async with Loopback(behave) as server:
        upstream = upstream_to(server.url)
        try:
            yield upstream, server
        finally:
            await upstream.aclose()


async def read(answer: Answer) -> bytes:
    body = b"".join([piece async for piece in answer.chunks()])
    await answer.aclose()
    return body


OK = says(raw("200 OK", b"fine", "content-type: Text/Event-Stream; charset=x"))


async def test_head_and_body_as_they_are() -> None:
    async with opened(OK) as (upstream, server):
        answer = await upstream.open("gpt-x", b'{"a": 1}')
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        assert await read(answer) == b"fine"
        (asked,) = server.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/chat/completions", b'{"a": 1}')
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["host"] == server_host(asked)


def server_host(asked: Asked) -> str:
    host, _, port = asked.headers["host"].partition(":")
    assert port.isdecimal()
    return f"{host}:{port}"


@pytest.mark.parametrize(
    ("first", "calls", "status"),
    [
        ("502 Bad Gateway", 2, 200),
        ("503 Service Unavailable", 2, 200),
        ("500 Internal Server Error", 1, 500),
        ("504 Gateway Timeout", 1, 504),
        ("429 Too Many Requests", 1, 429),
        ("400 Bad Request", 1, 400),
    ],
)
async def test_it_tries_once_more_exactly_after_502_and_503(first: str, calls: int, status: int) -> None:
    async with opened(says(raw(first)), OK) as (upstream, server):
        answer = await upstream.open("gpt-x", b"{}")
        await read(answer)
        assert (answer.status, len(server.asked)) == (status, calls)


async def test_it_tries_only_once_more() -> None:
    async with opened(says(raw("503 Busy"))) as (upstream, server):
        answer = await upstream.open("gpt-x", b"{}")
        await read(answer)
        assert (answer.status, len(server.asked)) == (503, 2)


async def test_a_connection_that_cannot_be_made_is_tried_once_more() -> None:
    async with Loopback(hangs) as server:
        url = server.url
    upstream = upstream_to(url)
    with pytest.raises(Unavailable, match="main"):
        await upstream.open("gpt-x", b"{}")
    await upstream.aclose()


async def test_a_request_that_may_have_been_carried_out_is_not_sent_again() -> None:
    async with opened(resets) as (upstream, server):
        with pytest.raises(Unavailable):
            await upstream.open("gpt-x", b"{}")
        assert len(server.asked) == 1


async def test_a_body_that_breaks_off_is_unavailable() -> None:
    async with opened(says(raw("200 OK", b"half", length=100), close=True)) as (upstream, _):
        answer = await upstream.open("gpt-x", b"{}")
        with pytest.raises(Unavailable):
            await read(answer)
        await answer.aclose()


async def test_a_packed_body_is_unpacked_and_no_longer_called_packed() -> None:
    body = gzip.compress(b"fine")
    async with opened(says(raw("200 OK", body, "content-encoding: gzip"))) as (upstream, server):
        answer = await upstream.open("gpt-x", b"{}")
        assert b"content-encoding" not in dict(answer.headers)
        assert await read(answer) == b"fine"
        assert server.asked[0].headers["accept-encoding"] == "identity"


async def test_leaving_ends_the_call() -> None:
    async with opened(hangs) as (upstream, server):
        asking = asyncio.ensure_future(upstream.open("gpt-x", b"{}"))
        while not server.asked:  # noqa: ASYNC110 - a list has no event
            await asyncio.sleep(0.001)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        while not server.cut_off:  # noqa: ASYNC110 - a count has no event
            await asyncio.sleep(0.001)


async def test_no_provider_is_a_config_error() -> None:
    with pytest.raises(ConfigError):
        await HttpUpstream(Endpoints({}, {}, {})).open("gpt-x", b"{}")


def test_proxies_come_from_the_environment_but_never_stand_before_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.test:3128")
    monkeypatch.setenv("no_proxy", "inside.test")
    assert environment_proxies("https", "api.test") == "http://proxy.test:3128"
    assert environment_proxies("https", "inside.test") is None
    assert environment_proxies("https", "127.0.0.1") is None
