"""Hold a release where it stands, and let it go on. Bad news does not wait: guardrails, rejections and cancels work as before.

While a release is paused no step begins, no question is asked, nothing is promoted, and deadlines stand still: those of
questions move by the length of the pause. A canary keeps its share and is watched, because taking its traffic away would
lose the evidence; a suite that is being asked is finished and its verdict kept, because it is paid for.
"""

from __future__ import annotations

from promptship.errors import IllegalTransition
from promptship.lifecycle.app import App
from promptship.lifecycle.race import rereading
from promptship.lifecycle.reconcile import nudge
from promptship.release.events import Paused, Resumed
from promptship.release.history import Release
from promptship.render.redact import redact


@rereading
def pause(app: App, release_id: str, *, actor: str, reason: str = "") -> Release:
    """Hold an open release; one that is paused already is left as it is.

    Raises:
        IllegalTransition: it has ended.
        NotFound: no such release.
    """
    release = _open(app, release_id)
    if release.is_paused:
        return release
    fact, now = Paused(reason=redact(reason)), app.clock.now()
    app.ledger.append(release.id, [fact], expected_seq=release.seq, actor=actor, at=now, due_at=None)
    return app.release(release_id)


def resume(app: App, release_id: str, *, actor: str, reason: str = "") -> Release:
    """Let a paused release go on; one that is not paused is left as it is. Errors as `pause`."""
    release = _resume(app, release_id, actor=actor, reason=reason)
    nudge(app, release_id)
    return release


@rereading
def _resume(app: App, release_id: str, *, actor: str, reason: str) -> Release:
    release = _open(app, release_id)
    if not release.is_paused:
        return release
    fact, now = Resumed(reason=redact(reason)), app.clock.now()
    # Due at once: whatever it waited for may have come while it stood still.
    app.ledger.append(release.id, [fact], expected_seq=release.seq, actor=actor, at=now, due_at=now)
    return app.release(release_id)


def _open(app: App, release_id: str) -> Release:
    release = app.release(release_id)
    if not release.is_open:
        message = f"release {release.id} is {release.phase}: it has ended already"
        raise IllegalTransition(message)
    return release
