"""Which models production uses, and what is known of each: by settings, by lists, by their own answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from promptship.lifecycle.app import App
from promptship.prompts.lint.catalogue import built_in
from promptship.prompts.model_names import understood
from promptship.release.environment import DEFAULT
from promptship.release.model_changes import earliest
from promptship.routing.environments import of_environment
from promptship.settings import Settings

SEEN, ANNOUNCED, ANSWERED, WARNED, GONE = "seen", "announced", "answered", "warned", "gone"
"""Kinds of entries in `model:<provider>/<name>`."""
TOPICS_MAX: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A model in production."""

    provider: str
    """Key of `[providers]`; empty: none is configured."""
    model: str
    prompts: tuple[tuple[str, str], ...]
    """(name, digest of the stable version), sorted."""

    @property
    def family(self) -> str:
        """See `promptship.prompts.model_names`."""
        return understood(self.model).family


def in_use(app: App) -> tuple[Used, ...]:
    """Models of the versions that the default environment serves as stable, by provider and name."""
    found: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    table = of_environment(app.routes.table(), DEFAULT)
    for prompt, route in table.routes.items():
        if route.stable is None:
            continue
        model = table.versions[route.stable].content.get("model")
        if isinstance(model, str) and model:
            found[model].append((prompt, route.stable))
    used = (
        Used(provider=provider_of(app.settings, model), model=model, prompts=tuple(sorted(prompts)))
        for model, prompts in found.items()
    )
    return tuple(sorted(used, key=lambda one: (one.provider, one.model)))


def provider_of(settings: Settings, model: str) -> str:
    """Key of the provider that answers for a model: as `[models]` says, else the first; empty: there is none."""
    known = settings.models.get(model)
    if known is not None and known.provider is not None:
        return known.provider
    return next(iter(settings.providers), "")


def topic_of(provider: str, model: str) -> str:
    """Where everything seen of a model is kept."""
    return f"model:{provider}/{model}"


def seen_models(app: App, provider: str) -> frozenset[str]:
    """Names that the provider has ever listed."""
    prefix = topic_of(provider, "")
    topics = app.journal.topics(prefix, limit=TOPICS_MAX)
    return frozenset(topic.removeprefix(prefix) for topic in topics)


def known_date(settings: Settings, model: str) -> date | None:
    """Retirement as the built-in catalogue or `[models] retires_on` says; None: neither does."""
    known = built_in().with_models(settings.models).find(model)
    return None if known is None else known.retires_on


def announced(app: App, provider: str, model: str) -> str | None:
    """ISO date of the shutdown that the provider announced when it was last asked; None: it announced none."""
    entries = app.journal.entries(topic_of(provider, model), kind=ANNOUNCED, limit=1)
    return entries[0].data["on"] if entries else None


def retirement(settings: Settings, model: str, listed: date | None) -> date | None:
    """The first day on which calls may fail: of what the provider and the settings say, the earlier."""
    return earliest(listed, known_date(settings, model))


def answered_as(app: App, provider: str, model: str) -> tuple[Sequence[str], frozenset[str]]:
    """Models that said they answered under this name, the latest last, and fingerprints seen."""
    entries = app.journal.entries(topic_of(provider, model), kind=ANSWERED)
    names = [str(one.data["model"]) for one in entries]
    return names, frozenset(str(one.data["fingerprint"]) for one in entries)


def note(app: App, used: Used, kind: str, data: Mapping[str, Any]) -> None:
    """Keep something that was seen of a model in use."""
    app.journal.keep(topic_of(used.provider, used.model), kind, data, actor="models", at=app.clock.now())
