"""A limit in USD needs prices: a run that has one is not begun while an answer in it could not be counted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from promptship.adapters.providers.prices import Price, Prices, is_local
from promptship.adapters.providers.targets import provider_name
from promptship.errors import ConfigError, Problem
from promptship.evals.asked import models_asked
from promptship.evals.cases import Suite
from promptship.evals.estimate import Price as PriceOf
from promptship.evals.rows import Arm
from promptship.numbers import money
from promptship.prompts.model import Prompt
from promptship.settings import Settings


def price_of(settings: Settings, model: str) -> Price | None:
    """What a model costs at the provider that answers for it; None: nobody knows. Raises ConfigError: it has no provider."""
    provider = settings.providers[provider_name(model, settings.providers, settings.models)]
    # As when an answer is priced (`promptship.adapters.providers.models`): a vendor's list says nothing about other endpoints.
    listed = provider.kind != "azure" and not is_local(provider.base_url)
    return Prices.of(settings.models).of_model(model, listed=listed)


def pricing(settings: Settings) -> PriceOf:
    """`price_of` for estimates."""
    known: dict[str, Price | None] = {}

    def price(model: str, tokens_in: int, tokens_out: int) -> float | None:
        if model not in known:
            known[model] = price_of(settings, model)
        found = known[model]
        return None if found is None else found.cost_usd(tokens_in, tokens_out)

    return price


def refuse_unpriced(
    suites: Iterable[Suite],
    arms: Mapping[Arm, Prompt],
    settings: Settings,
    *,
    spend_max_usd: float | None = None,
    advice: str = "or set allow_unpriced in [evaluation]",
) -> None:
    """Make sure that a limit can be kept. `spend_max_usd`: beside those of the settings and of each suite. `advice`: the way round.

    Raises:
        ConfigError: every model without a price in a run that has a limit.
    """
    if settings.evaluation.allow_unpriced:
        return
    problems: dict[str, Problem] = {}
    for suite in suites:
        limits = (spend_max_usd, settings.evaluation.spend_max_usd, suite.budget_usd)
        given = [most for most in limits if most is not None]
        if not given:
            continue
        for model in _unpriced(suite, arms, settings):
            problems.setdefault(model, price_missing(model, f"suite {suite.name}", min(given), advice))
    if problems:
        raise ConfigError(problems.values())


def price_missing(model: str, what: str, most_usd: float, advice: str) -> Problem:
    """What is said of a model without a price. `what` may cost `most_usd`; `advice`: the way round."""
    expected = (
        f"expected its price: {what} may cost {money(most_usd)} at most, and its answers could not be counted"
    )
    tell = f"give price_in and price_out in USD per million tokens, 0 for a model of your own; {advice}"
    return Problem("promptship.toml", f'models."{model}".price_in', "missing", expected, tell)


def _unpriced(suite: Suite, arms: Mapping[Arm, Prompt], settings: Settings) -> Iterator[str]:
    for model in models_asked(suite, arms).chat:
        if price_of(settings, model) is None:
            yield model
