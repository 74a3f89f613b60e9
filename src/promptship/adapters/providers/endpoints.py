"""Which provider answers for a model: address, headers with the key, deadline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from promptship.errors import ConfigError, Problem
from promptship.settings import ModelSettings, ProviderSettings

_FILE = "promptship.toml"
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
            ConfigError: no provider at all, an unknown one, or one whose key is not in the environment.
        """
        known = self._known.get(model)
        if known is None:
            known = self._known[model] = self._built(self._name(model))
        return known

    def _name(self, model: str) -> str:
        settings = self._models.get(model)
        if settings is not None and settings.provider is not None:
            if settings.provider not in self._providers:
                known = ", ".join(sorted(self._providers)) or "none is configured"
                raise _config(
                    f"models.{model}.provider", settings.provider, f"one of [providers]: {known}", "name one"
                )
            return settings.provider
        first = next(iter(self._providers), None)
        if first is None:
            raise _config(
                "providers", "empty", "at least one provider", f"add one: something must answer for {model}"
            )
        return first

    def _built(self, name: str) -> Endpoint:
        settings = self._providers[name]
        headers = [(b"accept-encoding", b"identity"), (b"content-type", b"application/json")]
        if settings.api_key_env:
            key = self._env.get(settings.api_key_env, "").strip()
            if not key:
                raise _config(
                    f"providers.{name}.api_key_env",
                    f"{settings.api_key_env}, which is not set",
                    "an environment variable that holds the key",
                    f"set {settings.api_key_env} where this process starts",
                )
            headers.append((b"authorization", f"Bearer {key}".encode()))
        try:
            url = httpx.URL(settings.base_url.rstrip("/") + "/chat/completions")
        except httpx.InvalidURL:
            url = httpx.URL("")
        if url.scheme not in {"http", "https"} or not url.host:
            raise _config(
                f"providers.{name}.base_url",
                repr(settings.base_url),
                "an http or https address up to /v1",
                "correct it",
            )
        headers.insert(0, (b"host", url.netloc))
        return Endpoint(provider=name, url=url, headers=tuple(headers), timeout_s=settings.timeout)


def _config(key: str, got: str, expected: str, advice: str) -> ConfigError:
    return ConfigError([Problem(file=_FILE, key=key, got=got, expected=expected, advice=advice)])
