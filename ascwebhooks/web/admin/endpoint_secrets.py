"""Rotating an endpoint's secret: the overlap is chosen, the new one shown once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from marshmallow import Schema, fields, validate

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.domain.signing import Scheme
from ascwebhooks.errors import PreconditionFailed
from ascwebhooks.services.described import Described, WithSecret
from ascwebhooks.web.access import services
from ascwebhooks.web.admin import once
from ascwebhooks.web.admin.access import needs
from ascwebhooks.web.admin.endpoint_lists import endpoint_id_of
from ascwebhooks.web.admin.forms import Form

blp = Blueprint("secrets", __name__)

_PATH = "/tenants/<tenant_id>/endpoints/<endpoint_id>/rotate-secret"
OVERLAPS = (
    ("3600", "1 hour", "For receivers that you can change at once."),
    ("86400", "24 hours", "Time to roll the new secret out."),
    ("604800", "7 days", "For receivers in other people's hands."),
    (
        "0",
        "None",
        "The old secrets end now: after a leak. What verifies with them fails.",
    ),
)


class Rotation(Schema):
    """How a secret is replaced; ``seen``: the newest secret when it was asked for."""

    overlap_s = fields.Integer(
        required=True,
        validate=validate.OneOf([int(each[0]) for each in OVERLAPS]),
    )
    signature = fields.String(required=True, validate=validate.OneOf([*Scheme]))
    seen = fields.String(required=True)


@blp.get(_PATH)
@needs(Permission.ADMINISTER)
def ask(tenant_id: str, endpoint_id: str) -> ResponseReturnValue:
    """Ask how long the old secrets sign too."""
    found = services().endpoints.get(tenant_id, endpoint_id_of(endpoint_id))
    signature, seen = found.endpoint.signature, _newest(found)
    form = Form(Rotation, overlap_s="86400", signature=signature, seen=seen)
    return _page(form, found)


@blp.post(_PATH)
@needs(Permission.ADMINISTER)
def rotate(tenant_id: str, endpoint_id: str) -> ResponseReturnValue:
    """Rotate the secret, and show the new one this once."""
    found = services().endpoints.get(tenant_id, endpoint_id_of(endpoint_id))
    form = Form(Rotation, request.form)

    def act(read: dict[str, Any]) -> dict[str, str]:
        made = services().secrets.rotate(
            tenant_id,
            found.endpoint.id,
            timedelta(seconds=read["overlap_s"]),
            read["signature"],
            _still_newest(read["seen"]),
        )
        return kept(made)

    made = form.submit(lambda read: once.made(lambda: act(read)))
    if made is None:
        return _page(form, found)
    return shown("endpoints/rotated.html", tenant_id, made)


def kept(made: WithSecret) -> dict[str, str]:
    """Return what is needed to show an endpoint with its new secret."""
    return {
        "id": ids.show(Kind.ENDPOINT, made.described.endpoint.id),
        "secret": made.secret or "",
    }


def shown(template: str, tenant_id: str, made: once.Made) -> str:
    """Show an endpoint with its new secret, which is shown this once."""
    found = services().endpoints.get(tenant_id, endpoint_id_of(made.what["id"]))
    return render_template(template, found=found, made=made)


def _page(form: Form, found: Described) -> ResponseReturnValue:
    page = render_template(
        "endpoints/rotate.html", form=form, found=found, overlaps=OVERLAPS
    )
    return page, form.status


def _newest(found: Described) -> str:
    return str(found.secrets[0].id) if found.secrets else ""


def _still_newest(seen: str) -> Callable[[Described], None]:
    def check(found: Described) -> None:
        if _newest(found) != seen:
            raise PreconditionFailed(
                "the secret was rotated since you opened this page; this time nothing"
                " was changed. Look at the endpoint's secrets before you do it again."
            )

    return check
