"""A version goes on from one environment to the next: by itself where the settings say so, or because somebody asked."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from promptship.errors import Conflict, IllegalTransition, NotFound, PromptshipError, Refused, Unavailable
from promptship.lifecycle.app import App
from promptship.lifecycle.ending import cancel
from promptship.lifecycle.environments import called, environment_of, following, names
from promptship.lifecycle.opening import Opened, find_prompt, open_at
from promptship.ports import ReleaseSummary, RouteRecord
from promptship.release.environment import Place, parse, route_name
from promptship.release.events import Frozen
from promptship.release.history import Release
from promptship.release.phase import OPEN, Phase
from promptship.routing.table import Route

_log = logging.getLogger(__name__)

PASSED_ON: Final = "environment:"
"""Beginning of the actor of a release that the environment before opened."""


def pass_on(app: App, ended: Release) -> None:
    """Open the releases that a promotion leads to; cancel those still open when it was rolled back. Safe to repeat.

    Nothing is passed on that the environment does not serve any more. What cannot be opened is said in the log: the promotion stands.

    Raises:
        Unavailable: repository or ledger did not answer.
    """
    for name in following(app.settings, ended.prompt):
        try:
            if ended.phase is Phase.PROMOTED:
                _open_next(app, ended, name)
            elif ended.phase is Phase.ROLLED_BACK:
                _take_back(app, ended, name)
        except Unavailable:
            raise
        except PromptshipError as error:
            _log.error("release %s could not be passed on to %s: %s", ended.id, name, error)


def _open_next(app: App, promoted: Release, name: str) -> None:
    here, there = app.routes.get(promoted.prompt), app.routes.get(name)
    if here is None or here.killed is not None or here.stable != promoted.version:
        return
    if there is not None and there.stable == promoted.version:
        return
    before = called(app.settings, parse(promoted.prompt).environment)
    open_at(
        app, promoted.path, app.repository.resolve(promoted.commit), environment=parse(name).environment,
        actor=f"{PASSED_ON}{before}", reason=f"promoted in {before} ({promoted.id})",
    )  # fmt: skip


def _take_back(app: App, undone: Release, name: str) -> None:
    before = called(app.settings, parse(undone.prompt).environment)
    for summary in app.ledger.summaries(prompt=name, phases=OPEN):
        first = app.ledger.events(summary.id, looks=False)[0]
        if summary.commit == undone.commit and first.actor.startswith(PASSED_ON):
            try:
                cancel(
                    app,
                    summary.id,
                    actor=f"{PASSED_ON}{before}",
                    reason=f"rolled back in {before} ({undone.id})",
                )
            except (Conflict, IllegalTransition):
                continue  # it ended in this instant


def promote_between(
    app: App, prompt: str, *, source: str, target: str, actor: str, reason: str = "", again: bool = False
) -> Opened | None:
    """Open a release in environment `target` at the commit that is stable in `source`; None: `target` serves that version already.

    Raises:
        ConfigError: there is no such environment.
        NotFound: `source` serves no such prompt, or its commit is gone.
        Refused: both are the same, or the kill switch is on in `source`.
    """
    here, there = (
        environment_of(app.settings, source, where="--from"),
        environment_of(app.settings, target, where="--to"),
    )
    if here == there:
        raise Refused(f"{called(app.settings, here)} is where it is already; name another environment")
    route = app.routes.get(route_name(Place(here, prompt)))
    if route is None or route.stable is None:
        raise NotFound(f"{called(app.settings, here)} serves no prompt {prompt}")
    if route.killed is not None:
        raise Refused(
            f"the kill switch of {prompt} is on in {called(app.settings, here)}: nothing goes on from there"
        )
    serves = app.routes.get(route_name(Place(there, prompt)))
    if serves is not None and serves.stable == route.stable:
        return None
    commit = app.repository.resolve(route.commit)
    path = find_prompt(app, commit.id, prompt)
    said = reason or f"stable in {called(app.settings, here)}"
    return open_at(app, path, commit, environment=there, actor=actor, reason=said, again=again)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A prompt in an environment."""

    prompt: str
    environment: str
    """Its name."""
    route: Route | None
    """None: it is not served there."""
    release: ReleaseSummary | None
    """Newest open release there."""
    since: datetime | None = None
    """When it began to serve what it serves."""
    freeze: Frozen | None = None
    """What keeps the open release from more traffic."""


def standings(app: App) -> list[Served]:
    """Every prompt that is served or being released anywhere, in every environment."""
    served = {name: app.routes.get(name) for name in app.routes.table().routes}
    open_ones = {one.prompt: one for one in reversed(app.ledger.summaries(phases=OPEN, limit=10_000))}
    prompts = sorted({parse(name).prompt for name in (*served, *open_ones)})
    return [
        _standing(app, prompt, environment, served, open_ones)
        for prompt in prompts
        for environment in names(app.settings)
    ]


def _standing(
    app: App,
    prompt: str,
    environment: str,
    served: Mapping[str, Route | None],
    open_ones: Mapping[str, ReleaseSummary],
) -> Served:
    name = route_name(Place(environment_of(app.settings, environment), prompt))
    route, release = served.get(name), open_ones.get(name)
    since = None if route is None else _since(route, app.routes.history(name))
    freeze = None if release is None else app.release(release.id).freeze
    return Served(
        prompt=prompt, environment=environment, route=route, release=release, since=since, freeze=freeze
    )


def _since(route: Route, history: Sequence[RouteRecord]) -> datetime | None:
    """When stable, or what the kill switch serves, became what it is; `history` is newest first."""
    since = None
    for record in history:
        if (record.stable, record.killed) != (route.stable, route.killed):
            break
        since = record.at
    return since
