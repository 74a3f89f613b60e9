"""`Catalogue` over HTTP: the lists of models of every kind of provider."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from promptship.adapters.providers.answers import failure, json_of
from promptship.adapters.providers.catalogue_lists import LISTS, Page, call
from promptship.adapters.providers.dialects.call import Target
from promptship.adapters.providers.targets import config_error, target_of
from promptship.adapters.providers.wire import Wire
from promptship.errors import Unavailable
from promptship.ports.catalogue import Listed, ListedModel, Unlisted
from promptship.settings import ProviderSettings

PAGES_MAX: Final = 100
_NO_LIST: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})
_VERTEX: Final = "Vertex AI lists the models of your project's endpoints, not the ones it serves by name"


class HttpCatalogue:
    """Connections are pooled per event loop; `aclose` before it ends."""

    def __init__(
        self, providers: Mapping[str, ProviderSettings], env: Mapping[str, str], *, wire: Wire | None = None
    ) -> None:
        self._providers = providers
        self._env = env
        self._wire = wire or Wire()

    async def listing(self, provider: str) -> Listed | Unlisted:
        """See `promptship.ports.catalogue.Catalogue`."""
        settings = self._providers.get(provider)
        if settings is None:
            known = ", ".join(sorted(self._providers)) or "none is configured"
            raise config_error("providers", provider, f"one of: {known}", "name one")
        target = target_of(provider, settings, self._env)
        if target.project:
            return Unlisted(provider=provider, reason=_VERTEX)
        models: dict[str, ListedModel] = {}
        after = ""
        for _ in range(PAGES_MAX):
            page = await self._page(target, settings.kind, after)
            if page is None:
                return Unlisted(
                    provider=provider,
                    reason="it has no list of models: its address for that answers 404, 405 or 501",
                )
            models |= {one.name: one for one in page.models}
            if not page.next or page.next == after:
                return Listed(provider=provider, models=tuple(models.values()))
            after = page.next
        raise Unavailable(f"provider {provider} lists more than {PAGES_MAX} pages of models")

    async def aclose(self) -> None:
        """Close the pooled connections; a later call opens new ones."""
        await self._wire.aclose()

    async def _page(self, target: Target, kind: str, after: str) -> Page | None:
        """None: there is no such address."""
        dialect = LISTS[kind]
        asked = call(target, dialect, after)
        try:
            came = await self._wire.send(
                asked.method, asked.url, headers=asked.headers, timeout_s=target.timeout_s
            )
        except Unavailable as error:
            raise Unavailable(f"provider {target.provider}: {error}") from None
        value = json_of(came.body)
        if came.status in _NO_LIST:
            return None
        if came.status != HTTPStatus.OK:
            raise failure(target, status=came.status, headers=came.headers, value=value)
        try:
            return dialect.page(value)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Unavailable(
                f"provider {target.provider} answered 200 with something that is no list of models"
            ) from None
