"""Units in the database: per stage and arm one row of sums, which looks read, and batches of what units gained, which only ticks read.

A row per unit would be simpler and cost a tick of 10,000 requests as many random pages. Here a tick appends one small batch; the table
itself is held in memory by whoever ticks, brought up to date with the batches of others, and read anew after a restart.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from sqlalchemy import Connection, delete, select, update

from promptship.adapters.database import insert_into
from promptship.adapters.telemetry.grouping import Place, UnitGains
from promptship.adapters.telemetry.tables import unit_batches, unit_slots
from promptship.adapters.telemetry.units import Sums, UnitTable, absorb, added, as_gains, packed, unpacked

TABLES_MAX: Final = 32
"""Tables of units kept in memory, the least recently used leaves first; it is read again when needed."""
BATCHES_MAX: Final = 256
"""Batches of one stage and arm before they are rewritten as one, whatever their size."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A table as of a batch."""

    table: UnitTable
    seq: int
    loose: int
    """Units in batches since the last rewriting."""


@dataclass(slots=True)
class UnitStore:
    """Not thread-safe: one per tick."""

    _held: OrderedDict[int, _Held] = field(default_factory=OrderedDict)

    def add(self, connection: Connection, gains: Mapping[Place, UnitGains], at_ms: int) -> dict[int, _Held]:
        """Write what units gained. Give the answer to `keep` once the transaction is committed."""
        pending: dict[int, _Held] = {}
        for place in sorted(gains):
            row = _slot(connection, place)
            if row.closed:
                continue
            held = self._up_to_date(connection, row)
            done = absorb(held.table, gains[place], orjson.loads(row.sums))
            if len(done.gains.keys):
                pending[row.slot] = _write(
                    connection, row, held, done.table, done.gains, done.sums, done.fresh, at_ms
                )
        return pending

    def keep(self, pending: Mapping[int, _Held]) -> None:
        """Remember the tables as they are now in the database."""
        for slot, held in pending.items():
            self._held[slot] = held
            self._held.move_to_end(slot)
        while len(self._held) > TABLES_MAX:
            self._held.popitem(last=False)

    def _up_to_date(self, connection: Connection, row: Any) -> _Held:
        held = self._held.get(row.slot, _Held(UnitTable(), 0, 0))
        if held.seq == row.seq:
            return held
        query = (
            select(unit_batches.c.first_seq, unit_batches.c.seq, unit_batches.c.level, unit_batches.c.data)
            .where(unit_batches.c.slot == row.slot, unit_batches.c.seq > held.seq)
            .order_by(unit_batches.c.seq)
        )
        for first_seq, seq, level, data in connection.execute(query):
            if first_seq == 0:  # rewritten: it holds everything up to here
                held = _Held(UnitTable(level=level), 0, 0)
            gains = unpacked(data)
            held = _Held(added(held.table, gains), seq, held.loose + len(gains.keys) if first_seq else 0)
        return held


def _slot(connection: Connection, place: Place) -> Any:
    release, stage, arm = place
    at = (unit_slots.c.release_id == release) & (unit_slots.c.stage == stage) & (unit_slots.c.arm == arm)
    query = select(unit_slots).where(at).with_for_update()
    row = connection.execute(query).first()
    if row is None:
        new = insert_into(connection, unit_slots).values(
            release_id=release, stage=stage, arm=arm, seq=0, assigned=0, sums="{}", closed=False, touched_ms=0
        )
        connection.execute(new.on_conflict_do_nothing())
        row = connection.execute(query).one()
    return row


def _write(
    connection: Connection,
    row: Any,
    held: _Held,
    table: UnitTable,
    gains: UnitGains,
    sums: Sums,
    fresh: int,
    at_ms: int,
) -> _Held:
    seq = row.seq + 1
    loose = held.loose + len(gains.keys)
    # Rewriting costs as much as the table is large, so it waits for half as many new rows.
    whole = (
        table.level != held.table.level or loose > max(len(table.keys) // 2, 1024) or seq % BATCHES_MAX == 0
    )
    if whole:
        connection.execute(delete(unit_batches).where(unit_batches.c.slot == row.slot))
    connection.execute(
        unit_batches.insert().values(
            slot=row.slot, seq=seq, first_seq=0 if whole else seq, level=table.level,
            data=packed(as_gains(table) if whole else gains),
        )
    )  # fmt: skip
    connection.execute(
        update(unit_slots)
        .where(unit_slots.c.slot == row.slot)
        .values(seq=seq, assigned=row.assigned + fresh, sums=orjson.dumps(sums).decode(), touched_ms=at_ms)
    )
    return _Held(table, seq, 0 if whole else loose)
