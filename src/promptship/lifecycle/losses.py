"""Telemetry that gateways could not write down: told by them, kept in the journal, and a reason for every canary to hold."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Final

from promptship.errors import Conflict
from promptship.lifecycle.app import App
from promptship.numbers import plural

TOPIC: Final = "losses:"
LOST: Final = "lost"
HOLD_S: Final = 120.0
"""How long after the last report canaries hold: a disk that is full fills again."""
KEEP_EVERY_S: Final = 30.0
"""A gateway that loses all the time is noted this often."""


def note_loss(app: App, *, gateway: str, lost: int) -> None:
    """Keep what a gateway says: that it has lost so many lines since it began."""
    now = app.clock.now()
    last = app.journal.entries(TOPIC + gateway, kind=LOST, limit=1)
    if last and (now - last[-1].at).total_seconds() < KEEP_EVERY_S:
        return
    with suppress(Conflict):  # somebody kept the same in this instant
        app.journal.keep(TOPIC + gateway, LOST, {"lost": lost}, actor=f"gateway:{gateway}", at=now)


def losing(app: App, *, at: datetime) -> tuple[str, ...]:
    """What is wrong with the telemetry now because lines of it are being lost, a line per gateway; empty: nothing."""
    problems = []
    for topic in app.journal.topics(TOPIC, limit=50):
        (last,) = app.journal.entries(topic, kind=LOST, limit=1)
        if (at - last.at).total_seconds() < HOLD_S:
            lines = plural(int(last.data["lost"]), "line")
            problems.append(
                f"gateway {topic.removeprefix(TOPIC)} cannot write its telemetry ({lines} lost): is its disk full?"
            )
    return tuple(sorted(problems))
