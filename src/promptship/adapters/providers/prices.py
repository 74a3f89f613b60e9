"""What calls cost: list prices of well-known models, and the user's own over them. An unknown price is unknown, never 0."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from promptship.chat import ChatAnswer
from promptship.settings import ModelSettings

_FILE: Final = Path(__file__).with_name("prices.toml")
_DATED: Final = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$")
_MILLION: Final = 1_000_000
_LOCAL_NAMES: Final = ("localhost", ".localhost", ".local", ".internal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """USD per million tokens. `source` says who documents it."""

    price_in: float
    price_out: float
    price_cached: float | None = None
    """Tokens that the provider read from its cache; None: as `price_in`."""
    price_cache_written: float | None = None
    """Tokens that the provider wrote to its cache; None: as `price_in`."""
    tokens_in_max: int | None = None
    """A longer prompt costs more than is known; None: one price for all."""
    source: str = ""

    def cost_usd(
        self, tokens_in: int | None, tokens_out: int | None, cached: int = 0, *, cache_written: int = 0
    ) -> float | None:
        """Of one call; `cached` and `cache_written` are parts of `tokens_in`. None: a count is missing, or the prompt is too long."""
        if tokens_in is None or tokens_out is None:
            return None
        if self.tokens_in_max is not None and tokens_in > self.tokens_in_max:
            return None
        read = min(max(cached, 0), tokens_in)
        written = min(max(cache_written, 0), tokens_in - read)
        cached_at = self.price_in if self.price_cached is None else self.price_cached
        written_at = self.price_in if self.price_cache_written is None else self.price_cache_written
        fresh = (tokens_in - read - written) * self.price_in
        return (fresh + read * cached_at + written * written_at + tokens_out * self.price_out) / _MILLION


_FIELDS: Final = frozenset(field.name for field in fields(Price))


class Prices:
    """Prices by model: the user's own first, then the list."""

    def __init__(self, own: Mapping[str, Price] | None = None) -> None:
        self._own = dict(own or {})

    @classmethod
    def of(cls, models: Mapping[str, ModelSettings]) -> Self:
        """With the prices of promptship.toml's `[models]`; both prices must be there."""
        return cls(
            {
                name: Price(
                    price_in=one.price_in, price_out=one.price_out, price_cached=one.price_cached, source="promptship.toml"
                )
                for name, one in models.items()
                if one.price_in is not None and one.price_out is not None
            }
        )  # fmt: skip

    def of_model(self, model: str, *, listed: bool = True) -> Price | None:
        """The price of a model, also by its name without a date; None: unknown.

        `listed=False` leaves the list out: for endpoints that are not the vendor's, such as a model on this machine.
        """
        for table in (self._own, list_prices()) if listed else (self._own,):
            for name in (model, _DATED.sub("", model)):
                if name in table:
                    return table[name]
        return None

    def cost_usd(
        self,
        model: str,
        tokens_in: int | None,
        tokens_out: int | None,
        cached: int = 0,
        *,
        listed: bool = True,
    ) -> float | None:
        """What a call cost; None: the model's price or a count is unknown."""
        price = self.of_model(model, listed=listed)
        return None if price is None else price.cost_usd(tokens_in, tokens_out, cached)

    def of_answer(self, asked: str, answer: ChatAnswer, *, listed: bool = True) -> float | None:
        """What an answer cost: what the provider says itself, else by the model that was asked for, else by the one that answered."""
        if answer.cost_usd is not None:
            return answer.cost_usd
        price = self.of_model(asked, listed=listed) or self.of_model(answer.model, listed=listed)
        if price is None:
            return None
        written = answer.metadata.get("tokens_cache_written")
        return price.cost_usd(
            answer.tokens_in, answer.tokens_out, answer.tokens_cached or 0,
            cache_written=written if isinstance(written, int) else 0,
        )  # fmt: skip


@cache
def list_prices() -> Mapping[str, Price]:
    """The built-in list, by model id."""
    table = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    sources = table["sources"]
    return {
        name: Price(**{key: value for key, value in one.items() if key in _FIELDS and key != "source"},
                    source=sources[one["source"]])
        for name, one in table["models"].items()
    }  # fmt: skip


def is_local(address: str) -> bool:
    """Whether an address is on this machine or in a private network: what runs there has no list price."""
    host = (urlsplit(address).hostname or "").lower()
    try:
        return not ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(_LOCAL_NAMES)
