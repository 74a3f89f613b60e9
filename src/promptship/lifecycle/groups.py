"""Releases that go together: which ones, read from the ledger, and how the others end when one does.

What a release belongs to is in its first event: the prompts of its group at its commit. Once all of them have passed their suites,
each says which releases they are (`Joined`), and nothing but the ledger has to be asked: a rollback waits for no Git.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from promptship.canary.evidence import Outcome, Verdict
from promptship.lifecycle.app import App
from promptship.ports import Append, ReleaseSummary, RouteChange
from promptship.release.events import Fact
from promptship.release.history import Release
from promptship.release.phase import OPEN, Phase
from promptship.release.together import ending_along, waits_for
from promptship.routing.table import Route, Version

_LOOK_BACK: Final = 100
"""Releases of a prompt among which that of the same commit is looked for."""
_LOOKED: Final = "looked:"


def members(app: App, release: Release) -> tuple[Release, ...]:
    """Every release that has joined with this one, as it stands now, itself as it was read; only itself when none has."""
    return tuple(release if one == release.id else app.release(one) for one in release.group) or (release,)


def latest_at(app: App, prompt: str, commit: str) -> ReleaseSummary | None:
    """The newest attempt to release a prompt at a commit."""
    found = app.ledger.summaries(prompt=prompt, limit=_LOOK_BACK)
    return next((one for one in found if one.commit == commit), None)


def fellows(app: App, release: Release) -> list[Release]:
    """The other releases that belong to this one and are open: those it has joined, or those of its group at its commit so far."""
    if release.group:
        return [one for one in members(app, release) if one.id != release.id and one.is_open]
    found = (latest_at(app, name, release.commit) for name in release.together)
    open_ones = [app.release(one.id) for one in found if one is not None and one.phase in OPEN]
    return [one for one in open_ones if not one.group]


def without_split(route: Route) -> RouteChange:
    """The change that sends everybody to stable."""
    return RouteChange(
        prompt=route.prompt, expected_revision=route.revision, stable=route.stable, commit=route.commit
    )


def back_to(route: Route, version: Version) -> RouteChange:
    """The change that makes an earlier version stable again."""
    return RouteChange(
        prompt=route.prompt, expected_revision=route.revision, stable=version.digest, commit=version.commit
    )


def has_traffic(route: Route | None, release: Release) -> bool:
    """Whether the route's split is this release's."""
    return route is not None and route.split is not None and route.split.release_id == release.id


def ends_along(app: App, culprit: Release, fact: Fact, *, now: datetime) -> list[Append]:
    """How all others end that belong to an open release, in the transaction that ends it; their traffic goes back to stable."""
    appends = []
    for one in fellows(app, culprit):
        route = app.routes.get(one.prompt)
        along = ending_along(one, culprit, fact, version=one.stable)
        if along is not None:
            change = without_split(route) if route is not None and has_traffic(route, one) else None
            appends.append(
                Append(release_id=one.id, facts=[along], expected_seq=one.seq, route=change, due_at=now)
            )
    return appends


def undone_along(app: App, culprit: Release, fact: Fact, *, now: datetime) -> list[Append]:
    """How the other promotions of a group are undone with that of one of them: those that are what serves, and have a version before."""
    appends = []
    for one in members(app, culprit):
        route = app.routes.get(one.prompt)
        if one.id == culprit.id or one.phase is not Phase.PROMOTED or one.stable is None:
            continue
        along = ending_along(one, culprit, fact, version=one.stable)
        if along is not None and route is not None and route.stable == one.version:
            change = back_to(route, app.routes.version(one.stable))
            appends.append(
                Append(release_id=one.id, facts=[along], expected_seq=one.seq, route=change, due_at=now)
            )
    return appends


def write(app: App, appends: Sequence[Append], *, actor: str, at: datetime) -> None:
    """Write what belongs together in one transaction."""
    if len(appends) > 1:
        app.ledger.append_all(appends, actor=actor, at=at)
        return
    for one in appends:
        app.ledger.append(
            one.release_id, one.facts, expected_seq=one.expected_seq, actor=actor, at=at, route=one.route,
            due_at=one.due_at, keep_due=one.keep_due,
        )  # fmt: skip


def companions(app: App, summaries: Sequence[ReleaseSummary]) -> dict[str, tuple[str, ...]]:
    """Prompts that go together with each of these releases, by id, of those that are open."""
    by_commit = Counter(one.commit for one in summaries if one.phase in OPEN)
    found: dict[str, tuple[str, ...]] = {}
    for summary in summaries:
        if summary.phase in OPEN and by_commit[summary.commit] > 1:
            others = fellows(app, app.release(summary.id))
            found |= {summary.id: tuple(one.prompt for one in others)} if others else {}
    return found


def going_along(app: App, release_id: str) -> list[Release]:
    """Releases whose end followed that of this one."""
    ended = app.release(release_id)
    found = members(app, ended) if ended.group else ()
    return [one for one in found if one.along_with == release_id]


def left_behind(app: App, release_id: str) -> list[str]:
    """Prompts that were promoted together with a release that was rolled back, and serve on."""
    ended = app.release(release_id)
    return [one.prompt for one in members(app, ended) if one.id != ended.id and one.phase is Phase.PROMOTED]


def described(app: App, release: Release) -> tuple[str, str]:
    """In words: the other releases that go together with this one, and what of them it waits for; both may be empty."""
    others = [one for one in members(app, release) if one.id != release.id] or fellows(app, release)
    words = [f"{one.prompt} (release {one.id}, {one.phase.value.replace('_', ' ')})" for one in others]
    return ", ".join(words), waiting_for(app, release)


def advancing(releases: Collection[Release]) -> frozenset[str]:
    """Ids of those whose newest verdict, in the stage they are in, says advance."""
    return frozenset(one.id for one in releases if _advances(one))


def _advances(release: Release) -> bool:
    last = release.last_look
    if last is None or last.stage != release.stage:
        return False
    return Verdict.model_validate(last.verdict).outcome is Outcome.ADVANCE


def waiting_for(app: App, release: Release) -> str:
    """What of its group a release waits for; empty: nothing."""
    group = [release, *fellows(app, release)]
    return waits_for(release, group, advancing(group)) if release.is_open else ""


def were_all_looked_at(app: App, release: Release, *, every_s: float, now: datetime) -> bool:
    """Note a look at this release; whether each of its group has been looked at in the last `every_s` seconds.

    One whose telemetry cannot be read must not keep its candidate alone: the leases of a group are renewed together or not at all.
    """
    app.ledger.acquire(f"{_LOOKED}{release.id}", release.id, ttl_s=every_s, at=now)
    return all(
        not app.ledger.acquire(f"{_LOOKED}{one}", "nobody", ttl_s=0.0, at=now) for one in release.group
    )
