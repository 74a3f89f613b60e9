"""The ways a release ends early. Each is one ledger transaction that gives the traffic back with the words why."""

from __future__ import annotations

from promptship.errors import NotFound
from promptship.lifecycle.app import App
from promptship.lifecycle.race import rereading
from promptship.ports import RouteChange
from promptship.release.events import Cancelled, Fact, RolledBack
from promptship.release.history import Release
from promptship.release.phase import BEFORE_TRAFFIC, OPEN, WATCHED, Phase
from promptship.routing.table import Route


def without_split(route: Route) -> RouteChange:
    """The change that sends everybody to stable."""
    return RouteChange(
        prompt=route.prompt, expected_revision=route.revision, stable=route.stable, commit=route.commit
    )


def _give_back(app: App, release: Release) -> RouteChange | None:
    """Route change that takes this release's traffic away; None when it has none."""
    route = app.routes.get(release.prompt)
    if route is None or route.split is None or route.split.release_id != release.id:
        return None
    return without_split(route)


@rereading
def end(app: App, release_id: str, fact: Fact, *, actor: str) -> Release:
    """Append an ending and give any traffic back.

    Raises:
        IllegalTransition: the release cannot end this way from where it stands.
        NotFound: no such release.
    """
    release = app.release(release_id)
    now = app.clock.now()
    app.ledger.append(
        release.id, [fact], expected_seq=release.seq, actor=actor, at=now,
        route=_give_back(app, release), due_at=now,
    )  # fmt: skip
    return app.release(release_id)


def cancel(app: App, release_id: str, *, actor: str, reason: str) -> Release:
    """Stop an open release; a running canary's traffic returns to stable in the same transaction."""
    return end(app, release_id, Cancelled(reason=reason), actor=actor)


@rereading
def expire(app: App, release_id: str) -> Release:
    """Roll a release back whose approval nobody gave in time; does nothing before that, or in another phase."""
    release = app.release(release_id)
    if release.phase is not Phase.AWAITING_APPROVAL or release.expires_at is None:
        return release
    if app.clock.now() < release.expires_at:
        return release
    reason = f"nobody decided by {release.expires_at:%Y-%m-%d %H:%M} UTC"
    fact = RolledBack(by="expiry", reason=reason, version=release.stable)
    return end(app, release_id, fact, actor="flow")


def roll_back_prompt(app: App, prompt: str, *, actor: str, reason: str) -> str:
    """Serve the previous version at once: end a running canary, or else undo the last promotion. Returns the release's id.

    Open releases of the prompt that have no traffic yet are cancelled: they were compared with what is gone now.

    Raises:
        NotFound: the prompt has no route, or nothing to go back to.
    """
    route = app.routes.get(prompt)
    if route is None:
        message = f"no prompt {prompt} is being served"
        raise NotFound(message)
    if route.split is not None:
        fact = RolledBack(by="person", reason=reason, version=route.stable)
        return end(app, route.split.release_id, fact, actor=actor).id
    release_id = _undo_promotion(app, prompt, actor=actor, reason=reason)
    for summary in app.ledger.summaries(prompt=prompt, phases=OPEN):
        if summary.phase in BEFORE_TRAFFIC or summary.phase in WATCHED:
            cancel(app, summary.id, actor=actor, reason=f"stable was rolled back ({release_id}): {reason}")
    return release_id


@rereading
def _undo_promotion(app: App, prompt: str, *, actor: str, reason: str) -> str:
    route = app.routes.get(prompt)
    if route is None:
        message = f"no prompt {prompt} is being served"
        raise NotFound(message)
    for summary in app.ledger.summaries(prompt=prompt, phases=frozenset({Phase.PROMOTED})):
        release = app.release(summary.id)
        if release.version != route.stable:
            continue
        if release.stable is None:
            break
        previous = app.routes.version(release.stable)
        change = RouteChange(
            prompt=route.prompt,
            expected_revision=route.revision,
            stable=previous.digest,
            commit=previous.commit,
        )
        fact, now = RolledBack(by="person", reason=reason, version=previous.digest), app.clock.now()
        app.ledger.append(
            release.id, [fact], expected_seq=release.seq, actor=actor, at=now, route=change, due_at=now
        )
        return release.id
    message = f"prompt {route.prompt} has no earlier version to go back to"
    raise NotFound(message)
