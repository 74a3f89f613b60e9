"""The gateway's way to a provider: the answer's head, then its bytes as they come, nothing parsed and nothing held back.

It calls httpx's transport, not its client: redirects, cookies and authentication flows are no part of a chat completion and
cost more than the rest of the call.
"""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

import httpx

from promptship.adapters.providers.endpoints import LOOPBACK, Endpoint, Endpoints
from promptship.errors import Unavailable

_RETRIED: Final = frozenset({502, 503})
RETRY_AFTER_S: Final = 0.05
"""Pause before the one second try."""
_CONNECT_S_MAX: Final = 10.0
_LIMITS: Final = httpx.Limits(max_connections=2000, max_keepalive_connections=500)


class UpstreamAnswer:
    """An answer whose head has arrived. Read it once, then close it; closing early cuts the call off."""

    def __init__(self, provider: str, response: httpx.Response) -> None:
        self._provider = provider
        self._response = response
        self.status = response.status_code
        # Bytes of a compressed answer (we ask for none) are unpacked on the way, so the header must not say otherwise.
        self._packed = "content-encoding" in response.headers

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Raw headers as the provider spelled them, without `content-encoding`."""
        raw = self._response.headers.raw
        return [pair for pair in raw if pair[0].lower() != b"content-encoding"] if self._packed else raw

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
        stream = self._response.aiter_bytes() if self._packed else self._response.aiter_raw()
        try:
            async for chunk in stream:
                yield chunk
        except httpx.HTTPError as error:
            raise _failed(self._provider, error) from error

    async def aclose(self) -> None:
        """Give the connection back, or end it if the answer was not read to its end."""
        await self._response.aclose()


class Proxies(Protocol):
    """The proxy for a URL scheme and host; None: direct."""

    def __call__(self, scheme: str, host: str) -> str | None:
        """Address of the proxy."""
        ...


def environment_proxies(scheme: str, host: str) -> str | None:
    """What `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say; this machine itself is always reached directly."""
    if host in LOOPBACK or urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(scheme)


class HttpUpstream:
    """Pooled connections to every configured provider."""

    def __init__(self, endpoints: Endpoints, *, proxies: Proxies = environment_proxies) -> None:
        self._endpoints = endpoints
        self._proxies = proxies
        self._transports: dict[str, httpx.AsyncHTTPTransport] = {}

    async def open(self, model: str, body: bytes) -> UpstreamAnswer:
        """Send a chat completion to the model's provider and wait for the head of the answer, whatever its status.

        A connection that cannot be made, a 502 and a 503 are tried once more: nothing has reached the client yet. The caller
        sets the deadline.

        Raises:
            Unavailable: no head of an answer came.
            ConfigError: no provider is configured for the model, or its key is not set.
        """
        endpoint = self._endpoints.of(model)
        try:
            answer = await self._once(endpoint, body)
            if answer.status_code not in _RETRIED:
                return UpstreamAnswer(endpoint.provider, answer)
            await answer.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout):
            pass
        except httpx.HTTPError as error:
            raise _failed(endpoint.provider, error) from error
        await asyncio.sleep(RETRY_AFTER_S)
        try:
            return UpstreamAnswer(endpoint.provider, await self._once(endpoint, body))
        except httpx.HTTPError as error:
            raise _failed(endpoint.provider, error) from error

    async def aclose(self) -> None:
        """Close every connection."""
        transports, self._transports = list(self._transports.values()), {}
        for transport in transports:
            await transport.aclose()

    async def _once(self, endpoint: Endpoint, body: bytes) -> httpx.Response:
        transport = self._transports.get(endpoint.provider)
        if transport is None:
            proxy = self._proxies(endpoint.url.scheme, endpoint.url.host)
            transport = httpx.AsyncHTTPTransport(limits=_LIMITS, proxy=proxy)
            self._transports[endpoint.provider] = transport
        headers = [*endpoint.headers, (b"content-length", b"%d" % len(body))]
        timeout = {"connect": _CONNECT_S_MAX}  # every other wait is under the caller's deadline
        request = httpx.Request(
            "POST",
            endpoint.url,
            headers=headers,
            stream=httpx.ByteStream(body),
            extensions={"timeout": timeout},
        )
        return await transport.handle_async_request(request)


def _failed(provider: str, error: httpx.HTTPError) -> Unavailable:
    return Unavailable(f"provider {provider}: {type(error).__name__} {error}".rstrip())
