"""Finding endpoints for a list, and what pages of one have in common."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from flask import request, url_for
from marshmallow import Schema, fields

from ascwebhooks.domain import ids
from ascwebhooks.domain.health import Condition
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.statistics import Series, Span
from ascwebhooks.errors import NotFound
from ascwebhooks.services.described import Described
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import lists, narrowing
from ascwebhooks.web.admin.lists import Page
from ascwebhooks.web.admin.narrowing import Choice, Narrowed

CHOICES = (
    ("", "All"),
    (Condition.HEALTHY.value, "Healthy"),
    (Condition.FAILING.value, "Failing"),
    (Condition.BARRED.value, "Breaker open or held"),
    (Condition.PAUSED.value, "Paused"),
    (Condition.DISABLED.value, "Disabled"),
)
SPANS = tuple(each.value for each in (Span.HOUR, Span.DAY, Span.WEEK, Span.MONTH))


class EndpointFilters(Schema):
    """Which endpoints."""

    search = fields.String(load_default="")
    condition = Choice(Condition, data_key="state")


def listed(tenant_id: str) -> tuple[Narrowed, Mapping[UUID, Series]]:
    """Return the endpoints that the query asks for, and how each did for a day."""

    def fetch(wanted: dict[str, Any]) -> Page:
        return _one(tenant_id, wanted["search"]) or lists.page(
            partial(services().endpoints.page, tenant_id, **wanted),
            read=endpoint_id_of,
            cursor=lambda each: ids.show(Kind.ENDPOINT, each.endpoint.id),
        )

    found = narrowing.find(EndpointFilters, fetch)
    rows = [each.endpoint.id for each in found.page.items] if found.page else []
    return found, services().statistics.endpoints(tenant_id, rows, Span.DAY_BY_HOUR)


def span() -> Span:
    """Return how far back the query wants to look; a day if it does not say."""
    asked = request.args.get("span", "")
    return Span(asked) if asked in SPANS else Span.DAY


def endpoint_id_of(text: str) -> UUID:
    """Return the id in a path.

    Raises:
        NotFound: If it is none.
    """
    return ids.read(Kind.ENDPOINT, text)


def url_of(found: Described) -> str:
    """Return the URL of an endpoint's page."""
    return url_for(
        "admin.endpoints.show",
        tenant_id=found.endpoint.tenant_id,
        endpoint_id=ids.show(Kind.ENDPOINT, found.endpoint.id),
    )


def host_of(found: Described) -> str:
    """Return the host of an endpoint's URL, with the port if it has one."""
    return urlsplit(found.endpoint.url).netloc


def _one(tenant_id: str, search: str) -> Page | None:
    """Return the endpoint of this id alone, if it is an id."""
    if not search.startswith(f"{Kind.ENDPOINT}_"):
        return None
    found: list[Any] = []
    with suppress(NotFound):
        found = [services().endpoints.get(tenant_id, endpoint_id_of(search))]
    return Page(found, None, is_first=True)
