"""Routes and versions in SQL."""

# ruff: noqa: D102 - the port says what each method means

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, or_, select, update

from promptship.adapters.database import insert_into, reading, writing
from promptship.adapters.ledger import moves
from promptship.adapters.ledger.chain import canonical
from promptship.adapters.ledger.route_chain import change_hash
from promptship.adapters.ledger.schema import route_history, route_revision, routes, versions
from promptship.errors import Conflict, NotFound
from promptship.ports import Clock, RouteChange, RouteRecord
from promptship.routing.table import Route, RoutingTable, Version, as_served, digests

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Because:
    """Who changes a route, when and why."""

    actor: str
    at: datetime
    reason: str
    release_id: str | None = None


def apply(connection: Connection, change: RouteChange, because: Because) -> int:
    """Change a route inside the caller's transaction; returns its new revision. The kill switch stays as it is.

    Raises:
        Conflict: the route is not at `expected_revision`.
        NotFound: a version it names was never kept.
    """
    revision, current = _taken(connection, change.prompt)
    moves.check_revision(change, current.revision if current else 0)
    known = connection.scalars(
        select(versions.c.digest).where(versions.c.digest.in_(moves.named(change)))
    ).all()
    moves.check_versions(change, known)
    row = {
        "revision": revision, "stable": change.stable, "stable_commit": change.commit, "release_id": change.release_id,
        "candidate": change.candidate, "stage": change.stage, "share": change.share, "salt": change.salt,
        "lease_until": change.lease_until, "policy": moves.policy_text(change.policy), "held": change.held,
        "experiment": change.experiment, "arms": moves.arms_text(change.arms),
    }  # fmt: skip
    upsert = insert_into(connection, routes).values(prompt=change.prompt, **row)
    connection.execute(upsert.on_conflict_do_update(index_elements=[routes.c.prompt], set_=row))
    _note(connection, change.prompt, current.stable if current else None, because)
    return revision


def _taken(connection: Connection, prompt: str) -> tuple[int, Row[Any] | None]:
    """The next revision, and the route as it is now, locked until the transaction ends."""
    connection.execute(update(route_revision).values(value=route_revision.c.value + 1))
    query = select(routes).where(routes.c.prompt == prompt).with_for_update()
    return _revision(connection), connection.execute(query).one_or_none()


def _note(connection: Connection, prompt: str, previous: str | None, because: Because) -> None:
    """Add what the route is now to its history, chained to the change before."""
    told = (
        "revision",
        "stable",
        "candidate",
        "share",
        "policy",
        "killed",
        "safe",
        "held",
        "experiment",
        "arms",
    )
    now = connection.execute(
        select(*(routes.c[name] for name in told)).where(routes.c.prompt == prompt)
    ).one()
    before = select(route_history.c.hash).where(route_history.c.prompt == prompt)
    last = connection.scalar(before.order_by(route_history.c.revision.desc()).limit(1))
    row = {
        "prompt": prompt, **now._mapping, "previous": previous, "at": because.at, "release_id": because.release_id,  # noqa: SLF001
        "actor": because.actor, "reason": because.reason, "prev": last or "",
    }  # fmt: skip
    connection.execute(insert(route_history).values(**row, hash=change_hash(row)))


class SqlRoutes:
    """`ports.Routes` on SQLite or PostgreSQL. Safe for threads; `clock` only tells how much of a lease is left."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._kept: dict[str, Version] = {}  # content never changes, so what routes name is read once

    def get(self, prompt: str) -> Route | None:
        with reading(self._engine) as connection:
            row = connection.execute(select(routes).where(routes.c.prompt == prompt)).one_or_none()
        return None if row is None else self._route(row)

    def table(self) -> RoutingTable:
        with reading(self._engine) as connection:
            rows = connection.execute(select(routes)).all()
            served = {row.prompt: as_served(self._route(row)) for row in rows}
            named = {digest for route in served.values() for digest in digests(route)}
            kept = {digest: self._kept[digest] for digest in named & self._kept.keys()}
            unread = select(versions).where(versions.c.digest.in_(named - kept.keys()))
            if named != kept.keys():
                kept |= {row.digest: _version(row) for row in connection.execute(unread)}
        self._kept = kept
        revision = max((row.revision for row in rows), default=0)
        return RoutingTable(revision=revision, routes=served, versions=kept)

    def revision(self) -> int:
        with reading(self._engine) as connection:
            return _revision(connection)

    def keep_version(self, version: Version) -> None:
        with writing(self._engine) as connection:
            _keep(connection, version)

    def version(self, digest: str) -> Version:
        typed = digest.strip()
        wanted = versions.c.digest
        match = or_(wanted == typed, wanted.startswith(typed, autoescape=True))
        if len(typed) < moves.PREFIX_CHARACTERS_MIN:
            match = wanted == typed
        with reading(self._engine) as connection:
            rows = connection.execute(select(versions).where(match).order_by(wanted).limit(5)).all()
        found = {row.digest: row for row in rows}
        return _version(found[moves.the_one("version", typed, typed, list(found))])

    def renew(self, prompt: str, release_id: str, *, until: datetime) -> None:
        whose = or_(routes.c.release_id == release_id, routes.c.experiment == release_id)
        mine = (routes.c.prompt == prompt) & whose
        with writing(self._engine) as connection:
            connection.execute(update(routes).where(mine).values(lease_until=until))

    def randomise(self, change: RouteChange, *, actor: str, at: datetime, reason: str) -> Route:
        with writing(self._engine) as connection:
            now = connection.execute(select(routes).where(routes.c.prompt == change.prompt)).one_or_none()
            moves.check_revision(change, now.revision if now else 0)
            moves.check_split(change, now.stable if now else None)
            apply(connection, change, Because(actor=actor, at=at, reason=reason))
            row = connection.execute(select(routes).where(routes.c.prompt == change.prompt)).one()
        return self._route(row)

    def adopt(self, prompt: str, version: Version, *, actor: str, at: datetime) -> Route:
        change = RouteChange(prompt=prompt, expected_revision=0, stable=version.digest, commit=version.commit)
        with writing(self._engine) as connection:
            _keep(connection, version)
            revision = apply(connection, change, Because(actor=actor, at=at, reason=moves.ADOPTED))
        return Route(prompt=prompt, revision=revision, stable=version.digest, commit=version.commit)

    def name_safe(self, prompt: str, version: Version, *, actor: str, at: datetime) -> None:
        with writing(self._engine) as connection:
            _keep(connection, version)
            reason = moves.NAMED_SAFE.format(version.digest[:12])
            _switch(connection, prompt, {"safe": version.digest}, Because(actor=actor, at=at, reason=reason))

    def safe(self, prompt: str) -> str | None:
        with reading(self._engine) as connection:
            return connection.scalar(select(routes.c.safe).where(routes.c.prompt == prompt))

    def kill(self, prompt: str, version: str | None, *, actor: str, at: datetime, reason: str) -> Route:
        told = (moves.REVIVED if version is None else moves.KILLED).format(reason)
        with writing(self._engine) as connection:
            _switch(connection, prompt, {"killed": version}, Because(actor=actor, at=at, reason=told))
            row = connection.execute(select(routes).where(routes.c.prompt == prompt)).one()
        return self._route(row)

    def history(self, prompt: str) -> Sequence[RouteRecord]:
        query = select(route_history).where(route_history.c.prompt == prompt)
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(route_history.c.revision.desc())).all()
        return tuple(
            RouteRecord(
                revision=row.revision, at=row.at, stable=row.stable, previous=row.previous, candidate=row.candidate,
                share=row.share, release_id=row.release_id, actor=row.actor, reason=row.reason, killed=row.killed,
                held=row.held, experiment=row.experiment, arms=moves.parts_of(row.arms) or (), hash=row.hash or "",
            )
            for row in rows
        )  # fmt: skip

    def _route(self, row: Row[Any]) -> Route:
        return moves.route_of(**row._mapping, now=self._clock.now())  # noqa: SLF001 - SQLAlchemy's public name for it


def _switch(connection: Connection, prompt: str, change: dict[str, str | None], because: Because) -> None:
    """Change what is above the route: the kill switch. Whoever decided on the route before must read it again."""
    revision, current = _taken(connection, prompt)
    if current is None:
        raise NotFound(f"no prompt {prompt} is being served")
    for digest in change.values():
        known = select(versions.c.digest).where(versions.c.digest == digest)
        if digest is not None and connection.scalar(known) is None:
            raise NotFound(f"no version {digest} in the ledger")
    row = {"revision": revision, **change}
    connection.execute(update(routes).where(routes.c.prompt == prompt).values(row))
    _note(connection, prompt, current.stable, because)


def _revision(connection: Connection) -> int:
    return int(connection.execute(select(route_revision.c.value)).scalar_one())


def _keep(connection: Connection, version: Version) -> None:
    content = canonical(version.content)
    kept = connection.scalar(select(versions.c.content).where(versions.c.digest == version.digest))
    if kept is None:
        row = {"digest": version.digest, "commit": version.commit, "content": content}
        connection.execute(insert_into(connection, versions).values(row).on_conflict_do_nothing())
    elif kept != content:
        raise Conflict(
            f"version {version.digest} is kept with other content: a digest names one content for ever"
        )


def _version(row: Row[Any]) -> Version:
    return Version(digest=row.digest, commit=row.commit, content=json.loads(row.content))
