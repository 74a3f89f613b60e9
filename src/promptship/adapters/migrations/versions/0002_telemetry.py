"""How far the spools were read, rollups, feedback and quarantined lines."""

import sqlalchemy as sa
from alembic import op

revision = "0002_telemetry"
down_revision = "0001_ledger"
branch_labels = None
depends_on = None

_ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    _intake()
    _traffic()
    _feedback()


def downgrade() -> None:
    for table in (
        "intake_minutes", "quarantined_lines", "feedback_kinds", "feedback",
        "latency_bins", "traffic", "seen_requests", "spool_files",
    ):  # fmt: skip
        op.drop_table(table)


def _intake() -> None:
    op.create_table(
        "spool_files",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("read_bytes", sa.BigInteger, nullable=False),
        sa.Column("done", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_spool_files"),
    )
    op.create_table(
        "seen_requests",
        sa.Column("hour", sa.BigInteger, nullable=False),
        sa.Column("id", _ID, nullable=False),
        sa.PrimaryKeyConstraint("hour", "id", name="pk_seen_requests"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "quarantined_lines",
        sa.Column("file", sa.String, nullable=False),
        sa.Column("start_byte", sa.BigInteger, nullable=False),
        sa.Column("length_bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("found_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("file", "start_byte", name="pk_quarantined_lines"),
    )
    op.create_table(
        "intake_minutes",
        sa.Column("minute_ms", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("observations", sa.BigInteger, nullable=False),
        sa.Column("feedback", sa.BigInteger, nullable=False),
        sa.Column("duplicates", sa.BigInteger, nullable=False),
        sa.Column("quarantined", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("minute_ms", name="pk_intake_minutes"),
    )


def _traffic() -> None:
    op.create_table(
        "traffic",
        sa.Column("slot", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("release_id", sa.String, nullable=False),
        sa.Column("stage", sa.Integer, nullable=False),
        sa.Column("arm", sa.String, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("prompt", sa.String, nullable=False),
        sa.Column("start_ms", sa.BigInteger, nullable=False),
        sa.Column("end_ms", sa.BigInteger, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("errors", sa.BigInteger, nullable=False),
        sa.Column("refusal_known", sa.BigInteger, nullable=False),
        sa.Column("refusals", sa.BigInteger, nullable=False),
        sa.Column("latency_ms_sum", sa.Float, nullable=False),
        sa.Column("tokens_in", sa.BigInteger, nullable=False),
        sa.Column("tokens_out", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("slot", name="pk_traffic"),
        sa.UniqueConstraint(
            "release_id", "stage", "arm", "version", "prompt", "start_ms", "end_ms", name="uq_traffic_key"
        ),
    )
    op.create_index("ix_traffic_version_start_ms", "traffic", ["version", "start_ms"])
    op.create_index("ix_traffic_release_id_stage_end_ms", "traffic", ["release_id", "stage", "end_ms"])
    op.create_table(
        "latency_bins",
        sa.Column("slot", sa.Integer, nullable=False),
        sa.Column("bin", sa.Integer, nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("slot", "bin", name="pk_latency_bins"),
        sqlite_with_rowid=False,
    )


def _feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column("request_id", _ID, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("id", _ID, nullable=False),
        sa.Column("value", sa.Boolean, nullable=False),
        sa.Column("request_at_ms", sa.BigInteger, nullable=False),
        sa.Column("start_ms", sa.BigInteger, nullable=False),
        sa.Column("end_ms", sa.BigInteger, nullable=False),
        sa.Column("prompt", sa.String, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("arm", sa.String, nullable=False),
        sa.Column("release_id", sa.String, nullable=False),
        sa.Column("stage", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("request_id", "kind", "at_ms", "id", name="pk_feedback"),
    )
    op.create_index("ix_feedback_release_id_stage_kind", "feedback", ["release_id", "stage", "kind"])
    op.create_index("ix_feedback_version_kind_start_ms", "feedback", ["version", "kind", "start_ms"])
    op.create_table(
        "feedback_kinds",
        sa.Column("prompt", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("first_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("prompt", "kind", name="pk_feedback_kinds"),
    )
