"""What the migrations made differently from the tables the code uses, over every table of the ledger's database."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine

import promptship.adapters.ledger.schema
import promptship.adapters.telemetry.tables  # noqa: F401 - both put their tables into the metadata
from promptship.adapters.database import metadata, reading


def differences(engine: Engine) -> list[object]:
    assert {"releases", "events", "routes", "traffic", "feedback"} <= set(metadata.tables)
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        return [one for one in compare_metadata(context, metadata) if "alembic_version" not in str(one)]
