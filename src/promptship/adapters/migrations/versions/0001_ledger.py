"""Releases, their hash-chained events, routes and versions."""

import sqlalchemy as sa
from alembic import op

revision = "0001_ledger"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = {"events": "release_id = NEW.release_id AND seq = NEW.seq", "route_history": "revision = NEW.revision", "versions": "digest = NEW.digest"}  # fmt: skip


def upgrade() -> None:
    _releases()
    _routes()
    protect = _protect_sqlite if op.get_bind().dialect.name == "sqlite" else _protect_postgresql
    for table, key in APPEND_ONLY.items():
        protect(table, key)


def downgrade() -> None:
    # What was decided is kept: going back means restoring a copy of the database.
    raise NotImplementedError("the ledger is never dropped; restore a backup instead")


def _releases() -> None:
    op.create_table(
        "releases",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("prompt", sa.String, nullable=False),
        sa.Column("commit", sa.String, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("phase", sa.String, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("head_hash", sa.String, nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("moved_at", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("number", name="pk_releases"),
        sa.UniqueConstraint("id", name="uq_releases_id"),
        sa.UniqueConstraint("prompt", "commit", "attempt", name="uq_releases_prompt_commit_attempt"),
    )
    op.create_index("ix_releases_phase", "releases", ["phase"])
    op.create_index("ix_releases_due_at", "releases", ["due_at"])
    op.create_table(
        "events",
        sa.Column("release_id", sa.String, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("fact", sa.Text, nullable=False),
        sa.Column("prev", sa.String, nullable=False),
        sa.Column("hash", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("release_id", "seq", name="pk_events"),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_events_release_id"),
    )
    op.create_index("ix_events_release_id_kind_seq", "events", ["release_id", "kind", "seq"])
    op.create_table(
        "claims",
        sa.Column("prompt", sa.String, nullable=False),
        sa.Column("release_id", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("prompt", name="pk_claims"),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_claims_release_id"),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )


def _routes() -> None:
    op.create_table(
        "versions",
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("commit", sa.String, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_versions"),
    )
    op.create_table(
        "routes",
        sa.Column("prompt", sa.String, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("stable", sa.String),
        sa.Column("stable_commit", sa.String, nullable=False),
        sa.Column("release_id", sa.String),
        sa.Column("candidate", sa.String),
        sa.Column("stage", sa.Integer),
        sa.Column("share", sa.Float, nullable=False),
        sa.Column("salt", sa.String, nullable=False),
        sa.Column("lease_until", sa.BigInteger),
        sa.PrimaryKeyConstraint("prompt", name="pk_routes"),
        sa.UniqueConstraint("revision", name="uq_routes_revision"),
        sa.ForeignKeyConstraint(["stable"], ["versions.digest"], name="fk_routes_stable"),
        sa.ForeignKeyConstraint(["candidate"], ["versions.digest"], name="fk_routes_candidate"),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_routes_release_id"),
    )
    op.create_table(
        "route_history",
        sa.Column("revision", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("prompt", sa.String, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("stable", sa.String),
        sa.Column("previous", sa.String),
        sa.Column("candidate", sa.String),
        sa.Column("share", sa.Float, nullable=False),
        sa.Column("release_id", sa.String),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("revision", name="pk_route_history"),
    )
    op.create_index("ix_route_history_prompt_revision", "route_history", ["prompt", "revision"])
    counter = op.create_table(
        "route_revision",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_route_revision"),
        sa.CheckConstraint("id = 1", name="ck_route_revision_one_row"),
    )
    op.bulk_insert(counter, [{"id": 1, "value": 0}])


def _protect_sqlite(table: str, key: str) -> None:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    op.execute(f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}")
    op.execute(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}")
    # INSERT OR REPLACE deletes without asking the trigger above unless the connection wants it to.
    op.execute(
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "  # noqa: S608 - names from the constant above
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {key}) {refuse}"
    )


def _protect_postgresql(table: str, _key: str) -> None:
    op.execute(
        "CREATE OR REPLACE FUNCTION promptship_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION promptship_append_only()"
    )
