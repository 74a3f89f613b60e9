"""The gateway's endpoints: where a model's provider takes calls of an API, as they are or in other words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from multidict import CIMultiDict
from yarl import URL

from promptship.adapters.providers.dialects.azure import deployment_path
from promptship.adapters.providers.targets import Spoken, Targets
from promptship.routing.api import Api
from promptship.settings import ModelSettings, ProviderSettings

LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]", "::1")
"""Never reached through a proxy, whatever the environment says."""
_RAW: Final[Mapping[Api, str]] = {
    "chat": "/chat/completions",
    "responses": "/responses",
    "messages": "/messages",
    "embeddings": "/embeddings",
}
_KNOWN_MAX: Final = 1_000
"""Endpoints that are remembered; models of embeddings are named by clients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where calls of a model go."""

    provider: str
    url: URL | None
    """Where calls of the API go as they are; None: the provider does not offer it."""
    chat: URL | None
    """Where its chat completions are; None: it has words of its own."""
    headers: CIMultiDict[str] = field(repr=False)
    """Of every request; the key is among them, so never print them."""
    spoken: Spoken = field(repr=False)
    """The provider's own words, for calls that must be translated."""

    @property
    def may_lack(self) -> bool:
        """Whether only asking shows which APIs there are: many servers are like OpenAI's, few are like all of it."""
        return self.spoken.kind in {"openai", "azure"}

    @property
    def limits_completions(self) -> bool:
        """Whether the limit of an answer is called `max_completion_tokens`; servers that are like OpenAI's know the older word."""
        host = (self.chat.host or "") if self.chat is not None else ""
        return self.spoken.kind == "azure" or host == "openai.com" or host.endswith(".openai.com")


class Endpoints:
    """The configured providers, by model and API. Keys are read when a model is first asked for."""

    def __init__(
        self,
        providers: Mapping[str, ProviderSettings],
        models: Mapping[str, ModelSettings],
        env: Mapping[str, str],
    ) -> None:
        self._targets = Targets(providers, models, env)
        self._known: dict[tuple[str, Api], Endpoint] = {}

    def of(self, model: str, api: Api = "chat") -> Endpoint:
        """Where calls of that API go for that model.

        Raises:
            ConfigError: no provider at all, an unknown one, or one whose key is not in the environment.
        """
        known = self._known.get((model, api))
        if known is None:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
                self._targets.forget()
            known = self._known[model, api] = _endpoint(self._targets.of(model), model, api)
        return known


def _endpoint(spoken: Spoken, model: str, api: Api) -> Endpoint:
    target = spoken.target
    headers = CIMultiDict({"accept-encoding": "identity", "content-type": "application/json"})
    headers.update(target.headers)
    url, chat = (_url(spoken, model, one) for one in (api, "chat"))
    return Endpoint(provider=target.provider, url=url, chat=chat, headers=headers, spoken=spoken)


def _url(spoken: Spoken, model: str, api: Api) -> URL | None:
    path = _path(spoken, model, api)
    return None if path is None else URL(spoken.target.base_url + path, encoded=True)


def _path(spoken: Spoken, model: str, api: Api) -> str | None:
    """Under the provider's address; None: it offers no such API."""
    if spoken.kind == "openai":
        return _RAW[api]
    if spoken.kind == "anthropic":
        return "/v1/messages" if api == "messages" else None
    if spoken.kind != "azure" or api == "messages":
        return None
    if api == "responses":
        return f"/openai/v1/responses?api-version={spoken.target.api_version or 'preview'}"
    return deployment_path(spoken.target, model, "embeddings" if api == "embeddings" else "chat/completions")
