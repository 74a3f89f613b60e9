"""Recomputing the hash chains from what the tables hold now, however it got there.

What is served is checked with them: the chains name digests, digests name contents, and a route is what its history says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, func, select, type_coerce

from promptship.adapters.database import Moment, moment, reading
from promptship.adapters.ledger import chain, journal_chain, route_chain
from promptship.adapters.ledger.schema import events, journal, releases, route_history, routes, versions
from promptship.errors import NotFound
from promptship.ports import AuditReport
from promptship.prompts.json_values import compact

if TYPE_CHECKING:
    from sqlalchemy import Column, ColumnElement, Connection, Engine, Row

_ROWS_AT_ONCE = 1000


def verify(engine: Engine, release_id: str | None) -> AuditReport:
    """Check one release, or all and what is served, against one snapshot of the ledger. Raises NotFound for an unknown one."""
    heads = select(*(_raw(releases.c[name]) for name in chain.Head.__slots__))
    links = select(*(_raw(column) for column in events.c)).order_by(events.c.release_id, events.c.seq)
    if release_id is not None:
        heads = heads.where(releases.c.id == release_id)
        links = links.where(events.c.release_id == release_id)
    problems: list[str] = []
    counted = 0
    with reading(engine) as connection, _undecodable_allowed(connection):
        unseen = {row.id: row for row in connection.execute(heads)}
        told = {row.id: (row.seq, row.head_hash) for row in unseen.values()}
        known = len(told)
        rows = connection.execute(links.execution_options(yield_per=_ROWS_AT_ONCE))
        for one, group in groupby(rows, key=lambda row: str(row.release_id)):
            reader = _Reader(group)
            problems += _audit(one, unseen.pop(one, None), reader)
            counted += reader.count
        if release_id is None:
            broken, heads_of_routes = _routes_audited(connection)
            broken_topics, heads_of_topics = _journal_audited(connection)
            problems += [*_contents(connection), *_served(connection), *broken, *broken_topics]
            told |= heads_of_routes | heads_of_topics
    problems += [problem for one, head in unseen.items() for problem in _audit(one, head, _Reader(iter(())))]
    if release_id is not None and not told and not counted:
        raise NotFound(f"no release {release_id}")
    return AuditReport(releases=known, events=counted, problems=tuple(problems), head=chain.head_over(told))


class _Reader:
    """Rows as links, counted on the way: a release's events need not fit into memory."""

    def __init__(self, rows: Iterator[Row[Any]]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[chain.Link]:
        for row in self._rows:
            self.count += 1
            yield chain.Link(**{**row._mapping, "at": moment(row.at)})  # noqa: SLF001 - SQLAlchemy's public name for it


class _Changes:
    """Changes of one route, and the head of their chain once they were read."""

    def __init__(self, rows: Iterator[Row[Any]]) -> None:
        self._rows = rows
        self.revision = 0
        self.hash: str | None = None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self._rows:
            self.revision, self.hash = row.revision, row.hash
            yield {**row._mapping, "at": moment(row.at)}  # noqa: SLF001 - SQLAlchemy's public name for it


def _audit(release_id: str, row: Row[Any] | None, reader: _Reader) -> tuple[str, ...]:
    try:
        head = None
        if row is not None:
            times = {"opened_at": moment(row.opened_at), "moved_at": moment(row.moved_at)}
            head = chain.Head(**{**row._mapping, **times})  # noqa: SLF001 - SQLAlchemy's public name for it
        return chain.audit(release_id, head, reader)
    except (TypeError, ValueError, OverflowError) as error:
        # SQLite stores what it is given: a vandal may have left a word where a number belongs.
        return (f"{release_id} near event {reader.count - 1}: cannot be read: {error}",)


def _contents(connection: Connection) -> Iterator[str]:
    """Versions whose content is not what their digest names."""
    for row in connection.execute(select(versions).execution_options(yield_per=_ROWS_AT_ONCE)):
        try:
            content = compact(json.loads(row.content)).encode()
        except (TypeError, ValueError):
            content = b""
        if hashlib.sha256(content).hexdigest() != row.digest:
            yield f"version {row.digest}: its content is not what its digest names"


def _served(connection: Connection) -> Iterator[str]:
    """Routes that are not what the last entry of their history says."""
    same = (
        "revision", "prompt", "stable", "candidate", "share", "policy", "killed", "safe", "held", "experiment", "arms",
    )  # fmt: skip
    newest = select(func.max(route_history.c.revision)).group_by(route_history.c.prompt)
    entries = select(*(route_history.c[name] for name in same)).where(route_history.c.revision.in_(newest))
    told = {row.prompt: tuple(row) for row in connection.execute(entries)}
    kept = {row.prompt: tuple(row) for row in connection.execute(select(*(routes.c[name] for name in same)))}
    for prompt in sorted(told.keys() | kept.keys()):
        if told.get(prompt) != kept.get(prompt):
            yield f"route of {prompt}: is not what its history says"


def _routes_audited(connection: Connection) -> tuple[list[str], dict[str, tuple[int, str]]]:
    """What does not hold in the chains of route changes, and the head of each chain."""
    problems: list[str] = []
    heads: dict[str, tuple[int, str]] = {}
    query = select(*(_raw(column) for column in route_history.c))
    rows = connection.execute(
        query.order_by(route_history.c.prompt, route_history.c.revision).execution_options(
            yield_per=_ROWS_AT_ONCE
        )
    )
    for prompt, group in groupby(rows, key=lambda row: str(row.prompt)):
        changes = _Changes(group)
        try:
            problems += route_chain.audit(changes)
        except (TypeError, ValueError, OverflowError) as error:
            problems.append(f"route of {prompt}: its history cannot be read: {error}")
        if changes.hash is not None:
            heads[f"route:{prompt}"] = (changes.revision, changes.hash)
    return problems, heads


def _journal_audited(connection: Connection) -> tuple[list[str], dict[str, tuple[int, str]]]:
    """What does not hold in the chains of the journal, and the head of each topic."""
    problems: list[str] = []
    heads: dict[str, tuple[int, str]] = {}
    query = select(*(_raw(column) for column in journal.c)).order_by(journal.c.topic, journal.c.seq)
    rows = connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE))
    for topic, group in groupby(rows, key=lambda row: str(row.topic)):
        entries = [{**row._mapping, "at": row.at} for row in group]  # noqa: SLF001 - SQLAlchemy's public name for it
        try:
            problems += journal_chain.audit({**entry, "at": moment(entry["at"])} for entry in entries)
        except (TypeError, ValueError, OverflowError) as error:
            problems.append(f"journal {topic}: cannot be read: {error}")
        heads[f"journal:{topic}"] = (entries[-1]["seq"], entries[-1]["hash"])
    return problems, heads


def _raw(column: Column[Any]) -> ColumnElement[Any]:
    """Times as stored: what was written there may not be one, and is to be reported, not raised from the depths of a fetch."""
    return type_coerce(column, BigInteger).label(column.name) if isinstance(column.type, Moment) else column


@contextmanager
def _undecodable_allowed(connection: Connection) -> Iterator[None]:
    """Let SQLite hand over texts that are not UTF-8 any more: they are evidence."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    driver.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        driver.text_factory = str
