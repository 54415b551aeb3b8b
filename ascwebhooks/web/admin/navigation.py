"""What the navigation offers: by the visitor's roles and the tenant that is open."""

from __future__ import annotations

from typing import Any, NamedTuple

from flask import current_app, g, request, url_for

from ascwebhooks.domain.audit import ActorKind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.web.access import services
from ascwebhooks.web.admin.access import is_for_portals, known_visitor, visitor

READ, ADMINISTER = Permission.READ, Permission.ADMINISTER
_SWITCHER = 20


class Item(NamedTuple):
    """A page to go to.

    Args:
        label: What it is called.
        icon: Its icon.
        endpoint: Its view; one that does not exist is not offered.
        permission: What the visitor must be allowed.
    """

    label: str
    icon: str
    endpoint: str
    permission: Permission = READ


class Entry(NamedTuple):
    """A page to go to, for this visitor."""

    label: str
    icon: str
    url: str
    is_current: bool


PLATFORM = (
    Item("Overview", "speedometer2", "admin.overview.index"),
    Item("Tenants", "buildings", "admin.tenants.index"),
    Item("Rejected events", "x-octagon", "admin.platform_rejected_events.index"),
    Item("API keys", "key", "admin.keys.index", ADMINISTER),
    Item("Users", "people", "admin.users.index", ADMINISTER),
    Item("Audit log", "journal-text", "admin.audit.index", ADMINISTER),
    Item("Settings and health", "heart-pulse", "admin.health.index"),
)
#: What somebody without a role for all tenants finds outside of a tenant.
OUTSIDE = (Item("Tenants", "buildings", "admin.tenants.index"),)
TENANT = (
    Item("Overview", "speedometer2", "admin.tenants.show"),
    Item("Timeline", "activity", "admin.timelines.index"),
    Item("Budgets", "wallet2", "admin.budgets.index"),
    Item("Incidents", "exclamation-octagon", "admin.incidents.index"),
    Item("Rules", "sliders", "admin.rules.index"),
    Item("Endpoints", "hdd-network", "admin.endpoints.index"),
    Item("Subscriptions", "rss", "admin.subscriptions.index"),
    Item("Events", "lightning", "admin.events.index"),
    Item("Deliveries", "send", "admin.deliveries.index"),
    Item("Dead letters", "envelope-x", "admin.dead_letters.index"),
    Item("Replays", "arrow-repeat", "admin.replays.index"),
    Item("Rejected events", "x-octagon", "admin.rejected_events.index"),
    Item("API keys", "key", "admin.keys.of_tenant", ADMINISTER),
    Item("Audit log", "journal-text", "admin.audit.of_tenant", ADMINISTER),
)


def platform() -> list[Entry]:
    """Return what there is outside of a tenant."""
    grants = visitor().grants
    if is_portal():
        return []
    items = PLATFORM if grants.everywhere else OUTSIDE
    return [
        _entry(each)
        for each in items
        if _exists(each)
        and (not grants.everywhere or grants.may(each.permission, None))
    ]


def of_tenant() -> list[Entry]:
    """Return what there is in the tenant that is open; nothing if none is."""
    who, tenant = known_visitor(), g.get("tenant")
    if who is None or tenant is None:
        return []
    return [
        _entry(each, tenant_id=tenant.id)
        for each in TENANT
        if _exists(each)
        and who.grants.may(each.permission, tenant.id)
        and not (who.kind is ActorKind.PORTAL and not is_for_portals(each.endpoint))
    ]


def is_portal() -> bool:
    """Return whether the visitor came by a portal link."""
    who = known_visitor()
    return who is not None and who.kind is ActorKind.PORTAL


def tenants() -> list[tuple[str, str, str]]:
    """Return ``(id, name, URL)`` of the first tenants that the visitor may open."""
    only = visitor().grants.tenants()
    rows = services().tenants.page(after=None, limit=_SWITCHER, only=only)
    return [
        (each.id, each.name, url_for("admin.tenants.show", tenant_id=each.id))
        for each in rows
    ]


def _exists(item: Item) -> bool:
    return item.endpoint in current_app.view_functions


def _entry(item: Item, **values: Any) -> Entry:
    # All pages of a noun light its entry: in a tenant the one there.
    noun = item.endpoint.rpartition(".")[0]
    same_noun = f"{request.blueprint}.".startswith(f"{noun}.")
    same_place = bool(values) == ("tenant_id" in (request.view_args or {}))
    url = url_for(item.endpoint, **values)
    return Entry(item.label, item.icon, url, same_noun and same_place)
