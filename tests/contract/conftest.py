"""Every kind of ledger, so that the same tests run on all of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from promptship.adapters.database import connect, migrate
from tests.support.ledger_stores import Store, memory_store, migrated_file, sql_store, sqlite_store
from tests.support.postgres import postgres_database, postgres_server


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return migrated_file(tmp_path_factory.mktemp("ledger") / "template.db")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def migrated_postgres(postgres: str) -> Iterator[str]:
    with postgres_database(postgres) as url:
        engine = connect(url)
        migrate(engine)
        engine.dispose()
        yield url


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgresql", marks=pytest.mark.system)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty ledger with its routes: in memory, on SQLite, on PostgreSQL."""
    if request.param == "memory":
        yield memory_store()
    elif request.param == "sqlite":
        with sqlite_store(request.getfixturevalue("migrated_sqlite"), tmp_path / "ledger.db") as store:
            yield store
    else:
        server, template = request.getfixturevalue("postgres"), request.getfixturevalue("migrated_postgres")
        with postgres_database(server, template=template) as url, sql_store(url) as store:
            yield store
