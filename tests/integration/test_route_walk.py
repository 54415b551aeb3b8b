"""Every route there is, for everybody: what is served is what was declared.

The routes are the application's own, so a new one is walked as soon as it exists; what
each should answer follows from what its view declares that it needs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from ascwebhooks.domain import ids
from ascwebhooks.domain.budgets import ScopeType
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import ALLOWED, Permission, Role
from ascwebhooks.domain.people import ROLES, Grant
from ascwebhooks.web import access as api_access
from ascwebhooks.web.admin import access as page_access
from ascwebhooks.web.admin import rendering
from tests.integration.traffic import signal

OURS, FOREIGN = "acme", "globex"
PASSWORD = "correct horse battery"
API = api_access.API_PREFIX + "/"
PAGES = "/admin/"
PORTAL = "/portal/"
#: Served to everybody, outside of what asks who it is.
OPEN = {"/", "/healthz", "/readyz", "/metrics", "/api/docs", "/admin/static/<path>"}
SERVED = {200, 201, 202, 204, 303}
#: A view that is reached with an empty form or body may find it wanting.
REACHED = SERVED | {302, 400, 404, 409, 410, 412, 413, 415, 422}
_PLACE = re.compile(r"<(?:[^:<>]*(?:\([^)]*\))?:)?([a-z_]+)>")
_CHOICE = re.compile(r"<any\(([a-z]+)[^)]*\):[a-z_]+>")
#: Which kind of id stands where; another name has to be added here.
KINDS = {
    "budget_id": Kind.BUDGET,
    "endpoint_id": Kind.ENDPOINT,
    "subscription_id": Kind.SUBSCRIPTION,
    "event_id": Kind.EVENT,
    "delivery_id": Kind.DELIVERY,
    "attempt_id": Kind.ATTEMPT,
    "rejected_id": Kind.REJECTED_EVENT,
    "replay_id": Kind.REPLAY,
    "rule_id": Kind.RULE,
    "incident_id": Kind.INCIDENT,
    "key_id": Kind.API_KEY,
    "user_id": Kind.USER,
}


@dataclass(frozen=True)
class Route:
    """One verb of one rule, and what its view declares."""

    method: str
    rule: str
    endpoint: str
    needs: Any

    @property
    def shape(self) -> str:
        """Return the rule without its converters."""
        return _PLACE.sub(r"<\1>", _CHOICE.sub(r"\1", self.rule))

    @property
    def in_tenant(self) -> bool:
        return "<tenant_id>" in self.shape

    @property
    def names(self) -> list[str]:
        """Return its parameters, the tenant's excepted."""
        return [each for each in _PLACE.findall(self.shape) if each != "tenant_id"]

    def path(self, tenant_id: str, ids_: dict[str, str]) -> str:
        values = {"tenant_id": tenant_id, **ids_}
        return _PLACE.sub(lambda each: values[each[1]], self.shape)


def routes(app) -> list[Route]:
    """Return every verb of every rule."""
    return [
        Route(method, rule.rule, rule.endpoint, _declared(app, rule.endpoint, method))
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def _declared(app, endpoint: str, method: str) -> Any:
    view = app.view_functions[endpoint]
    verbs = getattr(view, "view_class", None)
    view = view if verbs is None else getattr(verbs, method.lower())
    return getattr(view, page_access._ATTRIBUTE, None) or getattr(
        view, api_access._EXTENSION, None
    )


@pytest.fixture
def world(api, event):
    """Two tenants with one of everything; the ids of each by the parameter's name."""
    pipeline = api.pipeline
    pipeline.services.tenants.create(FOREIGN)
    known = {}
    for tenant_id in (OURS, FOREIGN):
        endpoint = pipeline.endpoint(tenant_id=tenant_id)
        tags = {"tenantid": tenant_id, "source": f"/gateways/{tenant_id}"}
        api.publish(event(**tags), event(**{**tags, "type": ...}))
        delivery = first(api, tenant_id, "deliveries")
        api.publish(signal(tenantid=tenant_id, fallback_from="gpt-4o"))
        rule = {"name": "one", "kind": "error_rate"}
        key, _ = pipeline.services.keys.create(Role.VIEWER, tenant_id=tenant_id)
        person = pipeline.services.people.create(
            f"somebody-of-{tenant_id}", grants=[Grant(Role.VIEWER, tenant_id)]
        )
        replay = api.post(f"/tenants/{tenant_id}/replays", {"filter": {}}).json["id"]
        budget = pipeline.services.budgets.create(
            tenant_id,
            name="whole",
            scope_type=ScopeType.TENANT,
            limit=Decimal(5),
            currency="USD",
            period={"type": "rolling", "hours": 1},
        )
        known[tenant_id] = {
            "budget_id": ids.show(Kind.BUDGET, budget.row.id),
            "endpoint_id": ids.show(Kind.ENDPOINT, endpoint),
            "subscription_id": first(api, tenant_id, "subscriptions"),
            "event_id": first(api, tenant_id, "events"),
            "delivery_id": delivery,
            "rejected_id": first(api, tenant_id, "rejected-events"),
            "replay_id": replay,
            "rule_id": api.post(f"/tenants/{tenant_id}/rules", rule).json["id"],
            "incident_id": first(api, tenant_id, "incidents"),
            "attempt_id": ids.show(Kind.ATTEMPT, uuid4()),
            "key_id": ids.show(Kind.API_KEY, key.id),
            "user_id": ids.show(Kind.USER, person.id),
            "event_type": "budget.exceeded",
            "mapping": "otel",
            "path": "nothing-of-ours",
            "filename": "app.css",
            "token": "forged",
            "name": "docs.css",
        }
    return known


def first(api, tenant_id: str, nouns: str) -> str:
    return api.get(f"/tenants/{tenant_id}/{nouns}").json["items"][0]["id"]


def absent(names: dict[str, str]) -> dict[str, str]:
    """Return ids that nothing has, as old as those there are."""
    return {
        name: ids.show(KINDS[name], uuid4()) if name in KINDS else value
        for name, value in names.items()
    }


class Somebody:
    """Who walks: with a key, a session or nothing.

    Args:
        client: Their browser, or what calls the API for them.
        grants: What they were granted.
        headers: What they send with each request.
        csrf: What their forms carry.
        is_portal: Whether they came by a link.
    """

    def __init__(
        self, client, grants=(), *, headers=None, csrf="", is_portal=False
    ) -> None:
        self.client = client
        self.grants = list(grants)
        self.headers = headers or {}
        self.csrf = csrf
        self.is_portal = is_portal

    def ask(self, route: Route, path: str, body: bytes | None = b"{"):
        """Ask with a form that says nothing, or with a body that is no good."""
        options: dict[str, Any] = {"headers": self.headers}
        if route.rule.startswith(API):
            if route.method != "GET" and body is not None:
                options |= {"data": body, "content_type": "application/json"}
        elif route.method != "GET":
            options["data"] = {"_csrf": self.csrf}
        return self.client.open(path, method=route.method, buffered=True, **options)

    def may(self, permission: Permission | None, tenant_id: str | None) -> bool:
        return permission is None or any(
            permission in ALLOWED[each.role]
            for each in self.grants
            if each.tenant_id in (None, tenant_id)
        )

    def may_anywhere(self, permission: Permission | None) -> bool:
        return permission is None or any(
            permission in ALLOWED[each.role] for each in self.grants
        )

    def sees(self, tenant_id: str) -> bool:
        return any(each.tenant_id in (None, tenant_id) for each in self.grants)

    @property
    def everywhere(self) -> bool:
        return any(each.tenant_id is None for each in self.grants)


@pytest.fixture
def callers(api) -> Callable[[Role, str | None], Somebody]:
    """Makes holders of API keys."""

    def make(role: Role, tenant_id: str | None) -> Somebody:
        _, key = api.pipeline.services.keys.create(role, tenant_id=tenant_id)
        headers = {"Authorization": f"Bearer {key}"}
        client = api.app.test_client()
        return Somebody(client, [Grant(role, tenant_id)], headers=headers)

    return make


@pytest.fixture
def visitors(api) -> Callable[[Role, str | None], Somebody]:
    """Makes people who have logged in."""

    def make(role: Role, tenant_id: str | None) -> Somebody:
        services, login = api.pipeline.services, f"{role}-{tenant_id or 'all'}"
        grants = [Grant(role, tenant_id)]
        services.people.create(login, grants=grants, password=PASSWORD)
        token = services.sessions.log_in(login, PASSWORD, address=login)
        return with_session(api, token, grants)

    return make


@pytest.fixture
def holders(api) -> Callable[[Role], Somebody]:
    """Makes holders of OURS's portal links."""

    def make(role: Role) -> Somebody:
        portals = api.pipeline.services.portals
        _, token = portals.create_link(OURS, role=role)
        _, session = portals.open(token, address="", request_id="")
        made = with_session(api, session, [Grant(role, OURS)])
        made.is_portal = True
        return made

    return make


def with_session(api, token: str, grants) -> Somebody:
    client = api.app.test_client()
    client.set_cookie("ascw_session", token)
    secret = api.pipeline.services.sessions.recognise(token).csrf
    return Somebody(client, grants, csrf=page_access.csrf.token(secret))


def pages(app) -> list[Route]:
    """Return the pages that ask who it is, in the order of a walk."""
    return in_order(
        each
        for each in routes(app)
        if each.rule.startswith(PAGES) and each.shape not in _SPARED
    )


def in_order(found: Iterable[Route]) -> list[Route]:
    """Return routes so that what looks comes first, and what removes comes last."""
    return sorted(
        found,
        key=lambda each: (
            each.method != "GET",
            each.method == "DELETE" or each.shape.endswith(_REMOVING),
            -len(each.names),
            "logout" in each.shape,
        ),
    )


#: Files, and what answers whatever is no page.
_SPARED = {"/admin/static/<filename>", "/admin/<path>"}
_REMOVING = ("/logout", "/delete", "/disable", "/revoke", "/password")


def page_expected(somebody: Somebody, route: Route, tenant_id: str) -> set[int]:
    """Return what a page may answer, by what its view declares."""
    needed = route.needs
    if needed.open:
        return REACHED
    if not somebody.grants:
        return {303}
    if somebody.is_portal and not _is_for_portals(route):
        return {404}
    if route.in_tenant and not somebody.sees(tenant_id):
        return {404}
    if needed.platform and not somebody.everywhere:
        return {404}
    if route.in_tenant or needed.platform:
        place = tenant_id if route.in_tenant else None
        allowed = somebody.may(needed.permission, place)
    else:
        allowed = somebody.may_anywhere(needed.permission)
    return REACHED if allowed else {403}


#: What a portal's visitor reaches, whatever the link's role: the tenant's own, said
#: here once more by paths, so that a slip in one of the two places shows.
_OF_PORTALS = (
    "overview|endpoints|checks|subscriptions|events|deliveries|dead-letters|replays"
    "|rejected-events|incidents|timeline"
)
_FOR_PORTALS = re.compile(
    rf"/admin/(logout)?$|/admin/tenants/<tenant_id>(/({_OF_PORTALS})(/.*)?)?$"
    r"|/admin/tenants/<tenant_id>/new/(endpoint|subscription|replay)$"
    # Budgets are looked at only.
    r"|/admin/tenants/<tenant_id>/budgets(/<budget_id>)?$"
)


def _is_for_portals(route: Route) -> bool:
    return _FOR_PORTALS.match(route.shape) is not None


def api_expected(somebody: Somebody, route: Route, tenant_id: str) -> set[int]:
    """Return what a route of the API may answer, by what its view declares."""
    needed = route.needs
    if needed.permission is None:
        return SERVED
    if not somebody.grants:
        return {401}
    if not somebody.everywhere:
        if needed.refusal is not None:
            return {403, 404}
        if route.in_tenant and not somebody.sees(tenant_id):
            return {404}
    return REACHED if somebody.may_anywhere(needed.permission) else {403}


def walk(somebody, found, world, expected) -> dict[str, int]:
    """Ask for every route, in our tenant and in the foreign one; return how often."""
    surprises, served = [], {"asked": 0, "served": 0}
    for route in found:
        for tenant_id in (OURS, FOREIGN) if route.in_tenant else (OURS,):
            answered = somebody.ask(route, route.path(tenant_id, world[tenant_id]))
            wanted = expected(somebody, route, tenant_id)
            case = f"{route.method} {route.shape} in {tenant_id}"
            if answered.status_code not in wanted:
                surprises.append(f"{case}: {answered.status_code}, not {wanted}")
            sent = answered.status_code == 303 and "/login" in answered.location
            if sent and somebody.grants and "logout" not in route.rule:
                surprises.append(f"{case}: sent to the login")
            served["asked"] += 1
            served["served"] += answered.status_code in SERVED
    assert surprises == []
    return served


def test_every_view_declares_what_it_needs(api):
    """And every parameter of a path is one that the walk has an id for."""
    for route in routes(api.app):
        if route.rule.startswith((API, PAGES, PORTAL)):
            files = route.shape == "/admin/static/<filename>"
            assert files or route.needs is not None, route
        else:
            assert route.shape.startswith(("/api/docs", *OPEN)), route
        unknown = {*route.names} - {*KINDS}
        plain = {"event_type", "mapping", "path", "filename", "token", "name"}
        assert unknown <= plain, route


@pytest.mark.parametrize("tenant_id", [None, OURS])
@pytest.mark.parametrize("role", list(Role))
def test_a_key_reaches_what_its_role_allows(api, world, callers, role, tenant_id):
    found = in_order(each for each in routes(api.app) if each.rule.startswith(API))
    walked = walk(callers(role, tenant_id), found, world, api_expected)
    assert walked["served"] > (1 if role is not Role.PUBLISHER else 0)


@pytest.mark.parametrize("tenant_id", [None, OURS])
@pytest.mark.parametrize("role", ROLES)
def test_a_person_sees_what_their_role_allows(api, world, visitors, role, tenant_id):
    somebody = visitors(role, tenant_id)
    walked = walk(somebody, pages(api.app), world, page_expected)
    assert walked["served"] > 3


def test_no_name_in_a_query_breaks_a_page(api, world, visitors):
    """Pages link to themselves with what their query has, whatever it is called."""
    admin = visitors(Role.ADMIN, None)
    query = "?" + "&".join(f"{name}=1" for name in _NAMES)
    looks = [each for each in pages(api.app) if each.method == "GET"]
    for route in looks:
        path = route.path(OURS, world[OURS])
        assert admin.ask(route, path + query).status_code in REACHED, route
    assert len(looks) > 30


def test_a_page_leads_to_itself_with_all_that_its_query_has(api):
    query = "view=1&place=2&endpoint=3&_method=4&type=a&type=b&after=5"
    with api.app.test_request_context(f"/admin/tenants/acme/events?{query}"):
        here = rendering.here_with(after=None, before="6")
    kept = query.removesuffix("&after=5")
    assert here == f"/admin/tenants/acme/events?{kept}&before=6"


#: What functions of Flask's, of Jinja's and of ours call their own arguments.
_NAMES = ("endpoint", "values", "_method", "_anchor", "_scheme", "_external", "view")


@pytest.mark.parametrize("role", ROLES)
def test_a_portals_visitor_sees_what_the_link_allows(api, world, holders, role):
    found = pages(api.app)
    walked = walk(holders(role), found, world, page_expected)
    assert walked["served"] > 10
    barred = {each.shape for each in found if not _is_for_portals(each)}
    inside = {each for each in barred if each.startswith("/admin/tenants/<tenant_id>/")}
    named = ("keys", "audit", "edit", "delete", "new/key", "budgets", "rules")
    assert {each.split("/")[4] for each in inside} <= {*named, "new"}
    assert "/admin/tenants/<tenant_id>/edit" in barred
    changing = {each for each in inside if "/budgets" in each}
    assert all(each.endswith(("/edit", "/delete")) for each in changing)


def test_nobody_sees_nothing(api, world):
    nobody = Somebody(api.app.test_client())
    walk(nobody, pages(api.app), world, page_expected)
    below = [each for each in routes(api.app) if each.rule.startswith(API)]
    walk(nobody, below, world, api_expected)


def test_a_key_opens_no_page_and_a_session_no_api(api, world, callers, visitors):
    """Each is taken at its own door alone: no page is driven by a stolen key."""
    key, person = callers(Role.ADMIN, None), visitors(Role.ADMIN, None)
    for route in routes(api.app):
        path = route.path(OURS, world[OURS])
        if route.rule.startswith(API) and route.needs.permission is not None:
            assert person.ask(route, path).status_code == 401, route
        elif route in pages(api.app) and not route.needs.open:
            assert key.ask(route, path).status_code == 303, route


def foreign_routes(app) -> list[Route]:
    """Return what names something by an id, in a tenant or outside."""
    return [
        each
        for each in routes(app)
        if each.rule.startswith((API, PAGES))
        and each.shape not in _SPARED
        and {*each.names} & {*KINDS}
    ]


def test_the_foreign_and_the_absent_are_one_answer(api, world, callers, visitors):
    """Byte for byte but for the id, below one's own tenant and outside of all."""
    nothing = absent(world[FOREIGN])
    caller, visitor = callers(Role.ADMIN, OURS), visitors(Role.ADMIN, OURS)
    differing = []
    for route in foreign_routes(api.app):
        somebody = caller if route.rule.startswith(API) else visitor
        if route.needs.permission is not None and not somebody.may_anywhere(
            route.needs.permission
        ):
            continue
        there = somebody.ask(route, route.path(OURS, world[FOREIGN]), None)
        missing = somebody.ask(route, route.path(OURS, nothing), None)
        if there.status_code != 404 or _told(there, world[FOREIGN]) != _told(
            missing, nothing
        ):
            differing.append((route.method, route.shape, there.status_code))
    assert differing == []
    assert first(api, FOREIGN, "endpoints") == world[FOREIGN]["endpoint_id"]


def test_a_foreign_tenant_and_an_absent_one_are_one_answer(
    api, world, callers, visitors
):
    caller, visitor = callers(Role.ADMIN, OURS), visitors(Role.ADMIN, OURS)
    differing = []
    for route in routes(api.app):
        if not route.in_tenant or not route.rule.startswith((API, PAGES)):
            continue
        somebody = caller if route.rule.startswith(API) else visitor
        there = somebody.ask(route, route.path(FOREIGN, world[FOREIGN]))
        missing = somebody.ask(route, route.path("nobody", world[FOREIGN]))
        if there.status_code != 404 or _told(there, {"": FOREIGN}) != _told(
            missing, {"": "nobody"}
        ):
            differing.append((route.method, route.shape, there.status_code))
    assert differing == []


def _told(answered: Any, named: dict[str, str]) -> bytes:
    """Return an answer without the ids and the request's own id."""
    body = answered.data.replace(answered.headers["X-Request-Id"].encode(), b"")
    for value in named.values():
        body = body.replace(value.encode(), b"-")
    return bytes(answered.status_code.to_bytes(2, "big") + body)
