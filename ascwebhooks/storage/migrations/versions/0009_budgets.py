"""Budgets, what was spent of them, and which of their lines were crossed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.functions import FunctionElement

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_NOW = sa.func.now()


def upgrade() -> None:
    op.create_table(
        "budget",
        sa.Column("tenant_id", sa.Text(), sa.ForeignKey("tenant.id"), primary_key=True),
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scope_type", sa.Text(), nullable=False),
        sa.Column("scope_id", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Uuid()),
        sa.Column("limit_amount", sa.Numeric(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("period", postgresql.JSONB(), nullable=False),
        sa.Column("thresholds", sa.ARRAY(sa.Numeric()), nullable=False),
        sa.Column("forecast", sa.Boolean(), nullable=False),
        sa.Column("enforcement", sa.Text(), nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True)),
        sa.Column("period_end", sa.DateTime(timezone=True)),
        sa.Column("version", sa.BigInteger(), nullable=False, server_default="0"),
        _moment("created_at", _NOW),
        _moment("updated_at", _NOW),
        sa.UniqueConstraint("tenant_id", "name"),
        sa.CheckConstraint("limit_amount > 0", name="budget_limit"),
    )
    op.create_index("ix_budget_period_end", "budget", ["period_end"])
    op.create_table(
        "budget_spend",
        *_key(),
        _moment("period_end"),
        sa.Column("spent", sa.Numeric(), nullable=False),
        sa.Column("unattributed", sa.Numeric(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("unpriced", sa.BigInteger(), nullable=False),
        _of_budget(),
        # Every batch updates it in place.
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "budget_alert",
        *_key(),
        sa.Column("basis", sa.Text(), primary_key=True),
        sa.Column("threshold", sa.Numeric(), primary_key=True),
        sa.Column("times", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("event_id", sa.Uuid()),
        _moment("fired_at"),
        sa.Column("recovered_at", sa.DateTime(timezone=True)),
        _of_budget(),
    )


def _key() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("tenant_id", sa.Text(), primary_key=True),
        sa.Column("budget_id", sa.Uuid(), primary_key=True),
        sa.Column("period_start", sa.DateTime(timezone=True), primary_key=True),
    )


def _of_budget() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", "budget_id"],
        ["budget.tenant_id", "budget.id"],
        ondelete="CASCADE",
    )


def _moment(name: str, default: FunctionElement[Any] | None = None) -> sa.Column[Any]:
    kind = sa.DateTime(timezone=True)
    return sa.Column(name, kind, nullable=False, server_default=default)
