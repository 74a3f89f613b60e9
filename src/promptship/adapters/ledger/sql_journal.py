"""The journal in SQL."""

# ruff: noqa: D102 - the port says what each method means

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError

from promptship.adapters.database import reading, writing
from promptship.adapters.ledger.chain import canonical
from promptship.adapters.ledger.journal_chain import entry_hash
from promptship.adapters.ledger.schema import journal
from promptship.errors import Conflict
from promptship.ports import Entry

if TYPE_CHECKING:
    from sqlalchemy import Engine


class SqlJournal:
    """`ports.Journal` on the ledger's database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep(
        self,
        topic: str,
        kind: str,
        data: Mapping[str, Any],
        *,
        actor: str,
        at: datetime,
        expected_seq: int | None = None,
    ) -> Entry:
        last = select(journal.c.seq, journal.c.hash).where(journal.c.topic == topic)
        try:
            with writing(self._engine) as connection:
                row = connection.execute(last.order_by(journal.c.seq.desc()).limit(1)).one_or_none()
                seq, prev = (row.seq, row.hash) if row else (-1, "")
                if expected_seq is not None and seq != expected_seq:
                    raise Conflict(f"journal {topic} ends at entry {seq}, not at {expected_seq}")
                new: dict[str, Any] = {
                    "topic": topic, "seq": seq + 1, "at": at, "actor": actor, "kind": kind,
                    "data": canonical(dict(data)), "prev": prev,
                }  # fmt: skip
                connection.execute(insert(journal).values(**new, hash=entry_hash(new)))
        except IntegrityError:
            raise Conflict(f"journal {topic}: somebody else wrote its next entry") from None
        return Entry(topic=topic, seq=seq + 1, at=at, actor=actor, kind=kind, data=json.loads(new["data"]))

    def entries(
        self, topic: str, *, after: int = -1, kind: str | None = None, limit: int | None = None
    ) -> Sequence[Entry]:
        query = select(journal).where(journal.c.topic == topic, journal.c.seq > after)
        if kind is not None:
            query = query.where(journal.c.kind == kind)
        query = query.order_by(journal.c.seq.desc()).limit(limit)
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return tuple(
            Entry(topic=row.topic, seq=row.seq, at=row.at, actor=row.actor, kind=row.kind, data=json.loads(row.data))
            for row in reversed(rows)
        )  # fmt: skip

    def topics(self, prefix: str, *, limit: int = 100) -> Sequence[str]:
        query = (
            select(journal.c.topic)
            .where(journal.c.topic.startswith(prefix, autoescape=True))
            .group_by(journal.c.topic)
            .order_by(func.max(journal.c.number).desc())
            .limit(limit)
        )
        with reading(self._engine) as connection:
            return tuple(connection.scalars(query))
