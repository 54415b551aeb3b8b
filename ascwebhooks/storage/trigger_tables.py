"""The tables of usage, rules and incidents, as SQLAlchemy sees them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from ascwebhooks.domain.usage import COUNTS
from ascwebhooks.storage.models import Base

_NOW = func.now()

#: What signals came to (``domain.usage``): minutes, and hours of those that are old.
USAGE = Table(
    "usage",
    Base.metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("grain_s", Integer, primary_key=True),
    Column("at", DateTime(timezone=True), primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("region", Text, primary_key=True),
    Column("deployment", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("spend", Numeric, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in COUNTS),
    Index("ix_usage_at", "grain_s", "at", "tenant_id"),
    postgresql_with={"fillfactor": 70},
)

#: Violations of policies by minute (``domain.violations``).
VIOLATION_COUNT = Table(
    "violation_count",
    Base.metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("at", DateTime(timezone=True), primary_key=True),
    Column("policy", Text, primary_key=True),
    Column("team", Text, primary_key=True),
    Column("violations", BigInteger, nullable=False),
    Index("ix_violation_count_at", "at"),
)


class TriggerRule(Base):
    """A tenant's own rule, or what it made of one that holds by default.

    ``spec`` holds the parameters (``domain.rules.plain``).
    """

    __tablename__ = "trigger_rule"

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    severity: Mapped[str]
    enabled: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    spec: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=_NOW, onupdate=_NOW)


class Incident(Base):
    """That a rule's condition holds of something, from pending to resolved.

    Rule and subject are copies: an incident outlives both.  ``subject_key`` is
    ``domain.measures.subject_key``; of those that are not resolved there is one a rule
    and subject.
    """

    __tablename__ = "incident"
    __table_args__ = (
        Index(
            "ix_incident_live",
            "tenant_id",
            "rule_id",
            "subject_key",
            unique=True,
            postgresql_where=text("phase <> 'resolved'"),
        ),
        Index("ix_incident_opened", "tenant_id", "opened_at"),
    )

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    rule_id: Mapped[UUID]
    rule_name: Mapped[str]
    kind: Mapped[str]
    severity: Mapped[str]
    revision: Mapped[str]
    subject: Mapped[dict[str, str]] = mapped_column(JSONB)
    subject_key: Mapped[str]
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    phase: Mapped[str]
    since: Mapped[datetime]
    seen_at: Mapped[datetime]
    opened_at: Mapped[datetime | None]
    told_at: Mapped[datetime | None]
    repeats: Mapped[int] = mapped_column(server_default=text("0"))
    resolved_at: Mapped[datetime | None]
    ended: Mapped[str | None]
