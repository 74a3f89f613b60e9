"""Reviews of pull and merge requests: one per head commit, kept in the journal, started by hooks and, if they are lost, again."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from promptship.errors import Conflict, Unavailable
from promptship.lifecycle.app import App
from promptship.ports import Entry

_log = logging.getLogger(__name__)

ASKED: Final = "asked"
STARTED: Final = "started"
BEGUN: Final = "begun"
DONE: Final = "done"
OUTDATED: Final = "outdated"
"""Outcome of a head that the pull request does not hold any more."""
PREFIX: Final = "review:"
TRIES_MAX: Final = 5
"""A review that has been started so often and never ended is left alone: the next push to its branch is another one."""
_GIVE_UP: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Where the review of a head stands."""

    topic: str
    host: str
    number: int
    head: str
    at: datetime
    """When something was last done for it."""
    tries: int = 0
    reference: str = ""
    """The mark on the commit."""
    comment: str = ""
    """Id of the one comment of its pull request."""
    outcome: str = ""
    """Empty: not done."""


def topic_of(host: str, number: int) -> str:
    """Topic of the journal."""
    return f"{PREFIX}{host}:{number}"


def standing(app: App, host: str, number: int, head: str) -> Asked | None:
    """What the journal says of this head; None: nobody has asked for it."""
    topic = topic_of(host, number)
    return _folded(topic, app.journal.entries(topic), head)


def ask(app: App, *, host: str, number: int, head: str) -> bool:
    """Ask for a review of this head, once; False when it was asked for before.

    A head that another one had replaced, and that was pushed again, is asked for again: nobody was told what is wrong with it.
    Never fails because the orchestrator is down: `restart` asks again.
    """
    known = standing(app, host, number, head)
    if known is not None and known.outcome != OUTDATED:
        return False
    if not note(app, host, number, ASKED, head=head):
        return ask(app, host=host, number=number, head=head)
    _start(app, host, number, head, tries=0 if known is None else known.tries)
    return True


def restart(app: App) -> int:
    """Start every review again that has been asked for and is neither done nor moved by anybody; returns how many.

    A run holds a lease while it lives, so a long review is left alone, and a run too many does nothing.
    """
    now, again = app.clock.now(), 0
    for topic in app.journal.topics(PREFIX, limit=100):
        entries = app.journal.entries(topic)
        # Every head, not only the last one written about: the run of an older head may end after the newer one was asked for.
        heads = dict.fromkeys(str(entry.data["head"]) for entry in reversed(entries))
        for asked in (_folded(topic, entries, head) for head in heads):
            if asked is not None and _is_lost(app, asked, now):
                _start(app, asked.host, asked.number, asked.head, tries=asked.tries)
                again += 1
                break  # one run at a time holds the pull request
    return again


def _is_lost(app: App, asked: Asked, now: datetime) -> bool:
    """Whether a review is to be started again now."""
    if asked.outcome or asked.tries >= TRIES_MAX:
        return False
    pause = timedelta(seconds=app.settings.watcher.retry_every) * 2**asked.tries
    return pause <= now - asked.at <= _GIVE_UP and not _is_moved(app, asked)


def _is_moved(app: App, asked: Asked) -> bool:
    """Whether a live run holds the pull request."""
    name, asker = lease(asked.host, asked.number), uuid4().hex
    if not app.ledger.acquire(name, asker, ttl_s=0.0, at=app.clock.now()):
        return True
    app.ledger.let_go(name, asker)
    return False


def note(app: App, host: str, number: int, kind: str, **data: Any) -> bool:
    """Keep a step of a review; False when somebody else wrote at the same time."""
    topic = topic_of(host, number)
    last = app.journal.entries(topic, limit=1)
    try:
        app.journal.keep(
            topic, kind, data, actor="flow", at=app.clock.now(), expected_seq=last[-1].seq if last else -1
        )
    except Conflict:
        return False
    return True


def lease(host: str, number: int) -> str:
    """Name of the lease of the run that reviews a pull request."""
    return f"{PREFIX}{host}:{number}"


def _start(app: App, host: str, number: int, head: str, *, tries: int) -> None:
    try:
        app.orchestrator.start_review(host, number, head, key=f"{host}:{number}:{head}:{tries}")
    except Unavailable as error:
        _log.warning("no run could be started for the review of %s %d yet: %s", host, number, error)
        return
    note(app, host, number, STARTED, head=head, tries=tries + 1)


def _folded(topic: str, entries: Any, head: str) -> Asked | None:
    mine: list[Entry] = [entry for entry in entries if entry.data.get("head") == head]
    if not mine:
        return None
    _, host, number = topic.split(":", 2)
    known: Mapping[str, Any] = {}
    for entry in mine:
        # Asked for again, it begins anew: its mark was completed. Only its tries go on, by which runs are told apart.
        known = {"tries": known.get("tries", 0)} if entry.kind == ASKED else known
        known = {**known, **entry.data}
    comments = [str(entry.data["comment"]) for entry in entries if entry.data.get("comment")]
    return Asked(
        topic=topic, host=host, number=int(number), head=head, at=mine[-1].at, tries=int(known.get("tries", 0)),
        reference=str(known.get("reference", "")), comment=comments[-1] if comments else "",
        outcome=str(known.get("outcome", "")),
    )  # fmt: skip
