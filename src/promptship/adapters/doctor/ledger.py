"""The ledger: reachable, migrated, its chains, who watches, what waits, what could not be told; and its clock."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import select, text

from promptship.adapters.clock import SystemClock
from promptship.adapters.database import connect, is_current, reading
from promptship.adapters.doctor.found import Found, State, down, examined, fail, ok, warn, worst
from promptship.adapters.doctor.skew import clock
from promptship.adapters.ledger.schema import leases
from promptship.adapters.ledger.sql_ledger import SqlLedger
from promptship.adapters.ledger.sql_outbox import SqlOutbox
from promptship.adapters.ledger.sql_routes import SqlRoutes
from promptship.adapters.telemetry.tables import spool_files
from promptship.errors import Unavailable
from promptship.numbers import duration, plural
from promptship.ports import Clock, ReleaseSummary
from promptship.release.phase import OPEN, Phase
from promptship.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

VERIFIED: Final = 20
"""Newest releases whose chains are recomputed; `promptship audit verify` takes them all."""
STUCK: Final = timedelta(minutes=15)
"""A release that is due for so long, and moved by nobody, is stuck."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What other checks need of the ledger."""

    revision: int
    read: dict[str, int]
    """Bytes of each spool file that were taken in."""


def examine(settings: Settings) -> tuple[list[Found], Facts | None]:
    """Everything about the ledger; its facts are None when it cannot be read. Makes no database where there is none."""
    missing = Path(settings.ledger_url.removeprefix("sqlite:///"))
    if settings.ledger_url.startswith("sqlite:///") and not missing.exists():
        return [
            fail("ledger", f"{missing} is not there", "start promptship once, or correct [ledger] url")
        ], None
    engines: list[Engine] = []

    def reachable() -> Iterator[Found]:
        engines.append(connect(settings.ledger_url))
        shown = engines[0].url.render_as_string(hide_password=True)
        yield from schema(engines[0], shown)

    found = examined("ledger", reachable)
    if not engines or worst(found) is not State.OK:
        return found, None
    engine, time_source = engines[0], SystemClock()
    now = time_source.now()
    sinks = [webhook.name for webhook in settings.webhooks]
    for part, check in (
        ("chains", partial(chains, engine)),
        ("watcher", partial(watched, engine, now=now)),
        ("releases", partial(waiting, engine, now=now)),
        ("announcements", partial(letters, engine, sinks, now=now)),
        ("ledger's clock", partial(database_clock, engine)),
    ):
        found += examined(part, check)
    try:
        return found, facts(engine, time_source)
    except Unavailable:
        return found, None
    finally:
        engine.dispose()


def schema(engine: Engine, shown: str) -> Iterator[Found]:
    """Reachable and migrated. Raises ConfigError: a newer program migrated it; Unavailable."""
    if is_current(engine):
        yield ok("ledger", shown)
    else:
        advice = "start any promptship process of this version: the first one migrates"
        yield warn("ledger", f"{shown}: the schema is not the newest", advice)


def facts(engine: Engine, time_source: Clock) -> Facts:
    """Raises Unavailable."""
    with reading(engine) as connection:
        rows = connection.execute(select(spool_files.c.name, spool_files.c.read_bytes)).all()
    return Facts(SqlRoutes(engine, time_source).revision(), {row.name: row.read_bytes for row in rows})


def chains(engine: Engine) -> Iterator[Found]:
    """The newest releases' hash chains."""
    ledger, began = SqlLedger(engine), time.monotonic()
    summaries = ledger.summaries(limit=VERIFIED)
    problems = [problem for one in summaries for problem in ledger.verify(one.id).problems]
    if problems:
        yield fail(
            "chains", problems[0], "somebody changed history: promptship audit verify, then restore a backup"
        )
    else:
        took = f"{time.monotonic() - began:.1f} s"
        yield ok(
            "chains",
            f"the newest {plural(len(summaries), 'release')} hold ({took}); `audit verify` takes all",
        )


def watched(engine: Engine, *, now: datetime) -> Iterator[Found]:
    """Whether a watcher is at work anywhere: it holds a lease."""
    with reading(engine) as connection:
        until = connection.scalar(select(leases.c.until).where(leases.c.name == "watcher"))
    canaries = SqlLedger(engine).summaries(phases=frozenset({Phase.CANARY}))
    risk = f"; {len(canaries)} in canary, looked at by nobody" if canaries else ""
    if until is None:
        yield down("watcher", f"none is at work{risk}", "start `promptship watcher`")
    elif until < now:
        ago = duration((now - until).total_seconds())
        yield fail(
            "watcher", f"the last one stopped {ago} ago{risk}", "start `promptship watcher`, and see its log"
        )
    else:
        yield ok("watcher", "at work")


def waiting(engine: Engine, *, now: datetime) -> Iterator[Found]:
    """Releases that should have moved long ago."""
    ledger = SqlLedger(engine)
    stuck = stuck_ones(ledger.due(now), now)
    open_ones = len(ledger.summaries(phases=OPEN, limit=10_000))
    said = f"{plural(open_ones, 'release')} open"
    if stuck:
        advice = f"promptship release show {stuck[0]}, and the log of runner or worker"
        yield warn(
            "releases", f"{said}, {len(stuck)} due and moved by nobody: {', '.join(stuck[:3])}", advice
        )
    else:
        yield ok("releases", said)


def stuck_ones(due: Sequence[ReleaseSummary], now: datetime) -> list[str]:
    """Ids of those that are due for long, and do not wait for another release of their prompt."""
    return [
        one.id
        for one in due
        if one.due_at is not None and now - one.due_at > STUCK and one.phase is not Phase.REQUESTED
    ]


def letters(engine: Engine, sinks: Sequence[str], *, now: datetime) -> Iterator[Found]:
    """Whether everybody outside was told."""
    outbox = SqlOutbox(engine)
    dead = outbox.dead_letters(limit=1000)
    if dead:
        said = f"{plural(len(dead), 'event')} could not be told, the last to {dead[0].sink}: {dead[0].error}"
        yield warn("dead letters", said, "mend that address; the events stand in the ledger")
    behind = [name for name in sinks if any(one.tries for one in outbox.pending(name, at=now))]
    if behind:
        yield warn(
            "announcements",
            f"{', '.join(behind)} does not take events; they are tried again",
            "see the watcher's log",
        )
    elif not dead:
        yield ok("announcements", "everybody was told")


def database_clock(engine: Engine, *, now_s: float | None = None) -> Iterator[Found]:
    """PostgreSQL's clock against ours: leases are compared across machines."""
    if engine.dialect.name != "postgresql":
        return
    with reading(engine) as connection:
        theirs = float(connection.scalar(text("select extract(epoch from clock_timestamp())")) or 0)
    yield from clock("ledger's", theirs - (time.time() if now_s is None else now_s))
