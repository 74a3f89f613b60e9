"""The gateway's endpoints: which OpenAI-compatible provider answers for a model, as raw address and headers."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx

from promptship.adapters.providers.targets import ByModel, config_error, target_of
from promptship.settings import ProviderSettings

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


class Endpoints(ByModel[Endpoint]):
    """The configured providers, as far as they are OpenAI-compatible."""

    def _built(self, name: str, settings: ProviderSettings) -> Endpoint:
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
