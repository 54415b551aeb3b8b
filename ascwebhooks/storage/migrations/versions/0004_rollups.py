"""Roll-ups: what attempts came to, by minute and hour."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BUCKETS = 12


def upgrade() -> None:
    counted = ["delivered", "failed", "dead_lettered"]
    counted += [f"ms_{number}" for number in range(_BUCKETS)]
    op.create_table(
        "rollup",
        sa.Column("endpoint_id", sa.Uuid(), primary_key=True),
        sa.Column("grain_s", sa.SmallInteger(), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("tenant_id", sa.Text(), primary_key=True),
        *(sa.Column(each, sa.Integer(), nullable=False) for each in counted),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index("ix_rollup_at", "rollup", ["grain_s", "at"])
