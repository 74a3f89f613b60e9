"""What the gateway's calls cost, from the prices of promptship.toml and the built-in list."""

from __future__ import annotations

from collections.abc import Mapping

from promptship.adapters.providers.prices import Price, Prices, is_local, list_prices
from promptship.adapters.providers.targets import provider_name
from promptship.errors import ConfigError
from promptship.settings import ModelSettings, ProviderSettings


class Costs:
    """Cost by model. A list price holds only for the vendor's own endpoint; what runs on this machine has none."""

    def __init__(
        self, providers: Mapping[str, ProviderSettings], models: Mapping[str, ModelSettings]
    ) -> None:
        self._providers = providers
        self._models = models
        self._prices = Prices.of(models)
        self._known: dict[str, Price | None] = {}
        list_prices()  # read now, not during the first request

    def __call__(
        self,
        model: str,
        tokens_in: int | None,
        tokens_out: int | None,
        cached: int = 0,
        cache_written: int = 0,
    ) -> float | None:
        """USD of one call; None: the model's price or a count is unknown."""
        if model not in self._known:
            self._known[model] = self._price(model)
        price = self._known[model]
        if price is None:
            return None
        return price.cost_usd(tokens_in, tokens_out, cached, cache_written=cache_written)

    def _price(self, model: str) -> Price | None:
        try:
            provider = self._providers[provider_name(model, self._providers, self._models)]
        except ConfigError:
            return None
        return self._prices.of_model(model, listed=not is_local(provider.base_url))
