"""The graders of a promptfoo configuration: providers that assertions name, or the ones that promptfoo takes by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from promptship.chat import ChatAnswer
from promptship.errors import ConfigError, Problem
from promptship.evals.calls import Anew
from promptship.evals.promptfoo.javascript_text import json_text
from promptship.evals.promptfoo.model import CallContext, Provider, ProviderSpec
from promptship.evals.promptfoo.providers.measuring import (
    OPENAI_EMBEDDINGS,
    OPENAI_MODERATION,
    Classify,
    Embed,
    Moderate,
    classifier,
    embedder,
    moderator,
)
from promptship.evals.promptfoo.providers.registry import Providers
from promptship.evals.promptfoo.references import FILE, read_text
from promptship.evals.promptfoo.yaml_text import read_document
from promptship.evals.services import Scripts, Spent, Usage
from promptship.evals.units import Asking

KINDS: Final = ("text", "embedding", "moderation", "classification")
_SPEC_KEYS: Final = frozenset({"id", "label", "config", "prompts", "transform", "delay", "env", "inputs"})
_AZURE_TEXT: Final = ("AZURE_DEPLOYMENT_NAME", "AZURE_OPENAI_DEPLOYMENT_NAME")
_AZURE_EMBEDDING: Final = ("AZURE_EMBEDDING_DEPLOYMENT_NAME", "AZURE_OPENAI_EMBEDDING_DEPLOYMENT_NAME")
_KEYS: Final = "OPENAI_API_KEY, ANTHROPIC_API_KEY, AZURE_API_KEY, GEMINI_API_KEY or MISTRAL_API_KEY"


@dataclass(slots=True)
class PromptfooGraders:
    """`Graders` of promptfoo.

    `who` is a provider's id, `{id, config}`, `{"<id>": {...}}`, or one of these per kind of question:
    `{text: …, embedding: …, moderation: …, classification: …}`.

    Args:
        providers: makes them.
        asking: retries, limits, cache and budget of the run.
        scripts: for providers in JavaScript and Ruby.
        base: directory that relative paths start from.
        default: `options.provider` of the default test, or `grader` of the commandLineOptions; None: as promptfoo chooses, by the keys in the environment.
    """

    providers: Providers
    asking: Asking
    scripts: Scripts
    base: Path
    default: Any = None
    _texts: dict[bytes, Provider] = field(default_factory=dict)
    _embedders: dict[bytes, Embed] = field(default_factory=dict)
    _moderators: dict[bytes, Moderate] = field(default_factory=dict)
    _classifiers: dict[bytes, Classify] = field(default_factory=dict)

    async def say(
        self, messages: Sequence[Mapping[str, Any]], *, who: Any = None, anew: bool = False
    ) -> tuple[str, Spent]:
        """Text that the judge answers. Raises Unavailable, Refused, ConfigError."""
        provider = self.judge(who)
        prompt = json_text([dict(message) for message in messages])
        asking = Anew(self.asking) if anew else self.asking
        answer = await provider.call(prompt, CallContext(prompt_label="grader"), asking, self.scripts)
        text = answer.text if answer.value is None or answer.text else json_text(answer.value)
        tokens = (answer.tokens_in or 0) + (answer.tokens_out or 0)
        spent = Spent(
            tokens=tokens,
            usage=_usage(answer),
            cost_usd=0.0 if answer.cached else answer.cost_usd or 0.0,
            unpriced=int(not answer.cached and answer.cost_usd is None),
            cached=answer.cached,
            model=answer.model or provider.id,
            fingerprint=answer.fingerprint,
        )
        return text, spent

    async def embed(
        self, texts: Sequence[str], *, who: Any = None
    ) -> tuple[Sequence[Sequence[float]], Spent]:
        """One vector per text. Raises Unavailable, Refused, ConfigError."""
        spec, embed = self._embedder(who)
        vectors, tokens = await embed(texts, self.asking)
        return vectors, Spent(
            tokens=tokens, usage=Usage(prompt=tokens, requests=1), unpriced=1, model=spec.id
        )

    async def moderate(self, asked: str, said: str, *, who: Any = None) -> tuple[Mapping[str, float], Spent]:
        """Flagged categories of what was said. Raises Unavailable, Refused, ConfigError."""
        del asked
        spec, moderate = self._moderator(who)
        return await moderate(said, self.asking), Spent(model=spec.id)

    async def classify(self, text: str, *, who: Any = None) -> tuple[Mapping[str, float], Spent]:
        """Score of every label. Raises Unavailable, Refused, ConfigError."""
        spec, classify = self._classifier(who)
        return await classify(text, self.asking), Spent(model=spec.id)

    def ready(self, who: Any, kind: str) -> None:
        """Make the provider that answers a kind of question. Raises ConfigError: none can, or its key is missing."""
        makers = {
            "text": self.judge, "embedding": self._embedder, "moderation": self._moderator,
            "classification": self._classifier,
        }  # fmt: skip
        makers[kind](who)

    def judge(self, who: Any) -> Provider:
        """The provider that answers in text. Raises ConfigError."""
        spec = self._spec(who, "text")
        key = _key(spec)
        if key not in self._texts:
            self._texts[key] = self.providers.make(spec)
        return self._texts[key]

    def _embedder(self, who: Any) -> tuple[ProviderSpec, Embed]:
        spec = self._spec(who, "embedding")
        key = _key(spec)
        if key not in self._embedders:
            self._embedders[key] = embedder(spec, self.providers.tools)
        return spec, self._embedders[key]

    def _moderator(self, who: Any) -> tuple[ProviderSpec, Moderate]:
        spec = self._spec(who, "moderation")
        key = _key(spec)
        if key not in self._moderators:
            self._moderators[key] = moderator(spec, self.providers.tools)
        return spec, self._moderators[key]

    def _classifier(self, who: Any) -> tuple[ProviderSpec, Classify]:
        spec = self._spec(who, "classification")
        key = _key(spec)
        if key not in self._classifiers:
            self._classifiers[key] = classifier(spec, self.providers.tools)
        return spec, self._classifiers[key]

    def _spec(self, who: Any, kind: str) -> ProviderSpec:
        for given in (who, self.default):
            chosen = chosen_of(given, kind)
            if chosen is not None:
                return spec_of(chosen, self.base)
        return ProviderSpec(id=default_id(kind, self.providers.tools.env), base=self.base)


def chosen_of(given: Any, kind: str) -> Any:
    """The part of a grader's reference that is for a kind of question; None: there is none.

    A provider of vectors is no judge and the other way round: a reference to one alone is left out for the others.
    """
    if isinstance(given, Mapping) and not _SPEC_KEYS & set(given) and set(given) & set(KINDS):
        return given.get(kind)
    return given or None


def spec_of(given: Any, base: Path) -> ProviderSpec:
    """A provider's reference as a provider. Raises ConfigError: it is none."""
    if isinstance(given, ProviderSpec):
        return given
    if isinstance(given, str) and given.startswith(FILE) and given.endswith((".yaml", ".yml", ".json")):
        path = base / given.removeprefix(FILE)
        written = read_document(str(path), read_text(path)).data
        given = written[0] if isinstance(written, list) and written else written
    if isinstance(given, str):
        return ProviderSpec(id=given, base=base)
    if isinstance(given, Mapping) and isinstance(given.get("id"), str):
        return _with(given["id"], given, base)
    if isinstance(given, Mapping) and len(given) == 1 and not _SPEC_KEYS & set(given):
        id_, more = next(iter(given.items()))
        if isinstance(more, Mapping | None):
            return _with(str((more or {}).get("id") or id_), more or {}, base)
    got = ", ".join(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
    expected = f"expected a provider's id, {{id, config}}, or a map of {', '.join(KINDS)}"
    raise ConfigError([Problem(str(base), "provider", got[:80], expected)])


def _with(id_: str, given: Mapping[str, Any], base: Path) -> ProviderSpec:
    env = {str(name): str(value) for name, value in (given.get("env") or {}).items()}
    return ProviderSpec(
        id=id_,
        label=str(given.get("label") or ""),
        config=dict(given.get("config") or {}),
        env=env,
        base=base,
    )


def default_id(kind: str, env: Mapping[str, str]) -> str:
    """The provider that promptfoo takes when nobody is named, by the keys that are there.

    Raises:
        ConfigError: there is no key for it.
    """
    for has_key, ids in _defaults(env):
        if has_key and kind in ids:
            return ids[kind]
    keys = _KEYS if kind == "text" else "OPENAI_API_KEY"
    advice = "or name a provider: `provider` of the assertion, or options.provider of the default test"
    raise ConfigError(
        [Problem("environment", "", f"no key for a default {kind} grader", f"expected {keys}", advice)]
    )


def _defaults(env: Mapping[str, str]) -> list[tuple[bool, dict[str, str]]]:
    azure_text = next((env[name] for name in _AZURE_TEXT if env.get(name)), "")
    azure_vectors = next((env[name] for name in _AZURE_EMBEDDING if env.get(name)), "")
    azure_key = bool(env.get("AZURE_API_KEY") or env.get("AZURE_OPENAI_API_KEY"))
    azure = {"text": f"azure:chat:{azure_text}"} if azure_text else {}
    if azure_vectors:
        azure["embedding"] = f"azure:embedding:{azure_vectors}"
    return [
        (
            bool(env.get("OPENAI_API_KEY")),
            {
                "text": "openai:chat:gpt-5.6-sol",
                "embedding": f"openai:embedding:{OPENAI_EMBEDDINGS}",
                "moderation": f"openai:moderation:{OPENAI_MODERATION}",
            },
        ),
        (azure_key, azure),
        (bool(env.get("ANTHROPIC_API_KEY")), {"text": "anthropic:messages:claude-sonnet-4-6"}),
        (
            bool(env.get("GEMINI_API_KEY") or env.get("GOOGLE_API_KEY")),
            {"text": "google:gemini-2.5-pro", "embedding": "google:embedding:gemini-embedding-001"},
        ),
        (
            bool(env.get("MISTRAL_API_KEY")),
            {"text": "mistral:mistral-large-latest", "embedding": "mistral:embedding:mistral-embed"},
        ),
    ]  # fmt: skip


def _usage(answer: ChatAnswer) -> Usage:
    """An answer from the cache is all `cached`, as in promptfoo."""
    prompt, completion = answer.tokens_in or 0, answer.tokens_out or 0
    if answer.cached:
        return Usage(cached=prompt + completion)
    return Usage(prompt=prompt, completion=completion, requests=1)


def _key(spec: ProviderSpec) -> bytes:
    return orjson.dumps(
        [spec.id, spec.label, dict(spec.config), dict(spec.env)], default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    )  # fmt: skip
