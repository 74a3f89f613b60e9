"""The gateway's endpoints: which OpenAI-compatible provider answers for a model, as raw address and headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from promptship.adapters.providers.targets import config_error, provider_name, target_of
from promptship.settings import ModelSettings, ProviderSettings

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""Never reached through a proxy, whatever the environment says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where calls of a model go."""

    provider: str
    url: httpx.URL
    """Of chat completions."""
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    """Raw request headers; the key is among them, so never print them."""
    timeout_s: float


class Endpoints:
    """The configured providers. Keys are read once, at start: a key that changes needs a restart."""

    def __init__(
        self,
        providers: Mapping[str, ProviderSettings],
        models: Mapping[str, ModelSettings],
        env: Mapping[str, str],
    ) -> None:
        self._providers = providers
        self._models = models
        self._env = env
        self._known: dict[str, Endpoint] = {}

    def of(self, model: str) -> Endpoint:
        """The endpoint of a model: its own provider, or the first configured one.

        Raises:
            ConfigError: no provider at all, an unknown one, one whose key is not in the environment, or one that is not
                OpenAI-compatible.
        """
        known = self._known.get(model)
        if known is None:
            name = provider_name(model, self._providers, self._models)
            known = self._known[model] = self._built(name)
        return known

    def _built(self, name: str) -> Endpoint:
        settings = self._providers[name]
        if settings.kind != "openai":
            raise config_error(
                f"providers.{name}.kind",
                repr(settings.kind),
                "expected 'openai': the gateway passes bytes on and speaks no other dialect",
                "serve this model from an OpenAI-compatible endpoint; evaluations can use the provider as it is",
            )
        target = target_of(name, settings, self._env)
        url = httpx.URL(target.base_url + "/chat/completions")
        headers = [
            (b"host", url.netloc),
            (b"accept-encoding", b"identity"),
            (b"content-type", b"application/json"),
        ]
        headers += [(key.encode(), value.encode()) for key, value in target.headers]
        return Endpoint(provider=name, url=url, headers=tuple(headers), timeout_s=settings.timeout)
