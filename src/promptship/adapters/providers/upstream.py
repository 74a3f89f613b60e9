"""The gateway's way to a provider: the answer's head, then its bytes as they come, nothing parsed and nothing held back.

Only where the provider has other words than the API the client speaks, both are translated (`translation.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import orjson
from multidict import CIMultiDict
from yarl import URL

from promptship.adapters.providers.absent import (
    OPTION,
    is_absent,
    may_be_absent,
    may_refuse_option,
    without_option,
)
from promptship.adapters.providers.bridges.bridge import BRIDGED, RENAMED, Bridge
from promptship.adapters.providers.connections import Connections, Proxies, environment_proxies, unpacked
from promptship.adapters.providers.endpoints import Endpoint, Endpoints
from promptship.adapters.providers.translation import asked, refused
from promptship.adapters.providers.translation_answers import MadeAnswer, TranslatedAnswer
from promptship.adapters.providers.untranslatable import Untranslatable
from promptship.errors import Unavailable
from promptship.routing.api import Api

_TRACED: Final = frozenset({"traceparent", "tracestate"})
"""Headers of the client that mean something in every API."""
_ERROR_BYTES_MAX: Final = 1_000_000
_RETRIED: Final = frozenset({502, 503})
RETRY_AFTER_S: Final = 0.05
"""Pause before the one second try."""
_UNCONNECTED: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_FAULTS: Final = (aiohttp.ClientError, OSError)


class UpstreamAnswer:
    """An answer whose head has arrived. Read it once, then close it; closing early cuts the call off."""

    __slots__ = ("_encoding", "_provider", "_response", "status")

    def __init__(self, provider: str, response: aiohttp.ClientResponse) -> None:
        self._provider = provider
        self._response = response
        self.status = response.status
        # Bytes of a compressed answer (we ask for none) are unpacked on the way, so the header must not say otherwise.
        self._encoding: str = response.headers.get("content-encoding", "")

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Raw headers as the provider spelled them, without `content-encoding`."""
        raw = self._response.raw_headers
        return [pair for pair in raw if pair[0].lower() != b"content-encoding"] if self._encoding else raw

    @property
    def content_type(self) -> str:
        """Media type in lower case, without parameters."""
        value: str = self._response.headers.get("content-type", "")
        return value.partition(";")[0].strip().lower()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body's bytes, as they arrive.

        Raises:
            Unavailable: the connection broke before the end, or the body cannot be unpacked.
        """
        pieces: AsyncIterator[bytes] = self._response.content.iter_any()
        if self._encoding:
            encodings = [one.strip() for one in self._encoding.lower().split(",")]
            pieces = unpacked(pieces, encodings, self._provider)
        try:
            async for chunk in pieces:
                yield chunk
        except _FAULTS as error:
            raise _failed(self._provider, error) from error

    async def aclose(self) -> None:
        """Give the connection back, or end it if the answer was not read to its end."""
        self._response.close()


class HttpUpstream:
    """Pooled connections to every configured provider. What a server turns out not to have is remembered while it lives."""

    def __init__(self, endpoints: Endpoints, *, proxies: Proxies = environment_proxies) -> None:
        self._endpoints = endpoints
        self._connections = Connections(proxies)
        self._lacking: set[tuple[str, Api]] = set()
        self._without_option: set[tuple[str, str]] = set()

    async def open(
        self, model: str, body: bytes, api: Api = "chat", headers: Sequence[tuple[str, str]] = ()
    ) -> UpstreamAnswer | TranslatedAnswer | MadeAnswer:
        """Send a call to the model's provider and wait for the head of the answer, whatever its status.

        A connection that cannot be made, a 502 and a 503 are tried once more: nothing has reached the client yet. The caller
        sets the deadline. A call that the provider has no words for is answered with a 400 of our own.

        Raises:
            Unavailable: no head of an answer came.
            ConfigError: no provider is configured for the model, or its key is not set.
        """
        endpoint = self._endpoints.of(model, api)
        try:
            if endpoint.url is not None and (endpoint.provider, api) not in self._lacking:
                return await self._native(endpoint, model, api, body, headers)
            return await self._translated(endpoint, model, api, body, headers)
        except Untranslatable as error:
            return refused(error.told_as(RENAMED.get(api, {})), api)

    async def _native(
        self, endpoint: Endpoint, model: str, api: Api, body: bytes, headers: Sequence[tuple[str, str]]
    ) -> UpstreamAnswer | TranslatedAnswer | MadeAnswer:
        """In the words of the API; where the server turns out not to have it, by chat completions."""
        url = endpoint.url
        assert url is not None  # noqa: S101 - asked by `open`
        if api == "chat":
            return await self._chat(endpoint, url, model, body, headers)
        answer = await self._sent(endpoint, url, _with(endpoint.headers, headers), body)
        if not (endpoint.may_lack and api in BRIDGED and may_be_absent(answer.status)):
            return answer
        kept = await _held(answer)
        if not is_absent(kept.status, kept.body):
            return kept
        other = await self._translated(endpoint, model, api, body, headers)
        if other.status == HTTPStatus.OK:
            self._lacking.add((endpoint.provider, api))
        return other

    async def _translated(
        self, endpoint: Endpoint, model: str, api: Api, body: bytes, headers: Sequence[tuple[str, str]]
    ) -> TranslatedAnswer | MadeAnswer:
        """In other words than the client's. Raises Untranslatable."""
        traced = [pair for pair in headers if pair[0] in _TRACED]
        if api == "chat":
            return await self._own_words(endpoint, orjson.loads(body), traced)
        if api not in BRIDGED:
            raise Untranslatable("model", f"providers of kind {endpoint.spoken.kind} offer no {api} here")
        bridge = Bridge(api, orjson.loads(body))
        fields = bridge.chat()
        if endpoint.chat is None:
            return TranslatedAnswer(await self._own_words(endpoint, fields, traced), bridge)
        if not endpoint.limits_completions and "max_completion_tokens" in fields:
            fields["max_tokens"] = fields.pop("max_completion_tokens")
        sent = orjson.dumps(fields)
        return TranslatedAnswer(await self._chat(endpoint, endpoint.chat, model, sent, traced), bridge)

    async def _own_words(
        self, endpoint: Endpoint, fields: Mapping[str, Any], traced: Sequence[tuple[str, str]]
    ) -> TranslatedAnswer:
        call, translator = asked(endpoint.spoken, fields)
        own = CIMultiDict(call.headers)
        own["accept-encoding"] = "identity"
        own.update(traced)
        return TranslatedAnswer(
            await self._sent(endpoint, URL(call.url, encoded=True), own, call.body), translator
        )

    async def _chat(
        self, endpoint: Endpoint, url: URL, model: str, body: bytes, headers: Sequence[tuple[str, str]]
    ) -> UpstreamAnswer | MadeAnswer:
        """A chat completion as it is. A server that refuses `stream_options` is asked without them, also from then on."""
        sent, place = _with(endpoint.headers, headers), (endpoint.provider, model)
        if place in self._without_option and OPTION in body:
            body = without_option(body)
        answer = await self._sent(endpoint, url, sent, body)
        if not may_refuse_option(answer.status, body):
            return answer
        kept = await _held(answer)
        if OPTION not in kept.body:
            return kept
        again = await self._sent(endpoint, url, sent, without_option(body))
        if again.status == HTTPStatus.OK:
            self._without_option.add(place)
        return again

    async def aclose(self) -> None:
        """Close every connection."""
        await self._connections.aclose()

    async def _sent(
        self, endpoint: Endpoint, url: URL, headers: Mapping[str, str], body: bytes
    ) -> UpstreamAnswer:
        post = self._connections.post
        try:
            answer = await post(url, headers, body)
            if answer.status not in _RETRIED:
                return UpstreamAnswer(endpoint.provider, answer)
            answer.close()
        except _UNCONNECTED:
            pass
        except _FAULTS as error:
            raise _failed(endpoint.provider, error) from error
        await asyncio.sleep(RETRY_AFTER_S)
        try:
            return UpstreamAnswer(endpoint.provider, await post(url, headers, body))
        except _FAULTS as error:
            raise _failed(endpoint.provider, error) from error


def _with(own: CIMultiDict[str], more: Sequence[tuple[str, str]]) -> CIMultiDict[str]:
    if not more:
        return own
    sent = own.copy()
    sent.update(more)
    return sent


async def _held(answer: UpstreamAnswer) -> MadeAnswer:
    """An error, read: its body says whether there is another way."""
    content = bytearray()
    try:
        async for piece in answer.chunks():
            content += piece
            if len(content) > _ERROR_BYTES_MAX:
                break
    finally:
        await answer.aclose()
    return MadeAnswer(answer.status, bytes(content), answer.content_type, answer.headers)


def _failed(provider: str, error: Exception) -> Unavailable:
    return Unavailable(f"provider {provider}: {type(error).__name__} {error}".rstrip())
