"""Who may see and do what in the pages: every view says what it needs.

As in the API (``web.access``), what belongs to a tenant that the visitor has no role
in is answered as if it did not exist.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

from flask import Flask, current_app, g, request

from ascwebhooks.domain.audit import Actor, ActorKind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.errors import NotAuthenticated, NotFound, NotPermitted
from ascwebhooks.services.acting import act_as
from ascwebhooks.services.sessions import Visitor
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import cookies, csrf

NAME = "admin"
_OURS = (f"{NAME}.", "portal.")
#: Whoever may mend deliveries may see what they carry; each look is recorded.  A
#: viewer's API key reads it too: config/decisions/0012 says why.
PAYLOADS = Permission.OPERATE
_ATTRIBUTE = "ascwebhooks_page"
_FILES = f"{NAME}.static"
#: What a portal's visitor finds in the tenant, with all that is below these nouns.
#: A page that is not named here is not theirs until somebody decides that it is.
_PORTAL_NOUNS = tuple(
    f"{NAME}.{noun}."
    for noun in (
        "endpoints",
        "subscriptions",
        "events",
        "deliveries",
        "dead_letters",
        "replays",
        "rejected_events",
        "incidents",
        "timelines",
    )
)
_PORTAL_VIEWS = {
    # To be seen; what may be spent is not for its own visitors to say.
    f"{NAME}.budgets.index",
    f"{NAME}.budgets.show",
    f"{NAME}.home",
    f"{NAME}.logins.log_out",
    f"{NAME}.nothing",
    f"{NAME}.overview.live_of_tenant",
    f"{NAME}.tenants.show",
}

View = TypeVar("View", bound=Callable[..., Any])


class Needs(NamedTuple):
    """What a view needs.

    Args:
        open: Whether it is for anybody, logged in or not.
        permission: What the visitor's roles must allow; None: to be logged in.
        platform: Whether a role for all tenants has to allow it.
    """

    open: bool
    permission: Permission | None
    platform: bool


def needs(
    permission: Permission | None, *, platform: bool = False
) -> Callable[[View], View]:
    """Declare what a view needs.

    Below ``/tenants/<tenant_id>`` the visitor's role in that tenant counts.  On any
    other page it is enough to be allowed this in some tenant, and the view shows what
    lies in ``visitor().grants.tenants(permission)``.

    Args:
        permission: What must be allowed; None: to be logged in is enough.
        platform: Whether it must be allowed for all tenants; for whoever has no such
            role there is no such page.
    """
    return _declare(Needs(False, permission, platform))


def open_to_all(view: View) -> View:
    """Declare that a view needs no session."""
    return _declare(Needs(True, None, False))(view)


def _declare(needed: Needs) -> Callable[[View], View]:
    def declare(view: View) -> View:
        setattr(view, _ATTRIBUTE, needed)
        return view

    return declare


def visitor() -> Visitor:
    """Return who looks at the page."""
    return cast(Visitor, g.visitor)


def known_visitor() -> Visitor | None:
    """Return who looks at the page, if they have logged in."""
    return cast("Visitor | None", g.get("visitor"))


def may(permission: str, tenant_id: str | None = None) -> bool:
    """Return whether the visitor may do this in a tenant, or on the platform."""
    who = known_visitor()
    return who is not None and who.grants.may(Permission(permission), tenant_id)


def tenant() -> Any:
    """Return the tenant whose page this is."""
    return g.tenant


def check() -> None:
    """Raise unless the visitor may have what they ask for.

    Raises:
        NotAuthenticated: If there is no session, or it has ended.
        StaleForm: If a form does not prove that it is from this session's pages.
        NotFound: If it is a tenant's or the platform's and they have no role there.
        NotPermitted: If their role there does not allow it.
    """
    if request.endpoint == _FILES:
        return
    needed = _declared(current_app, str(request.endpoint))
    if needed is None:
        raise NotFound("there is no such page.")
    if needed.open:
        return
    who = g.visitor = _recognise()
    act_as(Actor(who.kind, who.id, who.login, request.remote_addr or "", g.request_id))
    if request.method not in {"GET", "HEAD", "OPTIONS"}:
        csrf.check(who.csrf)
    _check_role(who, needed)


def check_declarations(app: Flask) -> None:
    """Raise RuntimeError if a page does not say what it needs."""
    for rule in app.url_map.iter_rules():
        ours = rule.endpoint.startswith(_OURS) and rule.endpoint != _FILES
        if ours and _declared(app, rule.endpoint) is None:
            raise RuntimeError(f"{rule.rule} does not say what it needs")


def _declared(app: Flask, endpoint: str) -> Needs | None:
    return getattr(app.view_functions[endpoint], _ATTRIBUTE, None)


def _recognise() -> Visitor:
    token = cookies.session_token()
    if token is None:
        raise NotAuthenticated("log in first.")
    return services().sessions.recognise(token)


def is_for_portals(view: str) -> bool:
    """Return whether a view is for the holders of portal links."""
    return view in _PORTAL_VIEWS or view.startswith(_PORTAL_NOUNS)


def _check_portal() -> None:
    """Show the holder of a portal link what is the tenant's, and nothing beside.

    The rest is their host's, whatever the link's role: keys, which would outlive the
    visit; the audit log and the people; changing budgets, and rules; the tenant itself,
    for where its data may go (its regions) is not for its own visitors to say; other
    tenants, settings, health.
    """
    if not is_for_portals(str(request.endpoint)):
        raise NotFound("there is no such page.")


def _check_role(who: Visitor, needed: Needs) -> None:
    if who.kind is ActorKind.PORTAL:
        _check_portal()
    tenant_id = (request.view_args or {}).get("tenant_id")
    if tenant_id is not None:
        if "\0" in tenant_id or not who.grants.sees(tenant_id):
            raise NotFound(f"there is no tenant {tenant_id[:64]!r}.")
        g.tenant = services().tenants.get(tenant_id)
    if needed.platform and not who.grants.everywhere:
        raise NotFound("there is no such page.")
    if needed.permission is None:
        return
    anywhere = tenant_id is None and not needed.platform
    if not (
        who.grants.may_anywhere(needed.permission)
        if anywhere
        else who.grants.may(needed.permission, tenant_id)
    ):
        raise NotPermitted("your role does not allow this.")
