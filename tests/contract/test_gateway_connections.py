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
from promptship.gateway.reading import Reading, StreamReader
from promptship.gateway.reading_chat import ChatReader, read_completion
from promptship.gateway.reading_messages import MessageReader, read_message
from promptship.gateway.reading_responses import ResponseReader, read_response
from promptship.routing.api import Api
from promptship.settings import ProviderSettings
from tests.support.gateway import completion
from tests.support.loopback import Asked, Behaviour, Loopback, raw, says
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


READ: dict[Api, tuple[Callable[[bytes], Reading | None], Callable[[], StreamReader]]] = {
    "responses": (read_response, ResponseReader),
    "messages": (read_message, MessageReader),
}
OTHERS: dict[Api, dict[str, object]] = {
    "responses": {"model": "m", "input": "hi", "max_output_tokens": 9},
    "messages": CHAT | {"max_tokens": 9},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("api", ["responses", "messages"])
@pytest.mark.parametrize("stream", [False, True])
async def test_every_api_is_answered_whoever_answers(kind: str, api: Api, stream: bool) -> None:
    lacks = () if kind == "anthropic" else ("/responses", "/messages")
    fields = OTHERS[api] | {"stream": stream}
    status, media, body, _ = await asked(kind, every_provider(lacks=lacks), api, **fields)
    assert (status, media) == (200, "text/event-stream" if stream else "application/json")
    whole, reader_of = READ[api]
    if stream:
        reader = reader_of()
        reader.feed(body)
        assert reader.close() == ""
        reading: Reading | None = reader.reading()
    else:
        reading = whole(body)
    assert reading is not None
    assert reading.refusal is False
    assert reading.usage.tokens_out
    assert reading.usage.tokens_in


@pytest.mark.parametrize(
    ("answer", "calls", "status"),
    [
        (raw("404 Not Found", b'{"detail": "Not Found"}'), 4, 200),
        (raw("404 Not Found", b'{"error": {"message": "x", "code": "unknown_url", "param": null}}'), 4, 200),
        (raw("405 Method Not Allowed"), 4, 200),
        (raw("404 Not Found", b'{"error": {"message": "x", "code": "model_not_found"}}'), 3, 404),
        (raw("404 Not Found", b'{"error": {"message": "x", "code": 404, "param": "model"}}'), 3, 404),
        (raw("400 Bad Request", b'{"error": {"message": "x"}}'), 3, 400),
    ],
)
async def test_a_server_without_an_api_is_asked_for_chat_completions_from_then_on(
    answer: bytes, calls: int, status: int
) -> None:
    async def behave(seen: Asked, writer: asyncio.StreamWriter) -> None:
        await says(answer if seen.path == "/responses" else raw("200 OK", completion("hello")))(seen, writer)

    async with Loopback(behave) as server:
        upstream = HttpUpstream(Endpoints({"main": ProviderSettings(base_url=server.url)}, {}, {}))
        for _ in range(3):
            got = await upstream.open("m", orjson.dumps(OTHERS["responses"]), "responses")
            body = b"".join([piece async for piece in got.chunks()])
            await got.aclose()
            assert got.status == status
            assert (status != 200) == (body == answer.partition(b"\r\n\r\n")[2])
        await upstream.aclose()
        assert len(server.asked) == calls
        if calls > 3:
            assert server.asked[1].json["max_tokens"] == 9


@pytest.mark.parametrize("status", ["400 Bad Request", "422 Unprocessable Entity"])
async def test_a_server_that_refuses_the_option_is_asked_without_it_from_then_on(status: str) -> None:
    refusal = raw(status, b'{"error": {"message": "stream_options: extra inputs are not permitted"}}')

    async def behave(seen: Asked, writer: asyncio.StreamWriter) -> None:
        await says(refusal if "stream_options" in seen.json else raw("200 OK", b"fine"))(seen, writer)

    async with Loopback(behave) as server:
        upstream = HttpUpstream(Endpoints({"main": ProviderSettings(base_url=server.url)}, {}, {}))
        body = orjson.dumps(CHAT | {"stream": True, "stream_options": {"include_usage": True}})
        for _ in range(3):
            got = await upstream.open("m", body)
            assert (got.status, b"".join([piece async for piece in got.chunks()])) == (200, b"fine")
            await got.aclose()
        await upstream.aclose()
        assert ["stream_options" in one.json for one in server.asked] == [True, False, False, False]
        assert all(one.json["messages"] == CHAT["messages"] for one in server.asked)


async def test_another_refusal_of_a_stream_passes_as_it_is() -> None:
    said = b'{"error": {"message": "no such model"}}'
    behaviour = says(raw("400 Bad Request", said, "content-type: application/json", "x-request-id: 7"))
    status, media, body, _ = await asked(
        "openai", behaviour, stream=True, stream_options={"include_usage": True}
    )
    assert (status, media, body) == (400, "application/json", said)


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
    [
        ("gzip", b"<html>"),
        ("gzip", gzip.compress(b"x" * 5000, mtime=0)[:-9]),
        ("br", b"x"),
        ("deflate", b"\xff" * 50),
    ],
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
