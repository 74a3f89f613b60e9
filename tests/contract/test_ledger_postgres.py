"""What only PostgreSQL has to prove: its own triggers, and that the migrations fit the tables there too."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from promptship.adapters.database import connect
from promptship.adapters.ledger.sql_ledger import SqlLedger
from promptship.adapters.ledger.sql_routes import SqlRoutes
from promptship.release.phase import Phase
from tests.support.facts import bring, opened, version
from tests.support.ledger_stores import START, HandClock, Store
from tests.support.postgres import postgres_database
from tests.support.schema import differences

pytestmark = pytest.mark.system


@pytest.fixture
def engine(postgres: str, migrated_postgres: str) -> Iterator[Engine]:
    with postgres_database(postgres, template=migrated_postgres) as url:
        engine = connect(url)
        yield engine
        engine.dispose()


def test_the_migrations_make_the_tables_the_code_uses(engine: Engine) -> None:
    assert differences(engine) == []


@pytest.mark.parametrize("table", ["events", "versions", "route_history"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_append_only_tables_refuse_everything_else(engine: Engine, table: str, statement: str) -> None:
    store = Store(SqlLedger(engine), SqlRoutes(engine, HandClock()), HandClock())
    bring(store, opened(store), Phase.EVALUATED)
    store.routes.adopt("p", version(), actor="cli", at=START)
    column = {"events": "fact", "versions": "content", "route_history": "reason"}[table]

    with pytest.raises(DBAPIError, match="is append-only"), engine.begin() as connection:
        connection.exec_driver_sql(statement.format(table, column, column))
    assert store.ledger.verify().problems == ()
    assert len(store.routes.history("p")) == 1
