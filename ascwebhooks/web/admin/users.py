"""Users: the people who may log in, their roles, and one's own account."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import (
    Blueprint,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from marshmallow import Schema, fields, validate

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission, Role
from ascwebhooks.domain.people import Grant, PersonState
from ascwebhooks.errors import InvalidInput, NotPermitted, PreconditionFailed
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import lists, once
from ascwebhooks.web.admin.access import needs, visitor
from ascwebhooks.web.admin.forms import Form, Line
from ascwebhooks.web.admin.rendering import notify

blp = Blueprint("users", __name__)

ADMINISTER = Permission.ADMINISTER
_ANYBODY = validate.OneOf(["", *Role])
#: Empty lines to add roles in single tenants on.
_SPARE = 3
ROLES = (
    ("", "No role for all tenants", "Only the roles in single tenants below."),
    (Role.VIEWER, "Viewer", "Reads everything but payloads."),
    (Role.OPERATOR, "Operator", "Also retries, replays, pauses and resumes."),
    (Role.ADMIN, "Admin", "Everything: endpoints, keys, users, the audit log."),
)


class Roles(Schema):
    """What somebody may do: for all tenants, and in single ones."""

    name = Line(load_default="", validate=validate.Length(max=200))
    role = fields.String(load_default="", validate=_ANYBODY)
    tenant_ids = fields.List(fields.String(), load_default=list)
    tenant_roles = fields.List(
        fields.String(validate=validate.OneOf(list(Role))), load_default=list
    )


class ChangedRoles(Roles):
    """A form that was opened on a person as they were at ``seen``."""

    seen = fields.String(required=True)


class NewUser(Roles):
    """A person to create."""

    login = Line(required=True)


class OwnPassword(Schema):
    """Somebody's own new password."""

    current = fields.String(required=True)
    password = fields.String(required=True)
    again = fields.String(required=True)


@blp.get("/users")
@needs(ADMINISTER, platform=True)
def index() -> ResponseReturnValue:
    """List the people who may log in."""
    fetch, cursor = services().people.page, lambda each: each.login
    page = lists.page(fetch, read=str, cursor=cursor)
    return render_template("users/index.html", page=page)


@blp.get("/new/user")
@needs(ADMINISTER, platform=True)
def new() -> ResponseReturnValue:
    """Show the form of a new person."""
    return _form("users/new.html", Form(NewUser, role=Role.VIEWER))


@blp.post("/new/user")
@needs(ADMINISTER, platform=True)
def create() -> ResponseReturnValue:
    """Create a person with a password that is shown once."""
    form, people = Form(NewUser, request.form), services().people

    def create(read: dict[str, Any]) -> dict[str, str]:
        password = people.new_password()
        person = people.create(
            read["login"], name=read["name"], grants=_grants(read), password=password
        )
        return {"id": ids.show(Kind.USER, person.id), "password": password}

    made = form.submit(lambda read: once.made(lambda: create(read)))
    if made is None:
        return _form("users/new.html", form), form.status
    return _password(made)


@blp.get("/users/<user_id>")
@needs(ADMINISTER, platform=True)
def show(user_id: str) -> ResponseReturnValue:
    """Show a person, and the form that changes them."""
    person = services().people.get(ids.read(Kind.USER, user_id))
    by_hand = [each for each in person.roles if each.source == "hand"]
    everywhere = [each.role for each in by_hand if each.tenant_id is None]
    single = [each for each in by_hand if each.tenant_id is not None]
    form = Form(
        ChangedRoles,
        seen=_version(person),
        name=person.name,
        role="".join(everywhere),
        tenant_ids=[each.tenant_id for each in single],
        tenant_roles=[each.role for each in single],
    )
    return _form("users/show.html", form, person=person)


@blp.post("/users/<user_id>")
@needs(ADMINISTER, platform=True)
def change(user_id: str) -> ResponseReturnValue:
    """Change a person's name and roles."""
    form, person_id = Form(ChangedRoles, request.form), ids.read(Kind.USER, user_id)
    made = form.submit(
        lambda read: services().people.change(
            person_id,
            name=read["name"],
            grants=_grants(read),
            check=_unchanged_since(read["seen"]),
        )
    )
    if made is None:
        person = services().people.get(person_id)
        return _form("users/show.html", form, person=person), form.status
    notify("success", f"{made.login} was changed.")
    return redirect(url_for(".show", user_id=user_id), HTTPStatus.SEE_OTHER)


@blp.post("/users/<user_id>/password")
@needs(ADMINISTER, platform=True)
def reset(user_id: str) -> ResponseReturnValue:
    """Give a person a new password, shown once."""
    people, person_id = services().people, ids.read(Kind.USER, user_id)

    def set_password() -> dict[str, str]:
        password = people.new_password()
        people.set_password(person_id, password)
        return {"id": user_id, "password": password}

    return _password(once.made(set_password))


@blp.post("/users/<user_id>/<any(disable, enable):verb>")
@needs(ADMINISTER, platform=True)
def set_state(user_id: str, verb: str) -> ResponseReturnValue:
    """Let a person log in no more, or again."""
    state = PersonState.DISABLED if verb == "disable" else PersonState.ACTIVE
    person = services().people.change(ids.read(Kind.USER, user_id), state=state)
    notify("success", f"{person.login} is {person.state} now.")
    return redirect(url_for(".show", user_id=user_id), HTTPStatus.SEE_OTHER)


@blp.get("/account")
@needs(None)
def account() -> ResponseReturnValue:
    """Show one's own account."""
    return render_template("users/account.html", form=Form(OwnPassword))


@blp.post("/account")
@needs(None)
def set_own_password() -> ResponseReturnValue:
    """Change one's own password; other sessions of one's own end."""
    form = Form(OwnPassword, request.form)

    def change(read: dict[str, Any]) -> bool:
        if read["again"] != read["password"]:
            raise InvalidInput("the two are not the same.", field="again")
        who = visitor()
        if who.person_id is None:
            raise NotPermitted("whoever comes by a link has no password.")
        services().own_passwords.change(
            who.person_id,
            who.session_id,
            read["current"],
            read["password"],
            address=request.remote_addr or "",
        )
        return True

    if not form.submit(change):
        form.values = {}
        answer = make_response(
            render_template("users/account.html", form=form), form.status
        )
        if "retry_after_s" in form.context:
            answer.headers["Retry-After"] = str(form.context["retry_after_s"])
        return answer
    notify("success", "Your password was changed; your other sessions have ended.")
    return redirect(url_for(".account"), HTTPStatus.SEE_OTHER)


def _password(made: once.Made) -> str:
    person = services().people.get(ids.read(Kind.USER, made.what["id"]))
    return render_template("users/password.html", person=person, made=made)


def _form(template: str, form: Form, **context: Any) -> str:
    ids_, roles = form.values.get("tenant_ids", []), form.values.get("tenant_roles", [])
    lines = [each for each in zip(ids_, roles, strict=False) if each[0]]
    lines += [("", str(Role.VIEWER))] * _SPARE
    return render_template(template, form=form, roles=ROLES, lines=lines, **context)


def _version(person: Any) -> str:
    """Return what the form is about: whoever changed it since is told apart."""
    by_hand = sorted(
        (each.tenant_id or "", each.role)
        for each in person.roles
        if each.source == "hand"
    )
    return f"{person.name} {by_hand}"


def _unchanged_since(seen: str) -> Callable[[Any], None]:
    def check(person: Any) -> None:
        if _version(person) != seen:
            raise PreconditionFailed(
                "somebody changed this person since you opened the form. Open it again"
                " to see how they are now."
            )

    return check


def _grants(read: dict[str, Any]) -> list[Grant]:
    """Return what a form grants; lines without a tenant were left empty."""
    everywhere = [Grant(Role(read["role"]))] if read["role"] else []
    single = zip(read["tenant_ids"], read["tenant_roles"], strict=False)
    return everywhere + [
        Grant(Role(role), each.strip()) for each, role in single if each
    ]
