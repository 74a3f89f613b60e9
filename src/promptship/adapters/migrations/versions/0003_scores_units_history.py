"""Scores, costs, units and the history's manifest."""

import sqlalchemy as sa
from alembic import op

revision = "0003_scores_units_history"
down_revision = "0002_telemetry"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("spool_files", sa.Column("retired_ms", sa.BigInteger))
    op.add_column("traffic", sa.Column("cost_known", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("traffic", sa.Column("cost_usd_sum", sa.Float, nullable=False, server_default="0"))
    op.add_column("intake_minutes", sa.Column("scores", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "value_bins",
        sa.Column("slot", sa.Integer, nullable=False),
        sa.Column("metric", sa.String, nullable=False),
        sa.Column("bin", sa.Integer, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("slot", "metric", "bin", name="pk_value_bins"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "checks",
        sa.Column("slot", sa.Integer, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("scored", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("slot", "name", name="pk_checks"),
        sqlite_with_rowid=False,
    )
    _units()
    _history()


def downgrade() -> None:
    for table in ("history_files", "unit_batches", "unit_slots", "checks", "value_bins"):
        op.drop_table(table)
    for table, columns in (
        ("intake_minutes", ("scores",)), ("traffic", ("cost_known", "cost_usd_sum")), ("spool_files", ("retired_ms",)),
    ):  # fmt: skip
        with op.batch_alter_table(table) as batch:
            for column in columns:
                batch.drop_column(column)


def _units() -> None:
    op.create_table(
        "unit_slots",
        sa.Column("slot", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("release_id", sa.String, nullable=False),
        sa.Column("stage", sa.Integer, nullable=False),
        sa.Column("arm", sa.String, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("assigned", sa.BigInteger, nullable=False),
        sa.Column("sums", sa.Text, nullable=False),
        sa.Column("closed", sa.Boolean, nullable=False),
        sa.Column("touched_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("slot", name="pk_unit_slots"),
        sa.UniqueConstraint("release_id", "stage", "arm", name="uq_unit_slots_key"),
    )
    op.create_table(
        "unit_batches",
        sa.Column("slot", sa.Integer, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False),
        sa.Column("level", sa.Integer, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("slot", "seq", name="pk_unit_batches"),
    )


def _history() -> None:
    op.create_table(
        "history_files",
        sa.Column("path", sa.String, nullable=False),
        sa.Column("stream", sa.String, nullable=False),
        sa.Column("day", sa.String, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("first_ms", sa.BigInteger, nullable=False),
        sa.Column("last_ms", sa.BigInteger, nullable=False),
        sa.Column("made_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("path", name="pk_history_files"),
    )
    op.create_index("ix_history_files_stream_day", "history_files", ["stream", "day"])
