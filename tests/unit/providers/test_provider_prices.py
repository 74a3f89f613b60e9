"""Costs: what is known is added up, what is unknown stays unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptship.adapters.providers.prices import Price, Prices, is_local, list_prices
from promptship.chat import ChatAnswer
from promptship.settings import ModelSettings

COUNT = st.integers(0, 10_000_000)
USD = st.floats(0, 1000, allow_nan=False)


def test_every_listed_price_has_a_source_and_sensible_numbers() -> None:
    for name, price in list_prices().items():
        assert price.source, name
        assert 0 < price.price_in <= price.price_out, name
        assert price.price_cached is None or price.price_cached < price.price_in, name
        assert price.price_cache_written is None or price.price_cache_written > price.price_in, name


def test_an_unknown_model_has_no_cost() -> None:
    prices = Prices()
    assert prices.cost_usd("nobody/knows-it", 1000, 1000) is None
    assert prices.cost_usd("", 1, 1) is None
    assert prices.cost_usd("gpt-4.1", None, 1) is None
    assert prices.cost_usd("gpt-4.1", 1, 1, listed=False) is None


def test_known_models_also_by_their_dated_names() -> None:
    prices = Prices()
    assert prices.cost_usd("gpt-4.1-mini", 10, 5, 4) == pytest.approx(10.8e-6)
    assert prices.cost_usd("gpt-4.1-mini-2025-04-14", 10, 5, 4) == pytest.approx(10.8e-6)
    assert prices.cost_usd("claude-haiku-4-5-20251001", 1_000_000, 0) == pytest.approx(1.0)
    assert prices.cost_usd("gpt-4.1-miniature", 10, 5) is None


def test_a_prompt_beyond_the_listed_tier_has_no_cost() -> None:
    assert Prices().cost_usd("gemini-2.5-pro", 200_000, 1) is not None
    assert Prices().cost_usd("gemini-2.5-pro", 200_001, 1) is None


def test_own_prices_come_first_and_need_both_numbers() -> None:
    models = {
        "gpt-4.1": ModelSettings(price_in=1, price_out=2),
        "mine": ModelSettings(price_in=3, price_out=0),
        "half": ModelSettings(price_in=3),
    }
    prices = Prices.of(models)
    assert prices.cost_usd("gpt-4.1", 1_000_000, 1_000_000) == 3.0
    assert prices.cost_usd("mine", 1_000_000, 5, listed=False) == 3.0
    assert prices.cost_usd("half", 1, 1) is None


def test_an_answers_cost() -> None:
    prices = Prices()
    said = ChatAnswer(
        text="", model="claude-haiku-4-5", tokens_in=1_000_000, tokens_out=0, tokens_cached=400_000
    )
    assert prices.of_answer("my-alias", said) == pytest.approx(0.6 + 0.04)
    written = ChatAnswer(
        text="", tokens_in=1_000_000, tokens_out=0, metadata={"tokens_cache_written": 1_000_000}, model="x"
    )
    assert prices.of_answer("claude-haiku-4-5", written) == pytest.approx(1.25)
    assert prices.of_answer("claude-haiku-4-5", ChatAnswer(text="", cost_usd=7.0)) == 7.0


@given(USD, USD, USD, COUNT, COUNT, COUNT, COUNT)
def test_a_cost_lies_between_its_dearest_and_its_cheapest(
    price_in: float,
    price_out: float,
    cached_at: float,
    tokens_in: int,
    tokens_out: int,
    cached: int,
    written: int,
) -> None:
    price = Price(price_in=price_in, price_out=price_out, price_cached=cached_at)
    cost = price.cost_usd(tokens_in, tokens_out, cached, cache_written=written)
    assert cost is not None
    low, high = sorted((price_in, cached_at))
    rest = tokens_out * price_out
    assert (tokens_in * low + rest) / 1e6 <= cost * (1 + 1e-9) + 1e-12
    assert cost <= (tokens_in * high + rest) / 1e6 * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("http://127.0.0.1:1/v1", True), ("http://localhost/v1", True), ("http://[::1]:9/v1", True), ("http://10.1.2.3/v1", True),
        ("http://gpu-box:8000/v1", True), ("http://llm.internal/v1", True), ("https://api.openai.com/v1", False),
        ("https://8.8.8.8/v1", False),
    ],
)  # fmt: skip
def test_where_list_prices_do_not_hold(address: str, local: bool) -> None:
    assert is_local(address) is local
