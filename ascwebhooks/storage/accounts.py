"""The tables of people, their sessions and the audit log, as SQLAlchemy sees them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    UniqueConstraint,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from ascwebhooks.storage.models import Base

_NOW = func.now()


class Person(Base):
    """Somebody who may log in; ``login`` is kept in lower case.

    Without a ``password_hash`` there is no login by password; ``sso_issuer`` and
    ``sso_subject`` are whom an identity provider vouches for.
    """

    __tablename__ = "person"
    __table_args__ = (UniqueConstraint("sso_issuer", "sso_subject"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str | None]
    sso_issuer: Mapped[str | None]
    sso_subject: Mapped[str | None]
    state: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=_NOW, onupdate=_NOW)
    last_login_at: Mapped[datetime | None]
    # Rows are read after their session has ended, so roles come with the person.
    roles: Mapped[list[PersonRole]] = relationship(
        lazy="selectin",
        cascade="all, delete-orphan",
        order_by="PersonRole.tenant_id.nulls_first()",
    )


class RoleSource(StrEnum):
    """Who gave somebody a role: an administrator, or groups at their last login."""

    HAND = "hand"
    GROUPS = "groups"


class PersonRole(Base):
    """What a person is in one tenant, or in all of them if ``tenant_id`` is None.

    ``source`` is one of ``RoleSource``: groups change their own roles alone.
    """

    __tablename__ = "person_role"
    __table_args__ = (
        UniqueConstraint(
            "person_id", "tenant_id", "source", postgresql_nulls_not_distinct=True
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id", ondelete="CASCADE"))
    role: Mapped[str]
    tenant_id: Mapped[str | None] = mapped_column(ForeignKey("tenant.id"))
    source: Mapped[str] = mapped_column(server_default=RoleSource.HAND.value)


class LoginThrottle(Base):
    """How often a login, or an address, has failed; ``key`` is a digest of it."""

    __tablename__ = "login_throttle"
    __table_args__ = (Index("ix_login_throttle_updated", "updated_at"),)

    key: Mapped[bytes] = mapped_column(primary_key=True)
    failures: Mapped[int]
    blocked_until: Mapped[datetime]
    updated_at: Mapped[datetime]


class PortalLink(Base):
    """A link that opens a tenant's part of the pages once; its token is not kept."""

    __tablename__ = "portal_link"

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    role: Mapped[str]
    created_by: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class BrowserSession(Base):
    """A person, or the holder of a portal link, who has logged in.

    ``sso`` is whether an identity provider vouched for them.
    ``notices`` are messages for the next page, each ``[kind, text]``.
    """

    __tablename__ = "session"
    __table_args__ = (
        ForeignKeyConstraint(
            ["portal_tenant_id", "portal_link_id"],
            ["portal_link.tenant_id", "portal_link.id"],
        ),
        Index("ix_session_person", "person_id"),
        Index("ix_session_expires", "expires_at"),
        Index("ix_session_portal", "portal_tenant_id", "portal_link_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    csrf: Mapped[bytes]
    person_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("person.id", ondelete="CASCADE")
    )
    portal_tenant_id: Mapped[str | None]
    portal_link_id: Mapped[UUID | None]
    sso: Mapped[bool] = mapped_column(server_default=false())
    notices: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'"))
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    last_seen_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    expires_at: Mapped[datetime]


class AuditHead(Base):
    """The end of the chain: the one row that every new entry locks last."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[bytes]


class AuditEntry(Base):
    """Who did what to which resource, from where, when (``domain.audit``).

    A trigger refuses changes.  ``previous`` is the hash of the entry before.
    """

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index("ix_audit_entry_tenant_id", "tenant_id", "seq"),
        Index("ix_audit_entry_actor_id", "actor_id", "seq"),
        Index("ix_audit_entry_action", "action", "seq"),
        Index("ix_audit_entry_resource_id", "resource_id", "seq"),
        Index("ix_audit_entry_at", "at"),
    )

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor_kind: Mapped[str]
    actor_id: Mapped[str]
    actor_name: Mapped[str]
    action: Mapped[str]
    resource_kind: Mapped[str]
    resource_id: Mapped[str]
    tenant_id: Mapped[str | None]
    address: Mapped[str]
    request_id: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB)
    previous: Mapped[bytes]
    hash: Mapped[bytes]
