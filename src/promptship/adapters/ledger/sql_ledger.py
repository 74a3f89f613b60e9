"""Releases and their events in SQL."""

# ruff: noqa: D102 - the port says what each method means

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, or_, select, update

from promptship.adapters.database import insert_into, reading, writing
from promptship.adapters.ledger import chain, moves, sql_audit, sql_routes
from promptship.adapters.ledger.schema import claims, events, leases, releases
from promptship.errors import Conflict, NotFound
from promptship.ports import Append, AuditReport, ReleaseSummary, RouteChange
from promptship.release.events import Event, Fact, Requested
from promptship.release.phase import OPEN, Phase

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Engine, Row

_SUMMARY = tuple(releases.c[name] for name in ReleaseSummary.__slots__)


class SqlLedger:
    """`ports.Ledger` on SQLite or PostgreSQL. Safe for any number of threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open_release(self, fact: Fact, *, actor: str, at: datetime, again: bool = False) -> tuple[str, bool]:
        opening = moves.opening(fact)
        with writing(self._engine) as connection:
            latest = _latest(connection, opening)
            attempt = 1 if latest is None else latest.attempt
            if latest is not None:
                if not again or latest.phase not in moves.WITHOUT_VERDICT:
                    return latest.id, False
                attempt += 1
            for release_id in moves.release_ids(opening.prompt, opening.commit, attempt):
                if _insert_release(connection, release_id, opening, attempt=attempt, actor=actor, at=at):
                    return release_id, True
                # Either another process opened the same release in this instant, or the id is another release's.
                rival = _latest(connection, opening)
                if rival is not None and rival.attempt >= attempt:
                    return rival.id, False
        raise Conflict(f"no free id for the release of {opening.prompt} at {opening.commit}")

    def append(
        self,
        release_id: str,
        facts: Sequence[Fact],
        *,
        expected_seq: int,
        actor: str,
        at: datetime,
        route: RouteChange | None = None,
        due_at: datetime | None = None,
        keep_due: bool = False,
    ) -> tuple[Event, ...]:
        one = Append(
            release_id=release_id, facts=facts, expected_seq=expected_seq, route=route, due_at=due_at, keep_due=keep_due
        )  # fmt: skip
        with writing(self._engine) as connection:
            return _append(connection, _locked(connection, release_id), one, actor=actor, at=at)

    def append_all(self, appends: Sequence[Append], *, actor: str, at: datetime) -> None:
        moves.check_distinct(appends)
        with writing(self._engine) as connection:
            # Locked in one order, and all before the first route: two groups that share releases cannot wait for each other.
            heads = {one: _locked(connection, one) for one in sorted(append.release_id for append in appends)}
            for append in appends:
                moves.check_seq(
                    append.release_id, seq=heads[append.release_id].seq, expected=append.expected_seq
                )
            for append in appends:
                _append(connection, heads[append.release_id], append, actor=actor, at=at)

    def events(self, release_id: str, *, looks: bool = True, after: int = -1) -> Sequence[Event]:
        mine = events.c.release_id == release_id
        query = select(events).where(mine, events.c.seq > after).order_by(events.c.seq)
        if not looks:
            last = select(func.max(events.c.seq)).where(mine, events.c.kind == "looked").scalar_subquery()
            # Two ranges instead of "not equal": both databases then skip the looks in the index, and there may be many.
            other = select(events.c.seq).where(mine, or_(events.c.kind < "looked", events.c.kind > "looked"))
            query = query.where(or_(events.c.seq == last, events.c.seq.in_(other)))
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
            if not rows and not connection.scalar(
                select(func.count()).select_from(releases).where(releases.c.id == release_id)
            ):
                raise NotFound(f"no release {release_id}")
        return tuple(chain.event_of(chain.Link(**row._mapping)) for row in rows)  # noqa: SLF001

    def find(self, release: str) -> str:
        wanted = moves.wanted_id(release)
        query = select(releases.c.id).where(releases.c.id.startswith(wanted, autoescape=True))
        with reading(self._engine) as connection:
            found = connection.scalars(
                query.order_by(func.length(releases.c.id), releases.c.id).limit(5)
            ).all()
        return moves.the_one("release", release, wanted, found)

    def summaries(
        self, *, prompt: str | None = None, phases: frozenset[Phase] | None = None, limit: int = 100
    ) -> Sequence[ReleaseSummary]:
        wanted: list[ColumnElement[bool]] = []
        if prompt is not None:
            wanted.append(releases.c.prompt == prompt)
        if phases is not None:
            wanted.append(releases.c.phase.in_(sorted(phases)))
        query = select(*_SUMMARY).where(*wanted).order_by(releases.c.number.desc()).limit(limit)
        with reading(self._engine) as connection:
            return tuple(_summary(row) for row in connection.execute(query))

    def due(self, at: datetime) -> Sequence[ReleaseSummary]:
        query = (
            select(*_SUMMARY).where(releases.c.due_at <= at).order_by(releases.c.due_at, releases.c.number)
        )
        with reading(self._engine) as connection:
            return tuple(_summary(row) for row in connection.execute(query))

    def claim(self, prompt: str, release_id: str) -> bool:
        with writing(self._engine) as connection:
            # The lock keeps the release from ending between the question and the claim: nobody would free it.
            release = _locked(connection, release_id)
            if release.prompt != prompt:
                raise NotFound(f"release {release_id} is of prompt {release.prompt}, not {prompt}")
            if release.phase not in OPEN:
                return False
            row = {"prompt": prompt, "release_id": release_id}
            connection.execute(insert_into(connection, claims).values(row).on_conflict_do_nothing())
            holder = connection.scalar(select(claims.c.release_id).where(claims.c.prompt == prompt))
        return bool(holder == release_id)

    def acquire(self, name: str, holder: str, *, ttl_s: float, at: datetime) -> bool:
        new = {"holder": holder, "until": at + timedelta(seconds=ttl_s)}
        free = or_(leases.c.until <= at, leases.c.holder == holder)
        with writing(self._engine) as connection:
            upsert = insert_into(connection, leases).values(name=name, **new)
            upsert = upsert.on_conflict_do_update(index_elements=[leases.c.name], set_=new, where=free)
            return connection.execute(upsert.returning(leases.c.name)).first() is not None

    def let_go(self, name: str, holder: str) -> None:
        with writing(self._engine) as connection:
            connection.execute(delete(leases).where(leases.c.name == name, leases.c.holder == holder))

    def forget_leases(self, before: datetime) -> int:
        with writing(self._engine) as connection:
            return int(connection.execute(delete(leases).where(leases.c.until < before)).rowcount)

    def verify(self, release_id: str | None = None) -> AuditReport:
        return sql_audit.verify(self._engine, release_id)


def _latest(connection: Connection, opening: Requested) -> Row[Any] | None:
    """The latest attempt for this prompt and commit."""
    same = (releases.c.prompt == opening.prompt) & (releases.c.commit == opening.commit)
    query = select(releases.c.id, releases.c.attempt, releases.c.phase).where(same)
    return connection.execute(query.order_by(releases.c.attempt.desc()).limit(1)).one_or_none()


def _insert_release(
    connection: Connection, release_id: str, opening: Requested, *, attempt: int, actor: str, at: datetime
) -> bool:
    """Insert a release with its first event; False, and nothing written, when id or attempt is taken."""
    (link,) = chain.extend(release_id, -1, "", [opening], actor=actor, at=at)
    row = {
        "id": release_id, "prompt": opening.prompt, "commit": opening.commit, "attempt": attempt, "author": opening.author,
        "phase": Phase.REQUESTED, "seq": link.seq, "head_hash": link.hash, "opened_at": at, "moved_at": at, "due_at": at,
    }  # fmt: skip
    new = insert_into(connection, releases).values(row).on_conflict_do_nothing()
    if connection.execute(new.returning(releases.c.id)).first() is None:
        return False
    connection.execute(insert(events), asdict(link))
    return True


def _append(
    connection: Connection, head: Row[Any], one: Append, *, actor: str, at: datetime
) -> tuple[Event, ...]:
    """Append to a release that is locked as `head`, inside the caller's transaction."""
    moves.check_seq(one.release_id, seq=head.seq, expected=one.expected_seq)
    phase, moved = moves.phase_after(Phase(head.phase), one.facts)
    links = chain.extend(one.release_id, head.seq, head.head_hash, one.facts, actor=actor, at=at)
    new: dict[str, Any] = {} if one.keep_due else {"due_at": one.due_at}
    if links:
        connection.execute(insert(events), [asdict(link) for link in links])
        new |= {"phase": phase, "seq": links[-1].seq, "head_hash": links[-1].hash}
    if moved:
        new["moved_at"] = at
    if new:
        connection.execute(update(releases).where(releases.c.id == one.release_id).values(new))
    if one.route is not None:
        moves.check_change(one.route, release_id=one.release_id, prompt=head.prompt, facts=one.facts)
        because = sql_routes.Because(
            actor=actor, at=at, reason=moves.reason_of(one.facts), release_id=one.release_id
        )
        sql_routes.apply(connection, one.route, because)
    if phase not in OPEN:
        connection.execute(delete(claims).where(claims.c.release_id == one.release_id))
    return tuple(chain.event_of(link) for link in links)


def _locked(connection: Connection, release_id: str) -> Row[Any]:
    query = select(releases.c.prompt, releases.c.phase, releases.c.seq, releases.c.head_hash)
    row = connection.execute(query.where(releases.c.id == release_id).with_for_update()).one_or_none()
    if row is None:
        raise NotFound(f"no release {release_id}")
    return row


def _summary(row: Row[Any]) -> ReleaseSummary:
    return ReleaseSummary(**{**row._mapping, "phase": Phase(row.phase)})  # noqa: SLF001 - SQLAlchemy's public name for it
