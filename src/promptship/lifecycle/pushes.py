"""Pushes to a remote: told by its hooks, or found out by looking. Both lead to the same releases."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import Final
from uuid import uuid4

from promptship.errors import Conflict, NotFound, PromptshipError, Unavailable
from promptship.lifecycle.app import App
from promptship.lifecycle.at_once import lint_at_once
from promptship.lifecycle.changes import is_known
from promptship.lifecycle.environments import branches
from promptship.lifecycle.opening import PUSHED, Taken, take_push
from promptship.lifecycle.reviewing import restart

_log = logging.getLogger(__name__)

SEEN: Final = "seen"
"""Kind of the journal's entries that say up to which commit a branch has been taken in."""
POLL_S_MIN: Final = 1.0
PAUSE_S_MAX: Final = 900.0
"""Longest time between two looks at a remote that does not answer."""
_WORKS_S: Final = 300.0
LEASE: Final = "triggers"


def receive_push(app: App, *, before: str, after: str, branch: str = "") -> Taken:
    """Take a push in that somebody announced; its commits are fetched first when the repository mirrors a remote.

    `branch`: what was pushed to; empty: `repository.branch`.

    Raises:
        NotFound: commit `after` is not in the repository.
        Unavailable: the remote does not answer.
    """
    branch = branch or app.settings.repository.branch
    app.repository.fetch()
    author = app.repository.resolve(after).author
    taken = take_push(app, before=before, after=after, actor=f"{PUSHED}{author}", branch=branch)
    lint_at_once(app, [one.release_id for one in taken.opened])
    # So that a look does not find it again. Told out of order, the next look goes over it once more, which opens nothing new.
    if app.settings.repository.poll is not None and seen(app, branch) == before:
        _keep_seen(app, branch, before=before, after=after)
    return taken


def poll(app: App) -> Taken | None:
    """Look whether a branch of the remote has moved since the last look, and take that in as one push; None: none has.

    At the first look nothing is released: what is there was there before anybody asked for releases of it.

    Raises:
        Unavailable: the remote does not answer.
    """
    app.repository.fetch()
    moved = [taken for branch in branches(app.settings) if (taken := _look_at(app, branch)) is not None]
    if not moved:
        return None
    return Taken(
        opened=tuple(one for taken in moved for one in taken.opened),
        as_served=tuple(one for taken in moved for one in taken.as_served),
        rolled_back=tuple(one for taken in moved for one in taken.rolled_back),
        removed=tuple(one for taken in moved for one in taken.removed),
    )


def _look_at(app: App, branch: str) -> Taken | None:
    try:
        head = app.repository.resolve(f"refs/heads/{branch}")
    except NotFound:
        return None  # deleted, or not pushed yet; what is served stays as it is
    before = seen(app, branch)
    if before == head.id:
        return None
    taken = None
    if before is not None:
        known = before if is_known(app.repository, before) else "0" * len(head.id)
        taken = take_push(app, before=known, after=head.id, actor=f"{PUSHED}{head.author}", branch=branch)
        lint_at_once(app, [one.release_id for one in taken.opened])
    _keep_seen(app, branch, before=before, after=head.id)
    return taken


def seen(app: App, branch: str = "") -> str | None:
    """Commit up to which a branch (empty: `repository.branch`) has been taken in; None: nobody has looked yet."""
    last = app.journal.entries(_topic(branch or app.settings.repository.branch), kind=SEEN, limit=1)
    return str(last[-1].data["commit"]) if last else None


def _keep_seen(app: App, branch: str, *, before: str | None, after: str) -> None:
    entries = app.journal.entries(_topic(branch), limit=1)
    at = entries[-1].seq if entries else -1
    if (str(entries[-1].data["commit"]) if entries else None) != before:
        return
    with suppress(Conflict):  # somebody else took it in at the same time
        app.journal.keep(
            _topic(branch), SEEN, {"commit": after}, actor="flow", at=app.clock.now(), expected_seq=at
        )


def _topic(branch: str) -> str:
    return f"branch:{branch}"


def start_looking(app: App, stop: threading.Event) -> threading.Thread | None:
    """Follow the remote in a thread of its own, which ends with the process; None: there is nothing to look at.

    A fetch may take a minute and more, which no canary may wait for.
    """
    if app.settings.repository.poll is None and not app.hosts:
        return None
    thread = threading.Thread(target=follow, args=(app,), kwargs={"stop": stop}, name="triggers", daemon=True)
    thread.start()
    return thread


def follow(app: App, *, stop: threading.Event) -> None:
    """Until `stop` is set: look for pushes every `repository.poll`, and start reviews again whose runs were lost.

    One process of an installation does it, the others wait. A remote that is down is looked at less and less often, up to every
    quarter of an hour.
    """
    every = max(app.settings.repository.poll or app.settings.watcher.retry_every, POLL_S_MIN)
    holder, failed, pause_s = uuid4().hex, 0, 0.0
    while not stop.wait(pause_s):
        pause_s = every
        try:
            if app.ledger.acquire(LEASE, holder, ttl_s=every + _WORKS_S, at=app.clock.now()):
                _look(app)
                failed = 0
        except Unavailable as error:
            failed += 1
            pause_s = pause_after(failed, every)
            _log.warning("cannot look for pushes, next try in %.0f s: %s", pause_s, error)
        except PromptshipError as error:
            _log.error("cannot take in what was pushed: %s", error)
        except Exception:  # noqa: BLE001 - the next push may be in order
            _log.exception("a look for pushes failed")
    with suppress(PromptshipError):
        app.ledger.let_go(LEASE, holder)


def pause_after(failed: int, every: float) -> float:
    """Seconds until the next look after so many in a row that failed: doubled each time, up to a quarter of an hour."""
    return min(every * 2.0 ** min(failed, 20), max(PAUSE_S_MAX, every))


def _look(app: App) -> None:
    if app.hosts:
        restart(app)
    if app.settings.repository.poll is None:
        return
    taken = poll(app)
    for one in taken.opened if taken else ():
        _log.info("push found: release %s of %s", one.release_id, one.prompt)
