"""The gateway's way to a provider: the answer's head, then its bytes as they come, nothing parsed and nothing held back.

Only where the provider has other words than the API the client speaks, both are translated (`translation.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from promptship.adapters.providers.connections import Connections, Proxies, environment_proxies, unpacked
from promptship.adapters.providers.endpoints import Endpoint, Endpoints
from promptship.adapters.providers.translation import Untranslatable, asked, refused
from promptship.adapters.providers.translation_answers import MadeAnswer, TranslatedAnswer
from promptship.errors import Unavailable
from promptship.routing.api import Api

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
    """Pooled connections to every configured provider."""

    def __init__(self, endpoints: Endpoints, *, proxies: Proxies = environment_proxies) -> None:
        self._endpoints = endpoints
        self._connections = Connections(proxies)

    async def open(
        self, model: str, body: bytes, api: Api = "chat", headers: Sequence[tuple[str, str]] = ()
    ) -> UpstreamAnswer | TranslatedAnswer | MadeAnswer:
        """Send a call to the model's provider and wait for the head of the answer, whatever its status.

        A connection that cannot be made, a 502 and a 503 are tried once more: nothing has reached the client yet. The caller
        sets the deadline. A call that the provider has no words for is answered with a 400 of our own.

        Raises:
            Unavailable: no head of an answer came.
            ConfigError: no provider is configured for the model, its key is not set, or it cannot be asked in this API.
        """
        endpoint = self._endpoints.of(model, api)
        sent = endpoint.headers
        if headers:
            sent = sent.copy()
            sent.update(headers)
        if endpoint.spoken is None:
            return await self._sent(endpoint, endpoint.url, sent, body)
        try:
            call, translator = asked(endpoint.spoken, body)
        except Untranslatable as error:
            return refused(error)
        own = CIMultiDict(call.headers)
        own["accept-encoding"] = "identity"
        answer = await self._sent(endpoint, URL(call.url, encoded=True), own, call.body)
        return TranslatedAnswer(answer, translator)

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


def _failed(provider: str, error: Exception) -> Unavailable:
    return Unavailable(f"provider {provider}: {type(error).__name__} {error}".rstrip())
