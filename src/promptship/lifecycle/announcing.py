"""Everybody outside is told of what happens to releases: each event once per sink, in the order of its release, in the end.

What happens is in the ledger first. A sink (a Slack thread, a webhook, Prefect's events, traces) follows it at its own pace: one
that is down is tried again with growing pauses, and what it cannot take becomes a dead letter. Nothing here can hold up a release.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Protocol
from uuid import uuid4

from promptship.errors import PromptshipError, Unavailable
from promptship.lifecycle.app import App
from promptship.ports import Pending
from promptship.release.events import Event, Fact
from promptship.release.history import Release
from promptship.render.redact import redact

_log = logging.getLogger(__name__)

EVERY_S: Final = 0.5
"""Seconds between two looks for news."""
LEASE_S: Final = 60.0
TRIES_MAX: Final = 16
"""About nine hours of tries; then an event is a dead letter."""
PAUSE_S: Final = 2.0
PAUSE_S_MAX: Final = 3600.0


class Sink(Protocol):
    """Somebody who is told of releases."""

    @property
    def name(self) -> str:
        """Names the sink's marks in the ledger's database for ever: another name begins anew, from now on."""
        ...

    def wants(self, fact: Fact) -> bool:
        """Whether events of this kind are told at all; `looked` comes every few seconds."""
        ...

    def tell(self, event: Event, release: Release) -> None:
        """Tell of an event; `release` is as it stands now, which may be later.

        After a crash an event may come again, with the same release and seq.

        Raises:
            Unavailable: tried again later, before anything else of this release.
            PromptshipError: it will never be taken: a dead letter.
        """
        ...


def announce(app: App, sink: Sink) -> int:
    """Tell a sink what is new, until nothing is or it is down; returns how many events were told."""
    told = 0
    for pending in app.outbox.pending(sink.name, at=app.clock.now()):
        told_here, is_up = _announce_release(app, sink, pending)
        told += told_here
        if not is_up:
            break  # the others would each wait for its timeout, too
    return told


def _announce_release(app: App, sink: Sink, pending: Pending) -> tuple[int, bool]:
    """How many events were told, and whether the sink still takes any."""
    told, tries = 0, pending.tries
    events = app.ledger.events(pending.release_id, after=pending.after)
    release = app.release(pending.release_id)
    for event in events:
        if not sink.wants(event.fact):
            continue
        try:
            sink.tell(event, release)
        except Unavailable as error:
            if tries + 1 < TRIES_MAX:
                # What came before it and was not wanted is not looked at again.
                app.outbox.told(sink.name, event.release_id, seq=event.seq - 1)
                _try_later(app, sink, pending.release_id, tries, error)
                return told, False
            _bury(app, sink, event, str(error))
        except PromptshipError as error:
            _bury(app, sink, event, str(error))
        except Exception as error:  # noqa: BLE001 - one event must not keep the others waiting
            _log.exception("%s could not be told of event %d of %s", sink.name, event.seq, event.release_id)
            _bury(app, sink, event, type(error).__name__)
        else:
            told += 1
            app.outbox.told(sink.name, event.release_id, seq=event.seq)
        tries = 0
    if events:
        app.outbox.told(sink.name, pending.release_id, seq=events[-1].seq)
    return told, True


def _try_later(app: App, sink: Sink, release_id: str, tries: int, error: Unavailable) -> None:
    pause_s = max(min(PAUSE_S * 2**tries, PAUSE_S_MAX), error.retry_after_s or 0.0)
    due_at = app.clock.now() + timedelta(seconds=pause_s)
    app.outbox.failed(sink.name, release_id, error=redact(str(error)), due_at=due_at)
    _log.warning("%s is told of release %s again in %.0f s: %s", sink.name, release_id, pause_s, error)


def _bury(app: App, sink: Sink, event: Event, error: str) -> None:
    said = redact(error)
    _log.error("%s will not be told of event %d of %s: %s", sink.name, event.seq, event.release_id, said)
    app.outbox.bury(sink.name, event.release_id, seq=event.seq, error=said, at=app.clock.now())


def tell_again(app: App, sinks: Sequence[Sink], *, to: str | None = None) -> int:
    """Tell dead letters once more, the oldest first; returns how many were taken. What is not stays a dead letter."""
    by_name, told = {sink.name: sink for sink in sinks}, 0
    for letter in reversed(app.outbox.dead_letters(to, limit=10_000)):
        sink = by_name.get(letter.sink)
        if sink is None:
            _log.warning("there is no receiver %s in the settings any more", letter.sink)
            continue
        (event, *_) = app.ledger.events(letter.release_id, after=letter.seq - 1)
        try:
            sink.tell(event, app.release(letter.release_id))
        except PromptshipError as error:
            _log.warning("%s does not take event %d of %s: %s", sink.name, letter.seq, letter.release_id, error)  # fmt: skip
        else:
            told += 1
            app.outbox.dig_up(letter)
    return told


def follow(app: App, sink: Sink, stop: threading.Event) -> None:
    """Keep a sink told until `stop` is set. Any number of processes may: a lease lets one work at a time."""
    lease, holder, begun = f"announce:{sink.name}", uuid4().hex, False
    while not stop.is_set():
        try:
            if app.ledger.acquire(lease, holder, ttl_s=LEASE_S, at=app.clock.now()):
                begun = begun or app.outbox.begin(sink.name, at=app.clock.now()) or True
                announce(app, sink)
        except Unavailable as error:
            _log.warning("cannot tell %s now: %s", sink.name, error)
        except Exception:  # noqa: BLE001 - whatever it is, the next round may do better
            _log.exception("a round of telling %s failed", sink.name)
        stop.wait(EVERY_S)
    try:
        app.ledger.let_go(lease, holder)
    except PromptshipError as error:
        _log.warning("the lease of %s runs out by itself: %s", sink.name, error)


def start_following(app: App, sinks: Sequence[Sink], stop: threading.Event) -> list[threading.Thread]:
    """Follow each sink in a thread of its own: a slow one must not delay another, or a look at a canary."""
    threads = [
        threading.Thread(target=follow, args=(app, sink, stop), name=f"announce-{sink.name}", daemon=True)
        for sink in sinks
    ]
    for thread in threads:
        thread.start()
    return threads
