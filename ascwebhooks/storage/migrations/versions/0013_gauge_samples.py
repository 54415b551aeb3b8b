"""Samples of gauges: how much was due, dead and failing, by minute and hour."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gauge_sample",
        sa.Column("tenant_id", sa.Text(), primary_key=True),
        sa.Column("grain_s", sa.SmallInteger(), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("due", sa.Integer()),
        sa.Column("oldest_due_s", sa.Float()),
        sa.Column("dead_letters", sa.Integer()),
        sa.Column("failing_endpoints", sa.Integer()),
        sa.Column("disabled_endpoints", sa.Integer()),
        sa.Column("stream_lag", sa.Integer()),
    )
    op.create_index("ix_gauge_sample_at", "gauge_sample", ["grain_s", "at"])
