"""What an installation says of its LiteLLM: whose a call is, and where a model runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ascwebhooks.integrations import allowed

#: The tenant, and the organisation, of a call that LiteLLM attributes to nobody.
UNATTRIBUTED = "unattributed"
TENANT_BY = ("org", "team")

Event = dict[str, Any]


@dataclass(frozen=True)
class Terms:
    """How records become events.

    Args:
        source: The events' source; one for each LiteLLM installation.
        tenant: Whose all calls are; None: ``tenant_by`` says.
        tenant_by: ``org`` or ``team``: whose id is the tenant's.
        tenants: Other names for those ids, where they differ from the tenants'.
        unattributed: Whose the calls are that have no such id.
        regions: The region of each deployment, by its id.
    """

    source: str = "/gateways/litellm"
    tenant: str | None = None
    tenant_by: str = "org"
    tenants: Mapping[str, str] = field(default_factory=dict)
    unattributed: str = UNATTRIBUTED
    regions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what would send every event to nobody.

        Raises:
            ValueError: If ``tenant_by`` is unknown.
        """
        if self.tenant_by not in TENANT_BY:
            raise ValueError(f"tenant_by is one of {TENANT_BY}, not {self.tenant_by!r}")

    def tenant_of(self, org_id: str | None, team_id: str | None) -> str:
        """Return whose a call is."""
        if self.tenant is not None:
            return self.tenant
        owner = org_id if self.tenant_by == "org" else team_id
        return self.unattributed if owner is None else self.tenants.get(owner, owner)


@dataclass(frozen=True)
class Who:
    """Whom LiteLLM attributes a call to, by ids that may be kept."""

    org_id: str | None = None
    team_id: str | None = None
    user_id: str | None = None
    project_id: str | None = None
    key_id: str | None = None
    end_user_id: str | None = None
    tags: tuple[str, ...] = ()

    def scope(self) -> dict[str, Any]:
        """Return the ``scope`` of an event's data."""
        scope: dict[str, Any] = {
            "org_id": self.org_id or UNATTRIBUTED,
            "team_id": self.team_id,
            "user_id": self.user_id,
            "key_id": self.key_id,
            "end_user_id": self.end_user_id,
            "tags": list(self.tags),
        }
        if self.project_id is not None:
            scope["project_id"] = self.project_id
        for tag in self.tags:
            prefix, colon, value = tag.partition(":")
            if colon and value and prefix in _TAGGED:
                scope.setdefault(_TAGGED[prefix], value)
        return scope


#: Tags that say who a call is for, as ``feature:search`` does.
_TAGGED = {
    "feature": "feature",
    "bu": "business_unit_id",
    "business_unit": "business_unit_id",
    "project": "project_id",
}


def who(metadata: Any, *, end_user: Any = None, tags: Any = None) -> Who:
    """Return whom LiteLLM's metadata, ``user_api_key_…``, attributes a call to."""
    get = metadata.get if isinstance(metadata, Mapping) else _nothing
    return Who(
        org_id=allowed.identifier(get("user_api_key_org_id")),
        team_id=allowed.identifier(get("user_api_key_team_id")),
        user_id=allowed.identifier(get("user_api_key_user_id")),
        project_id=allowed.identifier(get("user_api_key_project_id")),
        key_id=allowed.identifier(get("user_api_key_hash")),
        end_user_id=allowed.identifier(
            end_user or get("user_api_key_end_user_id") or None
        ),
        # LiteLLM's own, "User-Agent: …", are no single words.
        tags=tuple(allowed.tags(tags)),
    )


def _nothing(_: str) -> None:
    return None


def cloud_event(
    terms: Terms,
    whose: Who,
    *,
    id: str,
    type: str,
    time: str | None,
    data: dict[str, Any],
) -> Event:
    """Return a CloudEvent of a tenant's; without a time it is of its arrival."""
    tenant = terms.tenant_of(whose.org_id, whose.team_id)
    event: Event = {
        "specversion": "1.0",
        "id": id,
        "source": terms.source,
        "type": type,
        "subject": "/".join(
            each for each in (whose.org_id or UNATTRIBUTED, whose.team_id) if each
        ),
        "datacontenttype": "application/json",
        "tenantid": tenant,
        "data": data,
    }
    if time is not None:
        event["time"] = time
    return event
