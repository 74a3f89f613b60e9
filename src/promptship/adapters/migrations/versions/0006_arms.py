"""Routes of experiments with several arms, and of holdbacks after a promotion."""

import sqlalchemy as sa
from alembic import op

revision = "0006_arms"
down_revision = "0005_journal"
branch_labels = None
depends_on = None

_COLUMNS = {"held": sa.String, "experiment": sa.String, "arms": sa.Text}


def upgrade() -> None:
    for table in ("routes", "route_history"):
        for name, kind in _COLUMNS.items():
            op.add_column(table, sa.Column(name, kind))


def downgrade() -> None:
    # Not in a batch: that would copy the tables, and lose the triggers that make history append-only.
    for table in ("routes", "route_history"):
        for name in _COLUMNS:
            op.drop_column(table, name)
