"""The rest of the contract: filters, flow control, replays, idempotent creations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    _secrets()
    _flow()
    _why()
    _replays()
    _idempotency()


def _secrets() -> None:
    op.add_column("endpoint", _text("signature", default="v1"))
    op.add_column("endpoint_secret", _text("scheme", default="v1"))
    op.add_column("endpoint_secret", sa.Column("public_key", sa.LargeBinary()))


def _flow() -> None:
    op.add_column("mailbox", sa.Column("held_until", sa.DateTime(timezone=True)))
    op.add_column(
        "mailbox",
        sa.Column(
            "breaker_openings", sa.SmallInteger(), nullable=False, server_default="0"
        ),
    )
    op.add_column("mailbox", sa.Column("breaker_until", sa.DateTime(timezone=True)))
    op.add_column("mailbox", _text("ordering", default="none"))
    op.add_column("mailbox", sa.Column("rate_at", sa.DateTime(timezone=True)))
    op.add_column(
        "mailbox",
        sa.Column("epoch", sa.BigInteger(), nullable=False, server_default="0"),
    )
    op.create_index(
        "ix_mailbox_free_again",
        "mailbox",
        [sa.text("greatest(breaker_until, held_until)")],
        postgresql_where=sa.text("greatest(breaker_until, held_until) IS NOT NULL"),
    )
    op.add_column("delivery", sa.Column("position", sa.BigInteger()))
    op.execute("CREATE SEQUENCE delivery_position")
    op.create_index(
        "ix_delivery_position",
        "delivery",
        ["endpoint_id", "position"],
        postgresql_where=sa.text("status = 'pending' AND position IS NOT NULL"),
    )


def _why() -> None:
    op.add_column("event", sa.Column("not_sent", postgresql.JSONB()))


def _replays() -> None:
    op.add_column("delivery", sa.Column("replay_id", sa.Uuid()))
    op.create_table(
        "replay",
        sa.Column("tenant_id", sa.Text(), sa.ForeignKey("tenant.id"), primary_key=True),
        sa.Column("id", sa.Uuid(), primary_key=True),
        _text("state"),
        sa.Column("criteria", postgresql.JSONB(), nullable=False),
        sa.Column("delivery_ids", sa.ARRAY(sa.Uuid())),
        sa.Column("rate_per_s", sa.Integer()),
        sa.Column("cutoff", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cursor", sa.Uuid()),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("reopened", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("skipped", sa.Integer(), nullable=False, server_default="0"),
        _text("created_by", default=""),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=_NOW,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=_NOW,
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
    )
    op.create_index(
        "ix_replay_running",
        "replay",
        ["id"],
        postgresql_where=sa.text("state = 'running'"),
    )


def _idempotency() -> None:
    op.create_table(
        "idempotency_key",
        sa.Column("owner", sa.Text(), primary_key=True),
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("row_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.SmallInteger()),
        sa.Column("sealed", sa.LargeBinary()),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=_NOW,
        ),
    )
    op.create_index("ix_idempotency_key_created", "idempotency_key", ["created_at"])


def _text(name: str, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, server_default=default)
