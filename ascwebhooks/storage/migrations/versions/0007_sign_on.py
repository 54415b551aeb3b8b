"""Single sign-on: roles by groups beside those by hand, and its sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "person_role",
        sa.Column("source", sa.Text(), nullable=False, server_default="hand"),
    )
    op.drop_constraint(
        "person_role_person_id_tenant_id_key", "person_role", type_="unique"
    )
    op.create_unique_constraint(
        "person_role_person_id_tenant_id_source_key",
        "person_role",
        ["person_id", "tenant_id", "source"],
        postgresql_nulls_not_distinct=True,
    )
    op.create_check_constraint(
        "person_role_source", "person_role", "source IN ('hand', 'groups')"
    )
    op.add_column(
        "session",
        sa.Column("sso", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    # Links that are over are removed, which looks for sessions they opened.
    op.create_index(
        "ix_session_portal", "session", ["portal_tenant_id", "portal_link_id"]
    )
