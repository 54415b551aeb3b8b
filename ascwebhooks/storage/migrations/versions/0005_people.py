"""People: who they are, what they may do, their sessions, and the audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NOW = sa.text("clock_timestamp()")

# Whoever owns the table may drop a trigger; the chain of hashes shows what they did.
_REFUSE = """
CREATE FUNCTION audit_entry_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append only' USING ERRCODE = '42501';
END $$;
CREATE TRIGGER audit_entry_final BEFORE UPDATE OR DELETE ON audit_entry
    FOR EACH ROW EXECUTE FUNCTION audit_entry_is_final();
CREATE TRIGGER audit_entry_kept BEFORE TRUNCATE ON audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION audit_entry_is_final();
"""


def upgrade() -> None:
    _people()
    _portal()
    _sessions()
    _audit()


def _people() -> None:
    op.create_table(
        "person",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text()),
        sa.Column("sso_issuer", sa.Text()),
        sa.Column("sso_subject", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        _moment("created_at", default=True),
        _moment("updated_at", default=True),
        _moment("last_login_at", nullable=True),
        sa.UniqueConstraint("login"),
        sa.UniqueConstraint("sso_issuer", "sso_subject"),
        sa.CheckConstraint("login = lower(login)", name="person_login_lower"),
    )
    op.create_table(
        "person_role",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column(
            "person_id",
            sa.Uuid(),
            sa.ForeignKey("person.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), sa.ForeignKey("tenant.id")),
        sa.UniqueConstraint(
            "person_id", "tenant_id", postgresql_nulls_not_distinct=True
        ),
    )
    op.create_table(
        "login_throttle",
        sa.Column("key", sa.LargeBinary(), primary_key=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        _moment("blocked_until"),
        _moment("updated_at"),
    )
    op.create_index("ix_login_throttle_updated", "login_throttle", ["updated_at"])


def _portal() -> None:
    op.create_table(
        "portal_link",
        sa.Column("tenant_id", sa.Text(), sa.ForeignKey("tenant.id"), primary_key=True),
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False, server_default=""),
        _moment("created_at", default=True),
        _moment("expires_at"),
        _moment("used_at", nullable=True),
        sa.UniqueConstraint("digest"),
    )


def _sessions() -> None:
    op.create_table(
        "session",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("csrf", sa.LargeBinary(), nullable=False),
        sa.Column(
            "person_id", sa.Uuid(), sa.ForeignKey("person.id", ondelete="CASCADE")
        ),
        sa.Column("portal_tenant_id", sa.Text()),
        sa.Column("portal_link_id", sa.Uuid()),
        sa.Column("notices", postgresql.JSONB(), nullable=False, server_default="[]"),
        _moment("created_at", default=True),
        _moment("last_seen_at", default=True),
        _moment("expires_at"),
        sa.UniqueConstraint("digest"),
        sa.ForeignKeyConstraint(
            ["portal_tenant_id", "portal_link_id"],
            ["portal_link.tenant_id", "portal_link.id"],
        ),
        sa.CheckConstraint(
            "(person_id IS NULL) <> (portal_link_id IS NULL)", name="session_of_whom"
        ),
    )
    op.create_index("ix_session_person", "session", ["person_id"])
    op.create_index("ix_session_expires", "session", ["expires_at"])


def _audit() -> None:
    op.create_table(
        "audit_head",
        sa.Column("id", sa.SmallInteger(), primary_key=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "audit_entry",
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        _moment("at"),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Text(), nullable=False),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("resource_kind", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text()),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("detail", postgresql.JSONB(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
    )
    for name in ("tenant_id", "actor_id", "action", "resource_id"):
        op.create_index(f"ix_audit_entry_{name}", "audit_entry", [name, "seq"])
    op.create_index("ix_audit_entry_at", "audit_entry", ["at"])
    op.execute(_REFUSE)


def _moment(
    name: str, *, nullable: bool = False, default: bool = False
) -> sa.Column[object]:
    return sa.Column(
        name,
        sa.DateTime(timezone=True),
        nullable=nullable,
        server_default=_NOW if default else None,
    )
