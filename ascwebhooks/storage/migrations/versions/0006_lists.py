"""Indexes by which lists of events and deliveries find few rows among many.

What accepting writes gets two narrow ones without the id, whose equal keys PostgreSQL
keeps together; the others hold only what failed or was cancelled, so that neither
accepting nor delivering writes to them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_event_type", "event", ["tenant_id", "type"])
    op.create_index("ix_delivery_endpoint", "delivery", ["endpoint_id", "event_type"])
    op.create_index(
        "ix_delivery_error",
        "delivery",
        ["tenant_id", "last_error", "id"],
        postgresql_where=sa.text("last_error IS NOT NULL"),
    )
    op.create_index(
        "ix_delivery_status_code",
        "delivery",
        ["tenant_id", "last_status_code", "id"],
        postgresql_where=sa.text("last_error IS NOT NULL"),
    )
    op.create_index(
        "ix_delivery_dead_reason",
        "delivery",
        ["tenant_id", "dead_reason", "id"],
        postgresql_where=sa.text("status = 'dead_lettered'"),
    )
    op.create_index(
        "ix_delivery_cancelled",
        "delivery",
        ["tenant_id", "id"],
        postgresql_where=sa.text("status = 'cancelled'"),
    )
