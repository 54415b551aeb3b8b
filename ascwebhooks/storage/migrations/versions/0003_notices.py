"""Notices of what happened to endpoints and deliveries; mailboxes abroad."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.create_table(
        "notice",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
        sa.Column(
            "key",
            sa.Uuid(),
            nullable=False,
            server_default=sa.text("gen_random_uuid()"),
        ),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("delivery_id", sa.Uuid()),
        sa.Column("event_id", sa.Uuid()),
        sa.Column("facts", postgresql.JSONB(), nullable=False),
        _moment("at"),
        _moment("due_at"),
    )
    # Until now narrowing a tenant's regions had no effect on what it had there.
    op.execute(
        "UPDATE mailbox m SET state = 'abroad' FROM tenant t"
        " WHERE t.id = m.tenant_id AND m.state IN ('active', 'paused')"
        " AND NOT m.region = ANY(t.allowed_regions)"
    )


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(
        name, sa.DateTime(timezone=True), nullable=False, server_default=_NOW
    )
