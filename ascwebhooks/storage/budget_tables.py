"""The tables of budgets."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Numeric,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from ascwebhooks.storage.models import _NOW, Base


class BudgetRow(Base):
    """A budget (``domain.budgets.Budget``).

    ``period_start`` and ``period_end`` are the period that was last told of.  A rolling
    window has no such period: its ``period_end`` is when it is looked at next, for what
    has fallen out of it.  ``version`` counts the changes to it.
    """

    __tablename__ = "budget"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        Index("ix_budget_period_end", "period_end"),
    )

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    scope_type: Mapped[str]
    scope_id: Mapped[str]
    parent_id: Mapped[UUID | None]
    limit_amount: Mapped[Decimal] = mapped_column(Numeric)
    currency: Mapped[str]
    period: Mapped[dict[str, Any]] = mapped_column(JSONB)
    thresholds: Mapped[list[Decimal]] = mapped_column(ARRAY(Numeric))
    forecast: Mapped[bool]
    enforcement: Mapped[str]
    period_start: Mapped[datetime | None]
    period_end: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=_NOW)


def _of_budget() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["tenant_id", "budget_id"],
        ["budget.tenant_id", "budget.id"],
        ondelete="CASCADE",
    )


class BudgetSpend(Base):
    """What was spent in one period of a budget, or in one bucket of a window."""

    __tablename__ = "budget_spend"
    __table_args__ = (_of_budget(), {"postgresql_with": {"fillfactor": 50}})

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    budget_id: Mapped[UUID] = mapped_column(primary_key=True)
    period_start: Mapped[datetime] = mapped_column(primary_key=True)
    period_end: Mapped[datetime]
    spent: Mapped[Decimal] = mapped_column(Numeric)
    unattributed: Mapped[Decimal] = mapped_column(Numeric)
    requests: Mapped[int] = mapped_column(BigInteger)
    unpriced: Mapped[int] = mapped_column(BigInteger)


class BudgetAlert(Base):
    """That a line was crossed: whoever inserts the row makes the event.

    With ``recovered_at`` it is armed again; ``times`` counts how often it fired.
    """

    __tablename__ = "budget_alert"
    __table_args__ = (_of_budget(),)

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    budget_id: Mapped[UUID] = mapped_column(primary_key=True)
    period_start: Mapped[datetime] = mapped_column(primary_key=True)
    basis: Mapped[str] = mapped_column(primary_key=True)
    threshold: Mapped[Decimal] = mapped_column(Numeric, primary_key=True)
    times: Mapped[int] = mapped_column(server_default=text("1"))
    event_id: Mapped[UUID | None]
    fired_at: Mapped[datetime]
    recovered_at: Mapped[datetime | None]
