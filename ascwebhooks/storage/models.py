"""The tables, as SQLAlchemy sees them.

``event``, ``delivery`` and ``attempt`` are partitioned by day on the UUIDv7
that they begin with, and have no foreign keys among them: those would block
dropping a day.  Their partitions are made in ``storage.partitions``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_NOW = func.now()


class Base(DeclarativeBase):
    """What every table shares."""

    # What PostgreSQL fills in comes back with the statement: rows are read after
    # their session has ended.
    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012

    type_annotation_map: ClassVar = {
        str: Text(),
        int: Integer(),
        bytes: LargeBinary(),
        datetime: DateTime(timezone=True),
        UUID: Uuid(),
        list[str]: ARRAY(Text()),
        list[int]: ARRAY(Integer()),
    }


class Tenant(Base):
    """A customer of the gateway, and the boundary of everything.

    ``subscriptions_version`` grows with every change to an endpoint or a
    subscription, in the same transaction; accepting reads it and knows whether
    what it has prepared still holds.  ``strict``: whether it takes nothing but events
    of the catalogue.
    """

    __tablename__ = "tenant"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    home_region: Mapped[str]
    allowed_regions: Mapped[list[str]]
    subscriptions_version: Mapped[int] = mapped_column(
        BigInteger, server_default=text("0")
    )
    strict: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=_NOW, onupdate=_NOW)
    deleted_at: Mapped[datetime | None]


class Endpoint(Base):
    """Where a tenant wants its events sent, and how."""

    __tablename__ = "endpoint"
    __table_args__ = (UniqueConstraint("id"),)

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    url: Mapped[str]
    description: Mapped[str]
    format: Mapped[str] = mapped_column(server_default="standard")
    sealed_headers: Mapped[bytes | None]
    timeout_s: Mapped[int]
    max_in_flight: Mapped[int]
    rate_limit_per_s: Mapped[int | None]
    ordering: Mapped[str] = mapped_column(server_default="none")
    signature: Mapped[str] = mapped_column(server_default="v1")
    retry_schedule_s: Mapped[list[int]]
    region: Mapped[str]
    state: Mapped[str]
    disabled_reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=_NOW, onupdate=_NOW)
    deleted_at: Mapped[datetime | None]


def _of_endpoint() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["tenant_id", "endpoint_id"],
        ["endpoint.tenant_id", "endpoint.id"],
        ondelete="CASCADE",
    )


class EndpointSecret(Base):
    """A signing secret; several are in force while a rotation overlaps.

    ``scheme`` is ``v1`` (HMAC) or ``v1a`` (Ed25519, with its ``public_key``).
    """

    __tablename__ = "endpoint_secret"
    __table_args__ = (
        _of_endpoint(),
        Index("ix_endpoint_secret_endpoint", "tenant_id", "endpoint_id"),
    )

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    endpoint_id: Mapped[UUID]
    scheme: Mapped[str] = mapped_column(server_default="v1")
    public_key: Mapped[bytes | None]
    sealed: Mapped[bytes]
    hint: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    expires_at: Mapped[datetime | None]


class Subscription(Base):
    """Which events an endpoint wants."""

    __tablename__ = "subscription"
    __table_args__ = (
        _of_endpoint(),
        Index("ix_subscription_endpoint", "tenant_id", "endpoint_id"),
    )

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    endpoint_id: Mapped[UUID]
    event_types: Mapped[list[str]]
    filter: Mapped[str | None]
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=_NOW, onupdate=_NOW)


class Mailbox(Base):
    """An endpoint's working state: its lease, its health and its flow.

    Narrow and unpartitioned, with room in each page, because it is the row that
    is written most often.  Region, state and ordering are copies of the endpoint's,
    so that ringing and leasing need no join; ``state`` is ``abroad`` instead while
    the tenant does not allow the region (``domain.deliveries``).

    ``held_until``: the receiver asked for a pause (Retry-After).
    ``breaker_openings``: how often in a row the breaker opened; 0 is closed.
    ``breaker_until``: when an open breaker lets one delivery probe.
    ``rate_at``: when its rate lets the next request start.
    ``epoch``: grows with each change of the terms under which deliveries are claimed.
    """

    __tablename__ = "mailbox"
    __table_args__ = (
        _of_endpoint(),
        Index("ix_mailbox_tenant", "tenant_id", "endpoint_id"),
        Index(
            "ix_mailbox_free_again",
            text("greatest(breaker_until, held_until)"),
            postgresql_where=text("greatest(breaker_until, held_until) IS NOT NULL"),
        ),
        {"postgresql_with": {"fillfactor": 50}},
    )

    endpoint_id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    region: Mapped[str]
    state: Mapped[str]
    lease_token: Mapped[UUID | None]
    lease_until: Mapped[datetime | None]
    abandoned_leases: Mapped[int] = mapped_column(
        SmallInteger, server_default=text("0")
    )
    consecutive_failures: Mapped[int] = mapped_column(server_default=text("0"))
    failing_since: Mapped[datetime | None]
    last_success_at: Mapped[datetime | None]
    last_failure_at: Mapped[datetime | None]
    slow: Mapped[bool] = mapped_column(server_default=text("false"))
    held_until: Mapped[datetime | None]
    breaker_openings: Mapped[int] = mapped_column(
        SmallInteger, server_default=text("0")
    )
    breaker_until: Mapped[datetime | None]
    ordering: Mapped[str] = mapped_column(server_default="none")
    rate_at: Mapped[datetime | None]
    epoch: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class Event(Base):
    """An accepted event; ``sealed`` holds ``domain.events.keep``.

    ``not_sent`` says which subscriptions took its type and not the event itself,
    and why: their filter said no, or failed; and of a dead letter's event, which
    endpoints were out of service when it came.  None if there is none.
    """

    __tablename__ = "event"
    __table_args__ = (
        Index("ix_event_tenant", "tenant_id", "id"),
        Index("ix_event_source_id", "tenant_id", "source_id"),
        Index("ix_event_type", "tenant_id", "type"),
        {"postgresql_partition_by": "RANGE (id)"},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    type: Mapped[str]
    source: Mapped[str]
    source_id: Mapped[str]
    time: Mapped[datetime]
    size_bytes: Mapped[int]
    sealed: Mapped[bytes]
    not_sent: Mapped[dict[str, Any] | None] = mapped_column(JSONB)


class EventKey(Base):
    """By what an event is known again, for DEDUPE_DAYS."""

    __tablename__ = "event_key"
    __table_args__ = (Index("ix_event_key_event", "event_id", postgresql_using="brin"),)

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(primary_key=True)
    event_id: Mapped[UUID]
    content_hash: Mapped[bytes]


class Delivery(Base):
    """One event on its way to one endpoint.  The row is also the queue.

    ``step`` counts the attempts of the schedule that is running: a retry by
    hand sets it to 0 and leaves ``attempt_count`` as it is.  ``position`` is its
    place at an endpoint with ``ordering: fifo``.  ``replay_id`` is the replay that
    reopened it last.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        Index(
            "ix_delivery_due",
            "endpoint_id",
            "next_attempt_at",
            "id",
            postgresql_where=text("status = 'pending'"),
        ),
        Index(
            "ix_delivery_position",
            "endpoint_id",
            "position",
            postgresql_where=text("status = 'pending' AND position IS NOT NULL"),
        ),
        Index(
            "ix_delivery_retry",
            "next_attempt_at",
            postgresql_where=text("status = 'pending' AND attempt_count > 0"),
        ),
        Index("ix_delivery_tenant", "tenant_id", "id"),
        Index("ix_delivery_endpoint", "endpoint_id", "event_type"),
        Index(
            "ix_delivery_error",
            "tenant_id",
            "last_error",
            "id",
            postgresql_where=text("last_error IS NOT NULL"),
        ),
        Index(
            "ix_delivery_status_code",
            "tenant_id",
            "last_status_code",
            "id",
            postgresql_where=text("last_error IS NOT NULL"),
        ),
        Index(
            "ix_delivery_dead_reason",
            "tenant_id",
            "dead_reason",
            "id",
            postgresql_where=text("status = 'dead_lettered'"),
        ),
        Index(
            "ix_delivery_cancelled",
            "tenant_id",
            "id",
            postgresql_where=text("status = 'cancelled'"),
        ),
        Index(
            "ix_delivery_dead",
            "tenant_id",
            "id",
            postgresql_where=text("status = 'dead_lettered'"),
        ),
        Index(
            "ix_delivery_died",
            "tenant_id",
            "completed_at",
            postgresql_where=text("status = 'dead_lettered'"),
        ),
        {"postgresql_partition_by": "RANGE (id)"},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    event_id: Mapped[UUID]
    endpoint_id: Mapped[UUID]
    event_type: Mapped[str]
    status: Mapped[str]
    step: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    attempt_count: Mapped[int] = mapped_column(server_default=text("0"))
    sent_alone: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    next_attempt_at: Mapped[datetime]
    last_status_code: Mapped[int | None] = mapped_column(SmallInteger)
    last_error: Mapped[str | None]
    dead_reason: Mapped[str | None]
    completed_at: Mapped[datetime | None]
    position: Mapped[int | None] = mapped_column(BigInteger)
    replay_id: Mapped[UUID | None]


class Attempt(Base):
    """One request that was made, and what came back.

    ``sealed`` holds the request's headers and the answer's headers and body.
    Times are milliseconds since the attempt began, cumulative.
    """

    __tablename__ = "attempt"
    __table_args__ = ({"postgresql_partition_by": "RANGE (delivery_id)"},)

    delivery_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[str]
    endpoint_id: Mapped[UUID]
    started_at: Mapped[datetime]
    status_code: Mapped[int | None] = mapped_column(SmallInteger)
    error: Mapped[str | None]
    detail: Mapped[str | None]
    address: Mapped[str | None]
    dns_ms: Mapped[float | None]
    connect_ms: Mapped[float | None]
    tls_ms: Mapped[float | None]
    first_byte_ms: Mapped[float | None]
    total_ms: Mapped[float]
    sealed: Mapped[bytes]


class RejectedEvent(Base):
    """What was not accepted, and why; the tenant may be unknown."""

    __tablename__ = "rejected_event"
    __table_args__ = (Index("ix_rejected_event_tenant", "tenant_id", "id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[str | None]
    claimed_tenant: Mapped[str | None]
    code: Mapped[str]
    detail: Mapped[str]
    type: Mapped[str | None]
    source: Mapped[str | None]
    source_id: Mapped[str | None]
    via: Mapped[str] = mapped_column(String(16))
    size_bytes: Mapped[int]
    truncated: Mapped[bool]
    sealed: Mapped[bytes]


class ApiKey(Base):
    """A key to the API; the key itself is not kept."""

    __tablename__ = "api_key"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[str | None] = mapped_column(ForeignKey("tenant.id"))
    role: Mapped[str]
    name: Mapped[str]
    shown: Mapped[str]
    digest: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class DataKey(Base):
    """A wrapped data key: one for each tenant and day, one for its secrets.

    ``scope`` is the day (``2026-11-23``) or ``secrets``.  Destroying one is
    deletion that can be proven.
    """

    __tablename__ = "data_key"

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    scope: Mapped[str] = mapped_column(primary_key=True)
    ring_key: Mapped[str]
    wrapped: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class Replay(Base):
    """A wish to send dead letters again, and how far it has got.

    ``criteria`` is a ``domain.replays.Plan``: the filter as it was given, and no
    filter with ``delivery_ids``.
    What was dead at ``cutoff`` is reopened once each, in the order of ids;
    ``cursor`` is the last one that was looked at.
    """

    __tablename__ = "replay"
    __table_args__ = (
        Index("ix_replay_running", "id", postgresql_where=text("state = 'running'")),
    )

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenant.id"), primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    state: Mapped[str]
    criteria: Mapped[dict[str, Any]] = mapped_column(JSONB)
    delivery_ids: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid))
    rate_per_s: Mapped[int | None]
    cutoff: Mapped[datetime]
    cursor: Mapped[UUID | None]
    total: Mapped[int]
    reopened: Mapped[int] = mapped_column(server_default=text("0"))
    skipped: Mapped[int] = mapped_column(server_default=text("0"))
    created_by: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)
    updated_at: Mapped[datetime] = mapped_column(server_default=_NOW, onupdate=_NOW)
    finished_at: Mapped[datetime | None]


class Notice(Base):
    """What happened to an endpoint or a delivery, until an event is made of it.

    ``key`` is that event's id, ``due_at`` when making it is to be tried.
    """

    __tablename__ = "notice"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    key: Mapped[UUID] = mapped_column(server_default=func.gen_random_uuid())
    tenant_id: Mapped[str]
    type: Mapped[str]
    endpoint_id: Mapped[UUID]
    delivery_id: Mapped[UUID | None]
    event_id: Mapped[UUID | None]
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    due_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class IdempotencyKey(Base):
    """A creation that was asked for with ``Idempotency-Key``, and its answer.

    ``owner`` is the API key's id and the path; ``request`` a digest of the body.
    Without a ``status`` the request is still being answered.
    """

    __tablename__ = "idempotency_key"
    __table_args__ = (Index("ix_idempotency_key_created", "created_at"),)

    owner: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request: Mapped[bytes]
    row_id: Mapped[UUID]
    status: Mapped[int | None] = mapped_column(SmallInteger)
    sealed: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(server_default=_NOW)


class Rollup(Base):
    """What attempts came to within a minute or an hour (``domain.statistics.Tally``).

    Endpoint and tenant may stand for all of them (``storage.rollups``), so there are
    no foreign keys.  ``ms_0`` to ``ms_11`` count durations by bucket.
    """

    __tablename__ = "rollup"
    __table_args__ = (
        Index("ix_rollup_at", "grain_s", "at"),
        {"postgresql_with": {"fillfactor": 70}},
    )

    endpoint_id: Mapped[UUID] = mapped_column(primary_key=True)
    grain_s: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    delivered: Mapped[int]
    failed: Mapped[int]
    dead_lettered: Mapped[int]
    ended: Mapped[int] = mapped_column(server_default=text("0"))
    ms_0: Mapped[int]
    ms_1: Mapped[int]
    ms_2: Mapped[int]
    ms_3: Mapped[int]
    ms_4: Mapped[int]
    ms_5: Mapped[int]
    ms_6: Mapped[int]
    ms_7: Mapped[int]
    ms_8: Mapped[int]
    ms_9: Mapped[int]
    ms_10: Mapped[int]
    ms_11: Mapped[int]


class GaugeSample(Base):
    """How it stood at a minute, or how high within an hour (``domain.gauge_samples``).

    The tenant may stand for all of them (``storage.rollups``), so there is no foreign
    key.  Without a row beside the platform's a tenant had nothing of what is counted.
    """

    __tablename__ = "gauge_sample"
    __table_args__ = (Index("ix_gauge_sample_at", "grain_s", "at"),)

    tenant_id: Mapped[str] = mapped_column(primary_key=True)
    grain_s: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    due: Mapped[int | None]
    oldest_due_s: Mapped[float | None]
    dead_letters: Mapped[int | None]
    failing_endpoints: Mapped[int | None]
    disabled_endpoints: Mapped[int | None]
    stream_lag: Mapped[int | None]
