"""What is known about models without asking anybody: `models.toml`, overlaid by the `[models]` of promptship.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from functools import lru_cache
from importlib import resources
from typing import Protocol


class ModelFacts(Protocol):
    """What a configured model may say about itself (`promptship.settings.ModelSettings` does)."""

    @property
    def context_tokens(self) -> int | None:
        """Size of the context window in tokens; None: not stated."""
        ...

    @property
    def retires_on(self) -> str | None:
        """ISO date of its shutdown; None: not stated."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What is known about one model; None means not known, never zero."""

    context_tokens: int | None = None
    """Input and output together, in tokens."""
    retires_on: date | None = None
    """First day on which calls fail."""


_NOTHING_KNOWN = Model()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Model id -> what is known about it."""

    models: Mapping[str, Model]

    def find(self, model_id: str) -> Model | None:
        """The model, or None when the id is unknown.

        `provider/model` is always known, because a provider serves what it likes; its facts are those of the part after the
        first slash when that is in the catalogue. A fine-tune `ft:<base>:...` has the facts of its base.
        """
        if model_id in self.models:
            return self.models[model_id]
        provider, slash, rest = model_id.partition("/")
        if slash and provider and rest:
            return self.models.get(rest, _NOTHING_KNOWN)
        kind, _, rest = model_id.partition(":")
        if kind == "ft" and rest:
            return self.models.get(rest.partition(":")[0])
        return None

    def nearest(self, model_id: str) -> str | None:
        """The known id that looks most like this one, or None when nothing is close."""
        return next(iter(get_close_matches(model_id, self.models, n=1, cutoff=0.7)), None)

    def with_models(self, configured: Mapping[str, ModelFacts]) -> Catalogue:
        """This catalogue with the configured models over it; a fact that is not configured keeps its built-in value.

        Raises:
            ValueError: a `retires_on` is not an ISO date (`promptship.settings_file` has checked that before).
        """
        models = dict(self.models)
        for model_id, facts in configured.items():
            known = self.find(model_id) or _NOTHING_KNOWN
            models[model_id] = Model(
                context_tokens=facts.context_tokens or known.context_tokens,
                retires_on=date.fromisoformat(facts.retires_on) if facts.retires_on else known.retires_on,
            )
        return Catalogue(models)


@lru_cache(maxsize=1)
def built_in() -> Catalogue:
    """The catalogue that ships with promptship."""
    text = resources.files(__package__).joinpath("models.toml").read_text(encoding="utf-8")
    return Catalogue({model_id: Model(**facts) for model_id, facts in tomllib.loads(text)["models"].items()})
