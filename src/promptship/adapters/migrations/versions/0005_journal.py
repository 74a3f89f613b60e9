"""The journal: what is kept for ever and is not an event of one release, hash-chained by topic. And how far sinks were told of releases."""

import sqlalchemy as sa
from alembic import op

revision = "0005_journal"
down_revision = "0004_policy_and_kill_switch"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _outbox()
    op.create_table(
        "journal",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("topic", sa.String, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("prev", sa.String, nullable=False),
        sa.Column("hash", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_journal"),
        sa.UniqueConstraint("topic", "seq", name="uq_journal_topic_seq"),
    )
    if op.get_bind().dialect.name == "sqlite":
        _protect_sqlite()
    else:
        # The function is that of the first migration.
        op.execute(
            "CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal "
            "FOR EACH STATEMENT EXECUTE FUNCTION promptship_append_only()"
        )


def _outbox() -> None:
    op.create_table(
        "sinks",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_sinks"),
    )
    op.create_table(
        "marks",
        sa.Column("sink", sa.String, nullable=False),
        sa.Column("release_id", sa.String, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("sink", "release_id", name="pk_marks"),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_marks_release_id"),
    )
    op.create_table(
        "dead_letters",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("sink", sa.String, nullable=False),
        sa.Column("release_id", sa.String, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_dead_letters"),
        sa.UniqueConstraint("sink", "release_id", "seq", name="uq_dead_letters_sink_release_id_seq"),
        sa.ForeignKeyConstraint(["release_id"], ["releases.id"], name="fk_dead_letters_release_id"),
    )


def _protect_sqlite() -> None:
    refuse = "BEGIN SELECT RAISE(ABORT, 'journal is append-only'); END"
    op.execute(f"CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal {refuse}")
    op.execute(f"CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal {refuse}")
    # INSERT OR REPLACE deletes without asking the trigger above unless the connection wants it to.
    op.execute(
        "CREATE TRIGGER journal_no_replace BEFORE INSERT ON journal "  # noqa: S608 - our own words
        "WHEN EXISTS (SELECT 1 FROM journal WHERE number = NEW.number OR (topic = NEW.topic AND seq = NEW.seq)) "
        f"{refuse}"
    )


def downgrade() -> None:
    # What was decided is kept: going back means restoring a copy of the database.
    raise NotImplementedError("the journal is never dropped; restore a backup instead")
