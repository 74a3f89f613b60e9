"""`Models` over HTTP: one call, one deadline, one clear error. Callers retry `Unavailable`; nothing is retried here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from promptship.adapters.providers.answers import failure, json_of, read
from promptship.adapters.providers.dialects.call import HttpCall, Target
from promptship.adapters.providers.dialects.vectors import (
    Vectors,
    azure_embeddings,
    flags_of,
    gemini_embeddings,
    openai_embeddings,
    openai_moderation,
    vectors_of,
)
from promptship.adapters.providers.prices import Prices
from promptship.adapters.providers.targets import Targets, config_error
from promptship.adapters.providers.wire import Wire, WireAnswer
from promptship.chat import ChatAnswer, ChatRequest
from promptship.errors import Unavailable
from promptship.settings import ModelSettings, ProviderSettings

T = TypeVar("T")
_OK: Final = 200
_EMBEDDINGS: Final = {"openai": openai_embeddings, "azure": azure_embeddings, "gemini": gemini_embeddings}


class HttpModels:
    """Every kind of provider. Connections are pooled per event loop; `aclose` before it ends."""

    def __init__(
        self,
        providers: Mapping[str, ProviderSettings],
        models: Mapping[str, ModelSettings],
        env: Mapping[str, str],
        *,
        wire: Wire | None = None,
    ) -> None:
        self._targets = Targets(providers, models, env)
        self._prices = Prices.of(models)
        self._wire = wire or Wire()

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        """One answer within the provider's timeout, counted from here to the last byte.

        Raises:
            Unavailable: no answer in time, 408, 409, 425, 429 (with `retry_after_s`), 5xx, a malformed body.
            Refused: 401 or 403.
            ConfigError: no provider for the model, its key is not set, a parameter that JSON has no form for or that this kind of
                provider has no words for, or any other 4xx.
        """
        spoken = self._targets.of(request.model)
        target = spoken.target
        came = await self._send(target, spoken.dialect.request(request, target))
        answer = read(
            spoken.dialect,
            target,
            status=came.status,
            headers=came.headers,
            body=came.body,
            latency_ms=came.latency_ms,
        )
        cost = self._prices.of_answer(
            request.model, answer, listed=not target.is_local and spoken.kind != "azure"
        )
        return replace(answer, cost_usd=cost)

    async def embed(self, model: str, texts: Sequence[str]) -> tuple[Vectors, int]:
        """One vector per text, and the tokens that were read (0: the provider did not say).

        Raises:
            Unavailable, Refused: as `complete`.
            ConfigError: also when this kind of provider has no embeddings here (anthropic, bedrock).
        """
        if not texts:
            return [], 0
        spoken = self._targets.of(model)
        make = _EMBEDDINGS.get(spoken.kind)
        if make is None:
            raise config_error(
                spoken.target.key,
                f"of kind {spoken.kind}",
                f"expected one of kind {', '.join(_EMBEDDINGS)} for embeddings",
                "name a model of such a provider",
            )
        call = make(spoken.target, model, texts)
        return await self._value(spoken.target, call, lambda value: vectors_of(value, wanted=len(texts)))

    async def moderate(self, model: str, asked: str, said: str) -> Mapping[str, float]:
        """Categories that a moderation model flags in an answer, with their scores 0..1; empty: none.

        `asked` is for models that judge an answer by its question; OpenAI's looks at the answer alone.

        Raises:
            Unavailable, Refused: as `complete`.
            ConfigError: also when the model's provider is not of kind `openai`.
        """
        del asked
        spoken = self._targets.of(model)
        if spoken.kind != "openai":
            raise config_error(
                spoken.target.key, f"of kind {spoken.kind}", "expected one of kind openai for moderation",
                "name a model of such a provider",
            )  # fmt: skip
        call = openai_moderation(spoken.target, model, said)
        return await self._value(spoken.target, call, flags_of)

    async def aclose(self) -> None:
        """Close the pooled connections; a later call opens new ones."""
        await self._wire.aclose()

    async def _value(self, target: Target, call: HttpCall, parse: Callable[[Any], T]) -> T:
        came = await self._send(target, call)
        value = json_of(came.body)
        if came.status != _OK:
            raise failure(target, status=came.status, headers=came.headers, value=value)
        try:
            return parse(value)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise Unavailable(
                f"provider {target.provider} answered 200 with something that is not what was asked for"
            ) from None

    async def _send(self, target: Target, call: HttpCall) -> WireAnswer:
        try:
            return await self._wire.send(
                call.method, call.url, headers=call.headers, body=call.body, timeout_s=target.timeout_s
            )
        except Unavailable as error:
            raise Unavailable(f"provider {target.provider}: {error}") from None
