"""What the gateway's connections do with packed bodies, proxies, and providers that have words of their own."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.adapters.providers.connections import environment_proxies, unpacked
from promptship.adapters.providers.endpoints import Endpoints
from promptship.adapters.providers.upstream import HttpUpstream
from promptship.errors import Unavailable
from promptship.gateway.reading_chat import ChatReader, read_completion
from promptship.routing.api import Api
from promptship.settings import ProviderSettings
from tests.support.loopback import Behaviour, Loopback, raw, says
from tests.support.provider_answers import EMBEDDINGS, MESSAGE, RESPONSE, every_provider

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


async def asked(
    kind: str, behaviour: Behaviour, api: Api = "chat", **fields: object
) -> tuple[int, str, bytes, str]:
    """Status, media type and body of an answer, and the path that was asked."""
    async with Loopback(behaviour) as server:
        options = {"kind": kind, "base_url": server.url, "api_key_env": "KEY"}
        options |= {"region": "eu-1"} if kind == "bedrock" else {}
        given = ProviderSettings.model_validate(options)
        upstream = HttpUpstream(Endpoints({"main": given}, {}, {"KEY": "k"}))
        try:
            answer = await upstream.open("m", orjson.dumps(CHAT | fields), api, [("anthropic-version", "x")])
            body = b"".join([piece async for piece in answer.chunks()])
            await answer.aclose()
        finally:
            await upstream.aclose()
        path = server.asked[0].path if server.asked else ""
        return answer.status, answer.content_type, body, path


KINDS = ("openai", "azure", "anthropic", "gemini", "bedrock")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_chat_completion_is_one_whoever_gives_it(kind: str, stream: bool) -> None:
    status, media, body, _ = await asked(
        kind, every_provider(), stream=stream, stream_options={"include_usage": True}
    )
    assert (status, media) == (200, "text/event-stream" if stream else "application/json")
    if stream:
        reader = ChatReader()
        reader.feed(body)
        assert reader.close() == ""
        reading = reader.reading()
    else:
        whole = read_completion(body)
        assert whole is not None
        reading = whole
    assert reading.refusal is False
    assert reading.usage.tokens_out


@pytest.mark.parametrize(
    ("kind", "api", "path", "value"),
    [
        ("openai", "responses", "/responses", RESPONSE),
        ("openai", "embeddings", "/embeddings", EMBEDDINGS),
        ("anthropic", "messages", "/v1/messages", MESSAGE),
        ("azure", "responses", "/openai/v1/responses?api-version=preview", RESPONSE),
    ],
)
async def test_the_other_apis_pass_as_they_are(kind: str, api: Api, path: str, value: object) -> None:
    status, _, body, got = await asked(kind, every_provider(), api)
    assert (status, body, got) == (200, orjson.dumps(value), path)


async def test_an_error_of_another_kind_becomes_openais() -> None:
    said = b'{"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}'
    status, media, body, _ = await asked("anthropic", says(raw("529 Overloaded", said)), stream=True)
    assert (status, media) == (529, "application/json")
    assert orjson.loads(body)["error"]["message"] == "busy"


async def test_what_cannot_be_asked_is_never_sent() -> None:
    status, _, body, path = await asked("anthropic", every_provider(), n=3)
    assert (status, path) == (400, "")
    assert "n:" in orjson.loads(body)["error"]["message"]


async def cut(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


PACKS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "raw": deflated,
}


@settings(max_examples=30)
@given(st.sampled_from(sorted(PACKS)), st.binary(max_size=3000), st.integers(1, 500))
def test_a_packed_body_comes_out_as_it_went_in(how: str, content: bytes, size: int) -> None:
    async def run() -> list[bytes]:
        pieces = cut(PACKS[how](content), size)
        return [one async for one in unpacked(pieces, ["deflate" if how == "raw" else how], "p")]

    assert b"".join(asyncio.run(run())) == content


async def test_a_bomb_comes_out_in_bounded_pieces() -> None:
    bomb = gzip.compress(bytes(20_000_000))
    sizes = [len(one) async for one in unpacked(cut(bomb, 65_536), ["gzip"], "p")]
    assert (sum(sizes), max(sizes) <= 262_144) == (20_000_000, True)


@pytest.mark.parametrize(
    ("encoding", "content"),
    [("gzip", b"<html>"), ("gzip", gzip.compress(b"x" * 5000)[:-9]), ("br", b"x"), ("deflate", b"\xff" * 50)],
)
async def test_what_cannot_be_unpacked_is_unavailable(encoding: str, content: bytes) -> None:
    with pytest.raises(Unavailable):
        [one async for one in unpacked(cut(content, 100), [encoding], "p")]


def test_one_proxy_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("all_proxy", "proxy.test:3128")
    assert environment_proxies("https", "api.test") == "http://proxy.test:3128"
    assert environment_proxies("https", "localhost") is None
