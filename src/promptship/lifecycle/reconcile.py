"""Level-triggered repair: whatever is open, due and moved by nobody gets a run. Needs nothing from the run that died."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from enum import StrEnum
from typing import Final
from uuid import uuid4

from promptship.errors import Conflict, IllegalTransition, Unavailable
from promptship.lifecycle.app import App
from promptship.lifecycle.ending import cancel, expire
from promptship.ports import ReleaseSummary
from promptship.release.phase import OPEN, Phase

_log = logging.getLogger(__name__)

NUDGES_MAX: Final = 25
"""Runs that are asked for in one turn of the watcher: each is a call of the orchestrator, and canaries wait for the turn's end."""
DOWN_MAX: Final = 3
"""Calls that fail before a turn asks for no more: a server that hangs lets each wait for its deadline. Not one: the fault may be the release's."""

ACTOR: Final = "prefect"
"""Of a cancel in Prefect: its open-source server does not know who asked."""


class Nudged(StrEnum):
    """What became of asking for a run."""

    ASKED = "asked"
    BEFORE = "asked for before"
    DOWN = "the orchestrator is down"


def nudge(app: App, release_id: str) -> Nudged:
    """Ask for a flow run of a release, at most once per `watcher.retry_every` and state.

    Never fails because the orchestrator is down: the release stays due and the reconciler asks again. Whoever asks for several runs
    had better stop at the first DOWN: each further one may wait for a deadline.
    """
    (last,) = app.ledger.events(release_id, looks=False)[-1:]
    key = f"{release_id}:{last.seq}"
    asker = uuid4().hex
    ttl_s = app.settings.watcher.retry_every
    if not app.ledger.acquire(f"nudge:{key}", asker, ttl_s=ttl_s, at=app.clock.now()):
        return Nudged.BEFORE
    try:
        app.orchestrator.start(release_id, key=f"{key}:{asker[:8]}")
    except Unavailable as error:
        app.ledger.let_go(f"nudge:{key}", asker)
        _log.warning("no run could be started for release %s yet: %s", release_id, error)
        return Nudged.DOWN
    return Nudged.ASKED


def nudge_all(app: App, release_ids: Iterable[str]) -> None:
    """Ask for a run of each, until the orchestrator does not answer; the reconciler asks for the others."""
    for release_id in release_ids:
        if nudge(app, release_id) is Nudged.DOWN:
            break


def run_lease(release_id: str) -> str:
    """Name of the lease that a run holds while it moves a release."""
    return f"run:{release_id}"


def obey_cancels(app: App) -> int:
    """Cancel every open release one of whose runs somebody has cancelled in the orchestrator; returns how many.

    Never fails because the orchestrator is down: canaries are watched all the same, and the cancel is found later.
    """
    releases = [summary.id for summary in app.ledger.summaries(phases=OPEN, limit=10_000)]
    if not releases:
        return 0
    try:
        runs = app.orchestrator.cancelled(releases)
    except Unavailable as error:
        _log.info("nobody can say now whether a run was cancelled: %s", error)
        return 0
    for run in runs:
        try:
            cancel(app, run.release_id, actor=ACTOR, reason=f"flow run {run.run_id} was cancelled in Prefect")
        except (Conflict, IllegalTransition):
            continue  # it has ended meanwhile, or moves all the time: then it is found again
    return len(runs)


def _can_move(app: App, summary: ReleaseSummary) -> bool:
    """Whether a run would have anything to do. Asked here because a run costs seconds of CPU only to find out.

    Not while it is paused, nor while a live run holds the release (a suite may take an hour), nor while it waits for another release of its prompt,
    which may be a canary of days. A free prompt is claimed for it.
    """
    if app.release(summary.id).is_paused:
        return False
    asker = uuid4().hex
    if not app.ledger.acquire(run_lease(summary.id), asker, ttl_s=0.0, at=app.clock.now()):
        return False
    app.ledger.let_go(run_lease(summary.id), asker)
    return summary.phase is not Phase.REQUESTED or app.ledger.claim(summary.prompt, summary.id)


def reconcile(app: App) -> int:
    """Obey cancels, expire approvals, start a run for every due release that none is moving; returns how many were due."""
    obey_cancels(app)
    now = app.clock.now()
    due = app.ledger.due(now)
    asked = down = 0
    for summary in due:
        try:
            if summary.phase is Phase.AWAITING_APPROVAL:
                expire(app, summary.id)
            if asked < NUDGES_MAX and down < DOWN_MAX and _can_move(app, summary):
                said = nudge(app, summary.id)
                asked += said is Nudged.ASKED
                down += said is Nudged.DOWN
        except Unavailable:
            raise  # the ledger itself: the others would fare no better
        except Conflict:
            continue
        except Exception:  # noqa: BLE001 - the one that waits longest comes first: broken, it would keep all others waiting
            _log.exception("release %s of %s is due and cannot be moved", summary.id, summary.prompt)
    return len(due)
