"""The SQL database under the ledger and the rollups: SQLite by default, PostgreSQL by URL, one schema, one set of migrations.

Every write goes through `writing`, every read through `reading`; both turn an unreachable or busy database into `Unavailable`.
Nothing here asks what time it is: callers pass times, and `Moment` stores them exactly.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, MetaData, create_engine, event, exc, inspect, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.types import TypeDecorator

from promptship.errors import ConfigError, Problem, Unavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table
    from sqlalchemy.engine import Dialect

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every table of promptship. Names of constraints are fixed, so that a later migration can name what it changes."""

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS = 30_000
"""How long a transaction waits for another's lock before it is `Unavailable`."""
MIGRATION_LOCK = 0x70726F6D7074  # "prompt": the key of PostgreSQL's advisory lock around migrations
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(TypeDecorator[datetime]):
    """A timezone-aware time as microseconds since 1970 in UTC: exact, ordered, the same in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Microseconds of a time; a naive one is a mistake of ours."""
        return None if value is None else (value - EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """The time, in UTC."""
        return None if value is None else moment(value)


def moment(microseconds: int) -> datetime:
    """The time this many microseconds after 1970, in UTC."""
    return EPOCH + timedelta(microseconds=microseconds)


def connect(url: str) -> Engine:
    """An engine for `sqlite:///<file>` or `postgresql://...` (psycopg). Opens nothing yet; SQLite's directory is created.

    Raises:
        ConfigError: another database, SQLite without a file, or psycopg is not installed.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    return _postgresql(parsed)


def migrate(engine: Engine) -> None:
    """Bring the schema up to date. Any number of processes may do so at once: they queue, the first one works.

    Raises:
        ConfigError: a newer program migrated it already.
        Unavailable: the database cannot be reached, or stayed locked.
    """
    if is_current(engine):
        return  # the usual case: no write lock, and Alembic stays unloaded
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def is_current(engine: Engine) -> bool:
    """Whether the schema is at the newest migration. A migration's revision is the name of its file."""
    known = sorted(path.stem for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    with reading(engine) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if revision is not None and revision not in known:
        advice = "a newer promptship migrated it: upgrade this one"
        expected = f"expected at most {known[-1]}"
        raise ConfigError([Problem("ledger", "schema", str(revision), expected, advice)])
    return bool(revision == known[-1])


@contextmanager
def outside(engine: Engine) -> Iterator[None]:
    """Turn the failures of the database itself into `Unavailable`; violated constraints and our own mistakes pass unchanged."""
    try:
        yield
    except exc.TimeoutError as error:
        raise Unavailable(f"ledger {_shown(engine.url)}: no free connection in time") from error
    except (exc.IntegrityError, exc.DataError, exc.ProgrammingError, exc.NotSupportedError):
        raise
    except exc.DBAPIError as error:
        # Only the driver's first line: SQLAlchemy's own text carries statement and values.
        reason = str(error.orig).strip().partition("\n")[0]
        raise Unavailable(f"ledger {_shown(engine.url)}: {reason}") from error


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that may write: commits at the end, rolls back on any error. On SQLite it is the only writer from the start."""
    with outside(engine), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One transaction that only reads, all its statements from the same snapshot; it never waits for writers."""
    with outside(engine), engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        else:
            connection.execution_options(promptship_reads=True)
        yield connection


def insert_into(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT with `on_conflict_do_nothing` and `on_conflict_do_update`, which both databases spell alike."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except exc.ArgumentError as error:
        raise _wrong("not a database URL") from error
    if parsed.drivername in {"postgres", "postgresql"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in {"sqlite", "sqlite+pysqlite", "postgresql+psycopg"}:
        raise _wrong(parsed.drivername)
    if parsed.get_backend_name() == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise _wrong("SQLite without a file")
    return parsed


def _wrong(got: str, advice: str = "") -> ConfigError:
    expected = "expected sqlite:///<file> or postgresql://<user>@<host>/<database>"
    return ConfigError([Problem("promptship.toml", "ledger.url", got, expected, advice)])


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)


def _sqlite(url: URL) -> Engine:
    directory = Path(str(url.database)).parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _wrong(f"in {directory}, which cannot be created: {error.strerror}") from error
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself; `_begin` does
        cursor = connection.cursor()
        _use_wal(cursor)
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(
            "PRAGMA recursive_triggers=ON"
        )  # INSERT OR REPLACE must not slip past the append-only triggers
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A deferred transaction that turns writer later fails at once when somebody else wrote: writers begin as writers.
        reads = connection.get_execution_options().get("promptship_reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _use_wal(cursor: Any) -> None:
    """Switch to WAL. Switching ignores the busy timeout, so processes that open a new file at once have to take turns."""
    import sqlite3

    tries = 300
    for remaining in reversed(range(tries)):
        try:
            if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                cursor.execute("PRAGMA journal_mode=WAL").fetchone()
            return
        except sqlite3.OperationalError:
            if not remaining:
                raise
            time.sleep(BUSY_TIMEOUT_MS / 1000 / tries)


def _postgresql(url: URL) -> Engine:
    arguments = {} if "connect_timeout" in url.query else {"connect_timeout": 10}
    try:
        # Whatever the server's default is: a writer must see what was committed while it waited for a lock.
        engine = create_engine(
            url,
            hide_parameters=True,
            pool_pre_ping=True,
            connect_args=arguments,
            isolation_level="READ COMMITTED",
        )
    except ModuleNotFoundError as error:
        raise _wrong("PostgreSQL, but its driver is missing", "pip install 'promptship[postgres]'") from error

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET lock_timeout = {BUSY_TIMEOUT_MS}")
        # A writer that is frozen in the middle must not keep a release locked for ever.
        cursor.execute(f"SET idle_in_transaction_session_timeout = {2 * BUSY_TIMEOUT_MS}")
        cursor.close()
        connection.commit()

    return engine
