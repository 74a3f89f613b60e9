"""Policies of experiments and the kill switch on routes; the history of routes becomes a hash chain."""

import sqlalchemy as sa
from alembic import op

revision = "0004_policy_and_kill_switch"
down_revision = "0003_scores_units_history"
branch_labels = None
depends_on = None


_COLUMNS = {
    "routes": {"policy": sa.Text, "killed": sa.String, "safe": sa.String},
    # `prev` and `hash` are empty in what was written before.
    "route_history": {
        "policy": sa.Text,
        "killed": sa.String,
        "safe": sa.String,
        "prev": sa.String,
        "hash": sa.String,
    },
}


def upgrade() -> None:
    for table, columns in _COLUMNS.items():
        for name, kind in columns.items():
            op.add_column(table, sa.Column(name, kind))


def downgrade() -> None:
    # Not in a batch: that would copy the tables, and lose the triggers that make history append-only.
    for table, columns in _COLUMNS.items():
        for name in columns:
            op.drop_column(table, name)
