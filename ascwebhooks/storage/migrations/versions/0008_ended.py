"""Roll-ups count what became a dead letter without an attempt, too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "rollup",
        sa.Column("ended", sa.Integer(), nullable=False, server_default="0"),
    )
