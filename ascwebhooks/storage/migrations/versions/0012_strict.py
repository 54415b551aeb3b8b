"""A tenant may be strict: it takes nothing but events of the catalogue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "tenant",
        sa.Column("strict", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
