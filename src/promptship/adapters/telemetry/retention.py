"""What is deleted, and when: files of the history, segments that were kept for their bad lines, units nobody counts any more."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import Engine, delete, select, update

from promptship.adapters.database import reading, writing
from promptship.adapters.ledger.schema import leases
from promptship.adapters.telemetry import manifest
from promptship.adapters.telemetry.lake import Lake
from promptship.adapters.telemetry.tables import quarantined_lines, unit_batches, unit_slots, unix_ms
from promptship.ports import Clock

ORPHAN_DAYS: Final = 1
"""A file of the history that no manifest lists after a day was left behind by a crash."""
UNITS_DAYS: Final = 30
"""A stage that nobody counted for so long has ended: its sums stay, its units go."""
LEASE_DAYS: Final = 1


def prune(engine: Engine, lake: Lake, clock: Clock, *, history_s: float, spool_s: float) -> int:
    """Delete what is too old; returns how many files of the history that were. Safe to run at any time, by anybody, twice."""
    now = clock.now()
    with writing(engine) as connection:
        paths = manifest.drop_before(connection, unix_ms(now - timedelta(seconds=history_s)))
    for path in paths:  # What a crash leaves here is swept as an orphan.
        lake.remove(path)
    with writing(engine) as connection:
        quiet = unix_ms(now - timedelta(days=UNITS_DAYS))
        ended = select(unit_slots.c.slot).where(unit_slots.c.touched_ms < quiet, ~unit_slots.c.closed)
        slots = list(connection.execute(ended).scalars())
        for slot in slots:
            connection.execute(delete(unit_batches).where(unit_batches.c.slot == slot))
            connection.execute(update(unit_slots).where(unit_slots.c.slot == slot).values(closed=True))
        gone = unix_ms(now - timedelta(seconds=max(spool_s, history_s)))
        connection.execute(delete(quarantined_lines).where(quarantined_lines.c.found_at_ms < gone))
        expired = leases.c.until < now - timedelta(days=LEASE_DAYS)
        connection.execute(delete(leases).where(leases.c.name.startswith("nudge:"), expired))
    _sweep(engine, lake, clock)
    return len(paths)


def _sweep(engine: Engine, lake: Lake, clock: Clock) -> None:
    # Files first: what is published and listed in between is young.
    old = clock.now() - timedelta(days=ORPHAN_DAYS)
    unlisted = {name for name, written in lake.files() if written < old}
    if unlisted:
        with reading(engine) as connection:
            unlisted -= {one.path for one in manifest.files(connection, with_replaced=True)}
        for name in sorted(unlisted):
            lake.remove(name)
