"""`Models` over HTTP: one call, one deadline, one clear error. Callers retry `Unavailable`; nothing is retried here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import httpx
import orjson

from promptship.adapters.providers.answers import failure, parsed
from promptship.adapters.providers.endpoints import LOOPBACK, Endpoint, Endpoints
from promptship.errors import ConfigError, Problem, Unavailable
from promptship.ports import ChatAnswer, ChatRequest
from promptship.settings import ModelSettings, ProviderSettings

BODY_BYTES_MAX = 32_000_000
_CONNECTIONS_MAX = 1000  # the runner bounds calls by concurrency_max; this only must not be the smaller one


class HttpModels:
    """Any OpenAI-compatible endpoint. Connections are pooled per event loop; `aclose` before it ends."""

    def __init__(
        self,
        providers: Mapping[str, ProviderSettings],
        models: Mapping[str, ModelSettings],
        env: Mapping[str, str],
    ) -> None:
        self._endpoints = Endpoints(providers, models, env)
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        """One answer within the provider's timeout, counted from here to the last byte.

        Raises:
            Unavailable: no answer in time, 408, 409, 425, 429 (with `retry_after_s`), 5xx, a malformed body.
            Refused: 401 or 403.
            ConfigError: no provider for the model, its key is not set, or any other 4xx.
        """
        endpoint = self._endpoints.of(request.model)
        try:
            body = orjson.dumps(_payload(request))
        except TypeError as error:  # a parameter that JSON has no form for
            problem = Problem(
                file=request.model, key="parameters", got=str(error), expected="values that JSON can hold"
            )
            raise ConfigError([problem]) from None
        began = time.perf_counter()
        try:
            async with asyncio.timeout(endpoint.timeout_s):
                answer, content = await self._exchange(endpoint, body)
        except TimeoutError:
            raise Unavailable(
                f"provider {endpoint.provider} did not answer within {endpoint.timeout_s:g} s"
            ) from None
        except httpx.HTTPError as error:
            raise Unavailable(
                f"provider {endpoint.provider}: {type(error).__name__} {error}".rstrip()
            ) from error
        if answer.status_code != httpx.codes.OK:
            raise failure(answer.status_code, answer.headers, content, provider=endpoint.provider)
        latency_ms = (time.perf_counter() - began) * 1000
        return parsed(content, provider=endpoint.provider, latency_ms=latency_ms)

    async def aclose(self) -> None:
        """Close the pooled connections; a later call opens new ones."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.aclose()

    async def _exchange(self, endpoint: Endpoint, body: bytes) -> tuple[httpx.Response, bytes]:
        headers = [(name, value) for name, value in endpoint.headers if name != b"host"]
        async with self._pool().stream("POST", endpoint.url, content=body, headers=headers) as answer:
            content = bytearray()
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > BODY_BYTES_MAX:
                    raise Unavailable(f"provider {endpoint.provider} sent more than {BODY_BYTES_MAX:,} bytes")
            return answer, bytes(content)

    def _pool(self) -> httpx.AsyncClient:
        # A connection lives in the loop that opened it, and a task may run each of its suites in a loop of its own.
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            limits = httpx.Limits(max_connections=_CONNECTIONS_MAX, max_keepalive_connections=100)
            # The deadline is asyncio's, one for the whole call; httpx's own would count each read anew.
            direct: dict[str, None] = dict.fromkeys(f"all://{host}" for host in LOOPBACK)
            self._client = httpx.AsyncClient(timeout=None, limits=limits, mounts=direct)  # noqa: S113
            self._loop = loop
        return self._client


def _payload(request: ChatRequest) -> dict[str, Any]:
    payload = {**request.parameters, "model": request.model, "messages": request.messages}
    if request.tools:
        payload["tools"] = request.tools
    if request.response_format is not None:
        payload["response_format"] = request.response_format
    return payload
