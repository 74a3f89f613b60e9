"""Environments as the settings have them: which there are, what feeds them, which of them comes next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from promptship.errors import ConfigError, Problem
from promptship.lifecycle.app import App
from promptship.ports import ReleaseSummary
from promptship.release.environment import DEFAULT, Place, parse, route_name
from promptship.release.phase import Phase
from promptship.settings import EnvironmentSettings, Settings

_LOOK_BACK: Final = 10_000
"""Releases among which those of one environment are looked for."""
_PLAIN: Final = EnvironmentSettings()


def names(settings: Settings) -> tuple[str, ...]:
    """Every environment: in the order of the settings, each after the one that comes before it; the default one last of equals."""
    default = settings.default_environment
    listed = [name for name in settings.environments if name != default] + [default]
    return tuple(sorted(listed, key=lambda name: _depth(settings, name)))


def _depth(settings: Settings, name: str) -> int:
    """How many environments a version passes before this one."""
    depth, tables = 0, settings.environments
    while name in tables and tables[name].after and depth <= len(tables):
        name, depth = tables[name].after, depth + 1
    return depth


def environment_of(settings: Settings, typed: str, *, where: str = "environment") -> str:
    """The environment as places have it (empty: the default one), from its name; nothing typed is the default one.

    Raises:
        ConfigError: there is none of that name.
    """
    known = names(settings)
    if typed and typed not in known:
        advice = f"environments here: {', '.join(known)}"
        raise ConfigError(
            [Problem(where, "", repr(typed[:80]), "expected the name of an environment", advice)]
        )
    return DEFAULT if typed == settings.default_environment else typed


def route_in(settings: Settings, environment: str, prompt: str) -> str:
    """Name of the route of a prompt in the environment of that name. `prompt` may be a route's name already when none is named.

    Raises:
        ConfigError: there is no such environment.
    """
    there = environment_of(settings, environment)
    return route_name(Place(there, prompt)) if there else prompt


def called(settings: Settings, environment: str) -> str:
    """The name of a place's environment."""
    return environment or settings.default_environment


def rules_of(settings: Settings, route: str) -> EnvironmentSettings:
    """What the settings say of the environment of a route; the defaults where they say nothing."""
    return settings.environments.get(called(settings, parse(route).environment), _PLAIN)


def branches(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Branch -> the environments (as places have them) that pushes to it are released in."""
    found: dict[str, tuple[str, ...]] = {}
    for name in names(settings):
        rules = settings.environments.get(name, _PLAIN)
        branch = rules.branch
        if not branch and name == settings.default_environment and not rules.after:
            branch = settings.repository.branch
        if branch:
            found[branch] = (*found.get(branch, ()), environment_of(settings, name))
    return found


def following(settings: Settings, route: str) -> tuple[str, ...]:
    """Names of the routes that a version promoted in this one is released to next."""
    here = parse(route)
    name = called(settings, here.environment)
    return tuple(
        route_name(Place(environment_of(settings, other), here.prompt))
        for other, rules in settings.environments.items()
        if rules.after == name
    )


def approvers_in(settings: Settings, route: str) -> int:
    """How many people may say yes in the environment of a route, at most."""
    subset = rules_of(settings, route).approvers
    return settings.approvers_max if subset is None else len(subset)


def releases_in(
    app: App, environment: str, *, prompt: str | None, phases: frozenset[Phase] | None, limit: int
) -> Sequence[ReleaseSummary]:
    """Releases, newest first, of a prompt or of all; in the environment of that name, or, when none is named, in every one.

    A prompt without an environment means the default one.
    """
    if prompt is not None or not environment:
        wanted = None if prompt is None else route_in(app.settings, environment, prompt)
        return app.ledger.summaries(prompt=wanted, phases=phases, limit=limit)
    there = environment_of(app.settings, environment)
    found = app.ledger.summaries(phases=phases, limit=_LOOK_BACK)
    return [one for one in found if parse(one.prompt).environment == there][:limit]
