"""Connecting, migrating, append-only tables, and failures of the database itself."""

import re
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from promptship.adapters.database import MIGRATIONS, connect, migrate, outside, reading, writing
from promptship.adapters.ledger import schema
from promptship.adapters.ledger.sql_ledger import SqlLedger
from promptship.adapters.ledger.sql_routes import SqlRoutes
from promptship.errors import ConfigError, Unavailable
from promptship.release.phase import Phase
from tests.support.facts import bring, opened, version
from tests.support.ledger_stores import START, HandClock, Store
from tests.support.schema import differences


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path / 'new' / 'directory' / 'ledger.db'}")
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "got"),
    [
        ("", "not a database URL"),
        ("ledger.db", "not a database URL"),
        ("mysql://root@localhost/x", "mysql"),
        ("postgresql+asyncpg://localhost/x", "postgresql+asyncpg"),
        ("sqlite://", "SQLite without a file"),
        ("sqlite:///:memory:", "SQLite without a file"),
    ],
)
def test_a_wrong_url_is_one_clear_error(url: str, got: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"ledger.url is {got}; expected sqlite:///<file>")):
        connect(url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_means_psycopg(scheme: str) -> None:
    assert connect(f"{scheme}://somebody@localhost/ledger").url.drivername == "postgresql+psycopg"


def test_a_directory_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot be created"):
        connect(f"sqlite:///{tmp_path / 'file' / 'ledger.db'}")


def test_sqlite_is_durable_and_strict(engine: Engine) -> None:
    with reading(engine) as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "recursive_triggers")
        }
    assert pragmas == {
        "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000, "recursive_triggers": 1,
    }  # fmt: skip


def test_migrating_twice_changes_nothing(engine: Engine) -> None:
    def tables() -> list[tuple[object, ...]]:
        with reading(engine) as connection:
            return [
                tuple(row)
                for row in connection.execute(text("SELECT name, sql FROM sqlite_master ORDER BY name"))
            ]

    before = tables()
    migrate(engine)
    assert tables() == before


def test_a_migration_is_named_after_its_file_and_they_form_one_line() -> None:
    # `migrate` takes the newest file for the head without asking Alembic.
    scripts = ScriptDirectory(str(MIGRATIONS))
    names = sorted(path.stem for path in (MIGRATIONS / "versions").glob("*.py"))

    assert [script.revision for script in scripts.walk_revisions()] == names[::-1]


def test_an_older_program_does_not_touch_a_newer_ledger(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999_future'"))

    with pytest.raises(ConfigError, match="newer promptship"):
        migrate(engine)


def test_the_migrations_make_exactly_the_tables_the_code_uses(engine: Engine) -> None:
    assert differences(engine) == []


@pytest.mark.parametrize("table", ["events", "versions", "route_history"])
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {} SET rowid = rowid", "DELETE FROM {}", "INSERT OR REPLACE INTO {} SELECT * FROM {}"],
)
def test_append_only_tables_refuse_everything_else(engine: Engine, table: str, statement: str) -> None:
    store = Store(SqlLedger(engine), SqlRoutes(engine, HandClock()), HandClock())
    bring(store, opened(store), Phase.EVALUATED)
    store.routes.adopt("p", version(), actor="cli", at=START)

    with pytest.raises(IntegrityError, match=f"{table} is append-only"), engine.begin() as connection:
        connection.exec_driver_sql(statement.format(table, table))
    # A connection that sets nothing of what ours set is refused all the same.
    plain = sqlite3.connect(str(engine.url.database))
    with pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"):
        plain.execute(statement.format(table, table))
    plain.close()


def test_a_failed_block_leaves_nothing_behind(engine: Engine) -> None:
    lease = schema.leases.insert().values(name="n", holder="h", until=START)

    def twice() -> None:
        with writing(engine) as connection:
            connection.execute(lease)
            connection.execute(lease)

    with pytest.raises(IntegrityError):
        twice()

    with reading(engine) as connection:
        assert connection.execute(schema.leases.select()).all() == []


def test_a_reader_sees_one_moment_and_never_waits_for_a_writer(engine: Engine) -> None:
    with reading(engine) as reader:
        assert reader.execute(schema.leases.select()).all() == []
        with writing(engine) as writer:
            writer.execute(schema.leases.insert().values(name="n", holder="h", until=START))
            assert reader.execute(schema.leases.select()).all() == []
        assert reader.execute(schema.leases.select()).all() == []
    with reading(engine) as reader:
        assert len(reader.execute(schema.leases.select()).all()) == 1


def test_a_locked_database_is_unavailable(engine: Engine) -> None:
    with writing(engine), outside(engine), engine.connect() as second:
        second.rollback()
        driver = second.connection.driver_connection
        assert driver is not None
        driver.execute("PRAGMA busy_timeout=0")
        with pytest.raises(Unavailable, match="database is locked"), outside(engine):
            second.exec_driver_sql("SELECT 1")  # begins as a writer


def test_a_ledger_that_was_never_migrated_is_unavailable(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'ledger.db'}")
    with pytest.raises(Unavailable, match="no such table: releases"):
        SqlLedger(engine).summaries()
    engine.dispose()


def test_something_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"these are my notes" * 100)
    engine = connect(f"sqlite:///{tmp_path / 'ledger.db'}")
    with pytest.raises(Unavailable, match="not a database"):
        migrate(engine)
    engine.dispose()


def test_a_server_nobody_runs_is_unavailable_and_its_password_stays_secret() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        engine = connect(f"postgresql://mira:hunter2@127.0.0.1:{taken.getsockname()[1]}/ledger")
        with pytest.raises(Unavailable) as raised:
            SqlLedger(engine).summaries()
    engine.dispose()
    assert "mira:***@127.0.0.1" in str(raised.value)
    assert "hunter2" not in str(raised.value)
