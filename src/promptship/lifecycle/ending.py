"""The ways a release ends early. Each is one ledger transaction that gives the traffic back with the words why."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from promptship.canary.evidence import Verdict
from promptship.errors import Conflict, IllegalTransition, NotFound
from promptship.lifecycle.app import App
from promptship.lifecycle.experiment_record import take_back
from promptship.lifecycle.groups import back_to, ends_along, has_traffic, undone_along, without_split, write
from promptship.lifecycle.race import rereading
from promptship.numbers import short
from promptship.ports import Append, RouteChange
from promptship.release.events import Cancelled, Fact, RolledBack
from promptship.release.history import Release
from promptship.release.phase import OPEN, Phase
from promptship.render.redact import redact
from promptship.routing.table import Route, Version

PREFIX_CHARACTERS_MIN: Final = 6
"""Shortest beginning of a digest that names a version."""


def _give_back(app: App, release: Release, to: Version | None) -> RouteChange | None:
    """Route change that takes this release's traffic away; None when it has none."""
    route = app.routes.get(release.prompt)
    if route is None or not has_traffic(route, release):
        return None
    return without_split(route) if to is None else back_to(route, to)


def end(app: App, release: Release, fact: Fact, *, actor: str, to: Version | None = None) -> Release:
    """Append an ending to an open release exactly as it was read, and give any traffic back: to stable, or to the version `to`.

    What goes together with it ends in the same transaction (`release.together`).

    Whoever decided on this ending did so on what he read: if the release has moved since, he must read and decide again.

    Raises:
        Conflict: the release or its route moved since it was read; nothing was written.
        IllegalTransition: the release cannot end this way from where it stands.
    """
    if not release.is_open:
        # From PROMOTED the table leads to ROLLED_BACK too, but that takes another route change: see `roll_back_prompt`.
        message = f"release {release.id} is {release.phase}: it has ended already"
        raise IllegalTransition(message)
    now = app.clock.now()
    own = Append(
        release_id=release.id, facts=[fact], expected_seq=release.seq, route=_give_back(app, release, to), due_at=now
    )  # fmt: skip
    write(app, [own, *ends_along(app, release, fact, now=now)], actor=actor, at=now)
    return app.release(release.id)


@rereading
def cancel(app: App, release_id: str, *, actor: str, reason: str) -> Release:
    """Stop an open release; a running canary's traffic returns to stable in the same transaction.

    Raises:
        IllegalTransition: it has ended already.
        NotFound: no such release.
    """
    return end(app, app.release(release_id), Cancelled(reason=redact(reason)), actor=actor)


@rereading
def expire(app: App, release_id: str) -> Release:
    """End a release that nobody approved in time as its plan says, never by promotion; does nothing before that, in another phase, or while paused."""
    release = app.release(release_id)
    if release.phase is not Phase.AWAITING_APPROVAL or release.expires_at is None or release.is_paused:
        return release
    if app.clock.now() < release.expires_at:
        return release
    reason = f"nobody decided by {release.expires_at:%Y-%m-%d %H:%M} UTC"
    fact: Fact = RolledBack(by="expiry", reason=reason, version=release.stable)
    if release.plan is not None and release.plan.approval.expires_into == "cancel":
        fact = Cancelled(reason=reason)
    return end(app, release, fact, actor="flow")


def roll_back_prompt(
    app: App, prompt: str, *, actor: str, reason: str, to: str = "", only: str = "", alone: bool = False
) -> str:
    """Serve an earlier version at once. Returns the id of the release that was rolled back, or of the experiment that was ended.

    A running canary or experiment is ended; without one the last promotion is undone, and a holdback with it. `to` is an earlier
    stable version (a digest, or the beginning of one) instead of the one before. Where stable changes, open releases of the prompt
    are cancelled: they were compared with what is gone now. `only`: the release that must be the one to go, as for whoever saw no
    other. What was promoted together goes back together, in one transaction; `alone`: only this prompt's promotion is undone.

    Raises:
        IllegalTransition: it is not `only` whose traffic would go.
        NotFound: the prompt has no route, nothing to go back to, or `to` did not serve before what serves now.
    """
    said = redact(reason)
    release_id, undone = _go_back(app, prompt, actor=actor, reason=said, to=to, only=only, alone=alone)
    for one in undone:
        _cancel_open(app, one, actor=actor, reason=f"stable was rolled back ({release_id}): {said}")
    return release_id


def _cancel_open(app: App, prompt: str, *, actor: str, reason: str) -> None:
    for summary in app.ledger.summaries(prompt=prompt, phases=OPEN):
        try:
            cancel(app, summary.id, actor=actor, reason=reason)
        except (Conflict, IllegalTransition):
            # It ended by itself, or keeps moving: then it is stopped where it finds that stable is another one.
            continue


def roll_back_promotion(
    app: App, release: Release, route: Route, *, actor: str, reason: str, verdict: Verdict
) -> None:
    """Undo a promotion because of what its holdback shows, exactly as both were read; open releases are cancelled, as always.

    Raises:
        Conflict: release or route moved since they were read; nothing was written.
        NotFound: there is no version before.
    """
    if release.stable is None:
        message = f"release {release.id} has no version before it to go back to"
        raise NotFound(message)
    previous, said, now = app.routes.version(release.stable), redact(reason), app.clock.now()
    fact = RolledBack(
        by="guardrail", reason=said, version=previous.digest, verdict=verdict.model_dump(mode="json")
    )
    for prompt in _undo(app, release, fact, back_to(route, previous), actor=actor, now=now, alone=False):
        _cancel_open(app, prompt, actor=actor, reason=f"stable was rolled back ({release.id}): {said}")


def _undo(
    app: App, release: Release, fact: Fact, change: RouteChange, *, actor: str, now: datetime, alone: bool
) -> list[str]:
    """Undo a promotion exactly as it was read, and unless `alone` those of its group; returns the prompts that serve others now."""
    own = Append(release_id=release.id, facts=[fact], expected_seq=release.seq, route=change, due_at=now)
    along = [] if alone else undone_along(app, release, fact, now=now)
    write(app, [own, *along], actor=actor, at=now)
    return [one.route.prompt for one in (own, *along) if one.route is not None]


@rereading
def _go_back(
    app: App, prompt: str, *, actor: str, reason: str, to: str, only: str, alone: bool
) -> tuple[str, list[str]]:
    """Id of the release that was rolled back, and the prompts whose stable version is another one now."""
    route = app.routes.get(prompt)
    if route is None:
        message = f"no prompt {prompt} is being served"
        raise NotFound(message)
    target = _earlier(app, route, to) if to else None
    if route.split is not None and route.split.arms:
        _is_the_one(route.split.release_id, only)
        ended = take_back(app, prompt, actor=actor, reason=f"rolled back: {reason}")
        if target is None and ended is not None:
            return ended, []
        route = app.routes.get(prompt) or route
    if route.split is None or not route.split.is_canary:
        return _undo_promotion(app, route, actor=actor, reason=reason, to=target, only=only, alone=alone)
    _is_the_one(route.split.release_id, only)
    release = app.release(route.split.release_id)
    if not release.is_open:
        message = f"release {release.id} ended in this instant"
        raise Conflict(message)
    fact = RolledBack(by="person", reason=reason, version=target.digest if target else route.stable)
    return end(app, release, fact, actor=actor, to=target).id, [prompt] if target is not None else []


def served_version(app: App, prompt: str, typed: str, *, also: str | None = None) -> str:
    """Digest of the version that this prompt has served, as stable, candidate or safe version, and that begins like this.

    Raises:
        NotFound: there is none, or more than one.
    """
    records = app.routes.history(prompt)
    known = {one for record in records for one in (record.stable, record.candidate, record.killed, also)}
    return _only(prompt, typed, known)


def _earlier(app: App, route: Route, typed: str) -> Version:
    """The version that was stable before the one that is now. Anything newer has to be released."""
    records = app.routes.history(route.prompt)
    began = max(at for at, record in enumerate(records) if record.stable == route.stable)
    before = {record.stable for record in records[began + 1 :]} - {route.stable}
    wanted = typed.strip().lower()
    if route.stable and len(wanted) >= PREFIX_CHARACTERS_MIN and route.stable.startswith(wanted):
        raise NotFound(f"prompt {route.prompt}: version {short(route.stable)} serves already")
    return app.routes.version(_only(route.prompt, typed, before))


def _only(prompt: str, typed: str, known: Iterable[str | None]) -> str:
    wanted = typed.strip().lower()
    found = sorted(
        one
        for one in known
        if one is not None and len(wanted) >= PREFIX_CHARACTERS_MIN and one.startswith(wanted)
    )
    if len(found) == 1:
        return found[0]
    there = ", ".join(sorted(short(one) for one in known if one is not None)) or "none"
    if len(wanted) < PREFIX_CHARACTERS_MIN:
        message = f"prompt {prompt}: {typed!r} is too short to name a version: at least {PREFIX_CHARACTERS_MIN} characters; there is {there}"
        raise NotFound(message)
    what = "more than one version" if found else "no version"
    message = f"prompt {prompt}: {what} to go back to begins with {typed!r}; there is {there} (see `promptship history {prompt}`)"
    raise NotFound(message)


def _is_the_one(release_id: str, only: str) -> None:
    if only and release_id != only:
        message = f"release {only} is not what serves now, {release_id} is: look again"
        raise IllegalTransition(message)


def _undo_promotion(
    app: App, route: Route, *, actor: str, reason: str, to: Version | None, only: str, alone: bool
) -> tuple[str, list[str]]:
    """Undo the newest promotion that made the stable version what it is, unless the route moves meanwhile (Conflict)."""
    for summary in app.ledger.summaries(prompt=route.prompt, phases=frozenset({Phase.PROMOTED})):
        release = app.release(summary.id)
        if release.version != route.stable:
            continue
        _is_the_one(release.id, only)
        if release.stable is None:
            break
        previous = to or app.routes.version(release.stable)
        fact, now = RolledBack(by="person", reason=reason, version=previous.digest), app.clock.now()
        change = back_to(route, previous)
        return release.id, _undo(app, release, fact, change, actor=actor, now=now, alone=alone)
    message = f"prompt {route.prompt} has no earlier version to go back to"
    raise NotFound(message)
