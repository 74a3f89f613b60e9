"""The migration makes exactly the tables that the code uses."""

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Table

from promptship.adapters.database import connect, metadata, migrate, reading
from promptship.adapters.telemetry import tables


def test_migration_and_tables_are_the_same(tmp_path: Path) -> None:
    ours = {table.name for table in vars(tables).values() if isinstance(table, Table)}
    assert len(ours) == 8
    engine = connect(f"sqlite:///{tmp_path / 'ledger.db'}")
    migrate(engine)

    def included(item: object, name: str | None, kind: str, _reflected: bool, _compare_to: object) -> bool:
        return kind != "table" or name in ours

    with reading(engine) as connection:
        context = MigrationContext.configure(
            connection, opts={"include_object": included, "compare_type": True, "render_as_batch": True}
        )
        assert compare_metadata(context, metadata) == []
    engine.dispose()
