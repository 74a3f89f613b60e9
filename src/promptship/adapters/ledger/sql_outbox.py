"""The outbox in SQL."""

# ruff: noqa: D102 - the port says what each method means

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, func, insert, literal, null, or_, select

from promptship.adapters.database import insert_into, reading, writing
from promptship.adapters.ledger.schema import dead_letters, marks, releases, sinks
from promptship.ports import DeadLetter, Pending

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


class SqlOutbox:
    """`ports.Outbox` on the ledger's database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self, sink: str, *, at: datetime) -> bool:
        known = select(sinks.c.name).where(sinks.c.name == sink)
        with reading(self._engine) as connection:
            if connection.scalar(known) is not None:
                return False
        with writing(self._engine) as connection:
            new = insert_into(connection, sinks).values(name=sink, since=at).on_conflict_do_nothing()
            if not connection.execute(new).rowcount:
                return False
            past = select(literal(sink), releases.c.id, releases.c.seq, literal(0), null())
            names = ["sink", "release_id", "seq", "tries", "due_at"]
            connection.execute(insert(marks).from_select(names, past))
            return True

    def pending(self, sink: str, *, at: datetime, limit: int = 100) -> Sequence[Pending]:
        seq = func.coalesce(marks.c.seq, -1)
        of_sink = and_(marks.c.release_id == releases.c.id, marks.c.sink == sink)
        query = (
            select(releases.c.id, seq.label("after"), func.coalesce(marks.c.tries, 0).label("tries"))
            .join_from(releases, marks, of_sink, isouter=True)
            .where(seq < releases.c.seq, or_(marks.c.due_at.is_(None), marks.c.due_at <= at))
            .order_by(releases.c.number)
            .limit(limit)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return tuple(Pending(release_id=row.id, after=row.after, tries=row.tries) for row in rows)

    def told(self, sink: str, release_id: str, *, seq: int) -> None:
        with writing(self._engine) as connection:
            _advance(connection, sink, release_id, seq)

    def failed(self, sink: str, release_id: str, *, error: str, due_at: datetime) -> None:
        with writing(self._engine) as connection:
            new = insert_into(connection, marks).values(
                sink=sink, release_id=release_id, seq=-1, tries=1, due_at=due_at, error=error
            )
            again = {"tries": marks.c.tries + 1, "due_at": due_at, "error": error}
            connection.execute(new.on_conflict_do_update(index_elements=_KEY, set_=again))

    def bury(self, sink: str, release_id: str, *, seq: int, error: str, at: datetime) -> None:
        with writing(self._engine) as connection:
            letter = {"sink": sink, "release_id": release_id, "seq": seq, "at": at, "error": error}
            connection.execute(
                insert_into(connection, dead_letters).values(**letter).on_conflict_do_nothing()
            )
            _advance(connection, sink, release_id, seq)

    def dead_letters(self, sink: str | None = None, *, limit: int = 100) -> Sequence[DeadLetter]:
        query = select(dead_letters).order_by(dead_letters.c.number.desc()).limit(limit)
        if sink is not None:
            query = query.where(dead_letters.c.sink == sink)
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return tuple(
            DeadLetter(sink=row.sink, release_id=row.release_id, seq=row.seq, at=row.at, error=row.error)
            for row in rows
        )

    def dig_up(self, letter: DeadLetter) -> None:
        key = (
            dead_letters.c.sink == letter.sink,
            dead_letters.c.release_id == letter.release_id,
            dead_letters.c.seq == letter.seq,
        )
        with writing(self._engine) as connection:
            connection.execute(delete(dead_letters).where(*key))


_KEY = [marks.c.sink, marks.c.release_id]


def _advance(connection: Connection, sink: str, release_id: str, seq: int) -> None:
    row: dict[str, Any] = {"seq": seq, "tries": 0, "due_at": None, "error": None}
    new = insert_into(connection, marks).values(sink=sink, release_id=release_id, **row)
    connection.execute(new.on_conflict_do_update(index_elements=_KEY, set_=row, where=marks.c.seq < seq))
