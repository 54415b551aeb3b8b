"""Usage by minute and hour, rules, and the incidents that they open."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_CODES = (400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529)
_STATUSES = ("none", *_CODES, "other")
_BUCKETS = 16
_COUNTS = [
    *("completed", "failed", "blocked", "denials", "fallbacks", "rate_limited"),
    *("unpriced", "input_tokens", "output_tokens"),
    *(f"status_{each}" for each in _STATUSES),
    *(f"ms_{number}" for number in range(_BUCKETS)),
    *(f"first_ms_{number}" for number in range(_BUCKETS)),
]


def upgrade() -> None:
    _usage()
    op.create_table(
        "trigger_rule",
        sa.Column("tenant_id", sa.Text(), sa.ForeignKey("tenant.id"), primary_key=True),
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("spec", JSONB(), nullable=False),
        _made_at("created_at"),
        _made_at("updated_at"),
    )
    _incidents()


def _made_at(name: str) -> sa.Column[object]:
    return sa.Column(name, _MOMENT, nullable=False, server_default=sa.func.now())


def _usage() -> None:
    keys = ("provider", "model", "region", "deployment", "currency")
    op.create_table(
        "usage",
        sa.Column("tenant_id", sa.Text(), primary_key=True),
        sa.Column("grain_s", sa.Integer(), primary_key=True),
        sa.Column("at", _MOMENT, primary_key=True),
        *(sa.Column(each, sa.Text(), primary_key=True) for each in keys),
        sa.Column("spend", sa.Numeric(), nullable=False),
        *(sa.Column(each, sa.BigInteger(), nullable=False) for each in _COUNTS),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index("ix_usage_at", "usage", ["grain_s", "at", "tenant_id"])
    op.create_table(
        "violation_count",
        sa.Column("tenant_id", sa.Text(), primary_key=True),
        sa.Column("at", _MOMENT, primary_key=True),
        sa.Column("policy", sa.Text(), primary_key=True),
        sa.Column("team", sa.Text(), primary_key=True),
        sa.Column("violations", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_violation_count_at", "violation_count", ["at"])


def _incidents() -> None:
    op.create_table(
        "incident",
        sa.Column("tenant_id", sa.Text(), primary_key=True),
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("rule_id", sa.Uuid(), nullable=False),
        sa.Column("rule_name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("subject", JSONB(), nullable=False),
        sa.Column("subject_key", sa.Text(), nullable=False),
        sa.Column("facts", JSONB(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("since", _MOMENT, nullable=False),
        sa.Column("seen_at", _MOMENT, nullable=False),
        sa.Column("opened_at", _MOMENT),
        sa.Column("told_at", _MOMENT),
        sa.Column("repeats", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("resolved_at", _MOMENT),
        sa.Column("ended", sa.Text()),
    )
    op.create_index(
        "ix_incident_live",
        "incident",
        ["tenant_id", "rule_id", "subject_key"],
        unique=True,
        postgresql_where=sa.text("phase <> 'resolved'"),
    )
    op.create_index("ix_incident_opened", "incident", ["tenant_id", "opened_at"])
