"""Ledger and routes of every kind, empty, for tests."""

import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from promptship.adapters.database import connect, migrate
from promptship.adapters.ledger.sql_ledger import SqlLedger
from promptship.adapters.ledger.sql_routes import SqlRoutes
from promptship.adapters.memory.ledger import MemoryLedger, MemoryRoutes
from promptship.ports import Ledger, Routes

START = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


@dataclass
class HandClock:
    """A clock that stands still until somebody turns it."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def turn(self, **by: float) -> datetime:
        self.at += timedelta(**by)
        return self.at


@dataclass(frozen=True)
class Store:
    """One empty ledger with its routes. `url` is empty for the one in memory."""

    ledger: Ledger
    routes: Routes
    clock: HandClock
    url: str = ""


def memory_store() -> Store:
    clock = HandClock()
    routes = MemoryRoutes(clock)
    return Store(MemoryLedger(routes), routes, clock)


@contextmanager
def sql_store(url: str) -> Iterator[Store]:
    """A store on a database that is migrated already."""
    clock = HandClock()
    engine = connect(url)
    try:
        yield Store(SqlLedger(engine), SqlRoutes(engine, clock), clock, url)
    finally:
        engine.dispose()


def migrated_file(path: Path) -> Path:
    """A migrated SQLite file, to be copied: cheaper than a migration per test."""
    engine = connect(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    return path


@contextmanager
def sqlite_store(template: Path, path: Path) -> Iterator[Store]:
    shutil.copy(template, path)
    with sql_store(f"sqlite:///{path}") as store:
        yield store


def vandalise(store: Store, triggers: Iterable[str], *statements: str) -> None:
    """Change a ledger on SQLite past everything that guards it: `triggers` keep its tables append-only."""
    connection = sqlite3.connect(store.url.removeprefix("sqlite:///"))
    connection.execute("PRAGMA foreign_keys=OFF")
    for trigger in triggers:
        connection.execute(f"DROP TRIGGER {trigger}")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
