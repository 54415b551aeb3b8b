"""Who may do what: every route says what it needs, and no other route is served.

A key is recognised before anything else of a request is read.  What belongs to
another tenant is answered as if it did not exist.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeGuard, TypeVar, cast
from uuid import UUID

from flask import Flask, current_app, g, request
from werkzeug.routing import Rule

from ascwebhooks.domain import ids
from ascwebhooks.domain.audit import Actor, ActorKind
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import ALLOWED, Permission, Role
from ascwebhooks.errors import NotAuthenticated, NotFound, NotPermitted
from ascwebhooks.services.acting import act_as
from ascwebhooks.services.container import Services

API_PREFIX = "/api/v1"
_EXTENSION = "ascwebhooks"

View = TypeVar("View", bound=Callable[..., Any])


class Caller(NamedTuple):
    """Whose key a request came with; ``tenant_id`` is None for the platform's."""

    tenant_id: str | None
    role: Role
    shown: str
    key_id: UUID

    def may(self, permission: Permission) -> bool:
        """Return whether the key's role allows this."""
        return permission in ALLOWED[self.role]

    def actor(self, address: str, request_id: str) -> Actor:
        """Return how the audit log knows this caller."""
        shown = ids.show(Kind.API_KEY, self.key_id)
        return Actor(ActorKind.API_KEY, shown, self.shown, address, request_id)


class Needs(NamedTuple):
    """What a view needs; ``refusal`` is what a tenant's key gets, if anything."""

    permission: Permission | None
    refusal: type[NotFound] | type[NotPermitted] | None


def needs(
    permission: Permission,
    *,
    refusal: type[NotFound] | type[NotPermitted] | None = None,
) -> Callable[[View], View]:
    """Declare what a view needs.

    Args:
        permission: What the key's role must allow.
        refusal: For what is the platform's: the error that a tenant's key gets.
    """

    def declare(view: View) -> View:
        setattr(view, _EXTENSION, Needs(permission, refusal))
        doc = view.__dict__.setdefault("_apidoc", {}).setdefault("manual_doc", {})
        doc["x-permission"] = permission.value
        return view

    return declare


def open_to_all(view: View) -> View:
    """Declare that a view needs no key."""
    setattr(view, _EXTENSION, Needs(None, None))
    return view


def install(app: Flask, services: Services) -> None:
    """Let ``app`` use these services and check every request to the API."""
    app.extensions[_EXTENSION] = services
    app.before_request(check)


def services() -> Services:
    """Return the services of the application."""
    return cast(Services, current_app.extensions[_EXTENSION])


def caller() -> Caller:
    """Return whose request this is."""
    return cast(Caller, g.caller)


def check() -> None:
    """Raise unless the request's key allows it.

    Raises:
        NotAuthenticated: If there is no key, or it is not in force.
        NotFound: If it is another tenant's, or the platform's.
        NotPermitted: If the key's role does not allow it.
    """
    if not _is_api(request.url_rule) or request.method == "OPTIONS":
        return
    needed = _declared(current_app, str(request.endpoint), request.method)
    if needed is None:
        raise NotFound("there is no such page.")
    if needed.permission is None:
        return
    who = g.caller = _recognise(needed.permission)
    act_as(who.actor(request.remote_addr or "", g.request_id))
    _check_tenant(who, needed)
    if not who.may(needed.permission):
        raise NotPermitted(f"the role {who.role} does not allow this.")


def within(tenant_id: str | None) -> str | None:
    """Return the tenant a request is about: a tenant's key reaches its own alone.

    Raises:
        NotFound: If a tenant's key names another one.
    """
    own = caller().tenant_id
    if own is None:
        return tenant_id
    if tenant_id not in (None, own):
        raise _no_tenant(tenant_id)
    return own


def check_declarations(app: Flask) -> None:
    """Raise RuntimeError if a route of the API does not say what it needs."""
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"OPTIONS"}:
            if _is_api(rule) and _declared(app, rule.endpoint, method) is None:
                raise RuntimeError(f"{method} {rule.rule} does not say what it needs")


def _is_api(rule: Rule | None) -> TypeGuard[Rule]:
    return rule is not None and rule.rule.startswith(API_PREFIX + "/")


def _declared(app: Flask, endpoint: str, method: str) -> Needs | None:
    view = app.view_functions[endpoint]
    verbs = getattr(view, "view_class", None)
    verb = "get" if method == "HEAD" else method.lower()
    function = view if verbs is None else getattr(verbs, verb, None)
    return getattr(function, _EXTENSION, None)


def _recognise(permission: Permission) -> Caller:
    key = services().keys.recognise(_secret(permission))
    return Caller(key.tenant_id, Role(key.role), key.shown, key.id)


def _secret(permission: Permission) -> str:
    """Return the key that a request came with.

    For publishing it may be the password, for senders that take a URL and no header.
    """
    given = request.authorization
    is_basic = given is not None and given.type == "basic"
    if given is not None and is_basic and permission is Permission.PUBLISH:
        return (given.password or "").strip()
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise NotAuthenticated("send 'Authorization: Bearer <API key>'.")
    return secret.strip()


def _check_tenant(who: Caller, needed: Needs) -> None:
    asked = (request.view_args or {}).get("tenant_id")
    if asked is not None and "\0" in asked:
        raise _no_tenant(asked)
    if who.tenant_id is None:
        return
    if needed.refusal is not None:
        raise needed.refusal("this takes a key of the platform's, for all tenants.")
    if asked not in (None, who.tenant_id):
        raise _no_tenant(asked)


def _no_tenant(tenant_id: str | None) -> NotFound:
    return NotFound(f"there is no tenant {(tenant_id or '')[:64]!r}.")
