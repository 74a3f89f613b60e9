"""Alembic's environment. It runs on the connection and inside the transaction that `database.migrate` hands over."""

from alembic import context

from promptship.adapters.database import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
