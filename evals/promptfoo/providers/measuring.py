"""Providers that answer no prompt but help to grade: vectors of texts, moderation, classification."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote

from promptship.adapters.providers.answers import failure, json_of
from promptship.adapters.providers.dialects import HttpCall
from promptship.adapters.providers.dialects.vectors import (
    Vectors,
    azure_embeddings,
    flags_of,
    gemini_embeddings,
    openai_embeddings,
    vectors_of,
)
from promptship.errors import Unavailable
from promptship.evals.promptfoo.model import ProviderSpec
from promptship.evals.promptfoo.providers.base import Caller, Tools, no_key, secret, target_for, wrong
from promptship.evals.promptfoo.providers.families import (
    azure_caller,
    family_caller,
    family_of,
    openai_caller,
)
from promptship.evals.promptfoo.providers.google import google_caller
from promptship.evals.promptfoo.providers.others import ollama_caller
from promptship.evals.units import Asking

T = TypeVar("T")
Embed = Callable[[Sequence[str], Asking], Awaitable[tuple[Vectors, int]]]
"""Vectors of texts, and the tokens read (0: not said)."""
Moderate = Callable[[str, Asking], Awaitable[Mapping[str, float]]]
Classify = Callable[[str, Asking], Awaitable[Mapping[str, float]]]

OPENAI_EMBEDDINGS: Final = "text-embedding-3-large"
OPENAI_MODERATION: Final = "omni-moderation-latest"
_HUGGINGFACE: Final = "https://router.huggingface.co/hf-inference"
_OK: Final = 200
_BAD: Final = (ValueError, KeyError, IndexError, TypeError, AttributeError)


async def asked(caller: Caller, call: HttpCall, asking: Asking, parse: Callable[[Any], T]) -> T:
    """What a call gives, under the run's limits. Raises Unavailable, Refused, ConfigError."""

    async def once() -> T:
        came = await caller.send(call)
        value = json_of(came.body)
        if came.status != _OK:
            raise failure(caller.target, status=came.status, headers=came.headers, value=value)
        try:
            return parse(value)
        except _BAD:
            raise Unavailable(
                f"provider {caller.target.provider} answered 200 with something that is not what was asked for"
            ) from None

    return await asking.limited(caller.endpoint, once)


def embedder(spec: ProviderSpec, tools: Tools) -> Embed:
    """How a provider makes vectors. Raises ConfigError: it makes none here."""
    tools = tools.of(spec)
    caller, make, model = _embedding(spec, tools)

    async def embed(texts: Sequence[str], asking: Asking) -> tuple[Vectors, int]:
        call = make(caller, model, texts)
        return await asked(caller, call, asking, lambda value: _vectors(value, len(texts)))

    return embed


Making = Callable[[Caller, str, Sequence[str]], HttpCall]


def _embedding(spec: ProviderSpec, tools: Tools) -> tuple[Caller, Making, str]:
    prefix, _, rest = spec.id.partition(":")
    form, _, tail = rest.partition(":")
    is_embedding = form in {"embedding", "embeddings"}
    model = tail if is_embedding else rest
    if prefix == "openai" and is_embedding:
        return openai_caller(spec, tools), _openai, model or OPENAI_EMBEDDINGS
    if prefix in {"azure", "azureopenai"} and is_embedding and model:
        return azure_caller(spec, tools), lambda c, m, t: azure_embeddings(c.target, m, t), model
    if prefix in {"google", "vertex", "palm"} and model:
        return google_caller(spec, tools), lambda c, m, t: gemini_embeddings(c.target, m, t), model
    if prefix == "ollama" and is_embedding and model:
        return ollama_caller(spec, tools), _ollama, model
    if prefix == "voyage" and model:
        return _voyage(spec, tools), _openai, model
    if prefix in {"huggingface", "hf"} and form == "feature-extraction" and tail:
        return _huggingface(spec, tools, "feature-extraction", tail), _hugging, tail
    family = family_of(spec.id)
    if family is not None and is_embedding and model:
        return family_caller(spec, tools, family[1]), _openai, model
    advice = "openai:embedding:<model>, azure:embedding:<deployment>, google:embedding:<model>, ollama:embedding:<model>"
    raise wrong(spec, "id", repr(spec.id), "expected a provider of embeddings", advice)


def _openai(caller: Caller, model: str, texts: Sequence[str]) -> HttpCall:
    return openai_embeddings(caller.target, model, texts, **(caller.spec.config.get("passthrough") or {}))


def _ollama(caller: Caller, model: str, texts: Sequence[str]) -> HttpCall:
    return caller.target.call("/api/embed", {"model": model, "input": list(texts), "truncate": False})


def _hugging(caller: Caller, _model: str, texts: Sequence[str]) -> HttpCall:
    return caller.target.call("", {"inputs": list(texts)})


def _voyage(spec: ProviderSpec, tools: Tools) -> Caller:
    key = secret(spec, tools.env, "VOYAGE_API_KEY")
    if not key:
        raise no_key(spec, "VOYAGE_API_KEY")
    address = str(
        spec.config.get("apiBaseUrl") or tools.env.get("VOYAGE_API_BASE_URL") or "https://api.voyageai.com/v1"
    )
    target = target_for(
        spec, tools, address, headers=[("authorization", f"Bearer {key}")], envars=("VOYAGE_API_KEY",)
    )
    return Caller(spec=spec, tools=tools, target=target)


def _huggingface(spec: ProviderSpec, tools: Tools, task: str, model: str) -> Caller:
    key = secret(spec, tools.env, "HF_TOKEN", "HF_API_TOKEN")
    usual = f"{_HUGGINGFACE}/models/{quote(model, safe='/')}/pipeline/{task}"
    address = str(spec.config.get("apiEndpoint") or usual)
    headers = [("authorization", f"Bearer {key}")] if key else []
    return Caller(
        spec=spec, tools=tools, target=target_for(spec, tools, address, headers=headers, envars=("HF_TOKEN",))
    )


def _vectors(value: Any, wanted: int) -> tuple[Vectors, int]:
    if isinstance(value, list):  # Hugging Face: the vectors alone; of one text, perhaps one alone
        rows = value if value and isinstance(value[0], list) else [value]
        return vectors_of({"embeddings": [{"values": row} for row in rows]}, wanted=wanted)
    found = value.get("embeddings")
    if found and isinstance(found[0], list):  # Ollama
        vectors, _ = vectors_of({"embeddings": [{"values": row} for row in found]}, wanted=wanted)
        return vectors, int(value.get("prompt_eval_count") or 0)
    return vectors_of(value, wanted=wanted)


def moderator(spec: ProviderSpec, tools: Tools) -> Moderate:
    """How a provider moderates. Raises ConfigError: it does not, here."""
    tools = tools.of(spec)
    prefix, _, rest = spec.id.partition(":")
    form, _, model = rest.partition(":")
    if prefix != "openai" or form != "moderation":
        raise wrong(
            spec,
            "id",
            repr(spec.id),
            "expected openai:moderation:<model>",
            "other moderation cannot be asked here",
        )
    caller, model = openai_caller(spec, tools), model or OPENAI_MODERATION

    async def moderate(said: str, asking: Asking) -> Mapping[str, float]:
        parts: Any = [{"type": "text", "text": said}] if model.startswith("omni-") else said
        call = caller.target.call("/moderations", {"model": model, "input": parts})
        return await asked(caller, call, asking, flags_of)

    return moderate


def classifier(spec: ProviderSpec, tools: Tools) -> Classify:
    """How a provider classifies. Raises ConfigError: it does not, here."""
    tools = tools.of(spec)
    prefix, _, rest = spec.id.partition(":")
    form, _, model = rest.partition(":")
    if (
        prefix not in {"huggingface", "hf"}
        or form not in {"text-classification", "token-classification"}
        or not model
    ):
        raise wrong(
            spec,
            "id",
            repr(spec.id),
            "expected huggingface:text-classification:<model>",
            "other classifiers cannot be asked here",
        )
    caller = _huggingface(spec, tools, form, model)
    ours = {"apiKey", "apiKeyEnvar", "apiEndpoint", "headers"}
    parameters = {name: value for name, value in spec.config.items() if name not in ours}

    async def classify(text: str, asking: Asking) -> Mapping[str, float]:
        call = caller.target.call("", {"inputs": text, "parameters": parameters})
        return await asked(caller, call, asking, _labels)

    return classify


def _labels(value: Any) -> Mapping[str, float]:
    rows = value[0] if value and isinstance(value[0], list) else value
    found = {
        str(row["label"] if "label" in row else row["entity_group"]): float(row["score"]) for row in rows
    }
    if not found:
        raise ValueError("no labels")
    return found
