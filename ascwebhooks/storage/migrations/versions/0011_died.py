"""An index by which dead letters are found by when they died.

It holds dead letters alone, so neither accepting nor delivering writes to it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_delivery_died",
        "delivery",
        ["tenant_id", "completed_at"],
        postgresql_where=sa.text("status = 'dead_lettered'"),
    )
