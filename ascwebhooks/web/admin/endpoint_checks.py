"""Live parts of the forms: is this URL right, when are attempts made, what matches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from marshmallow import ValidationError

from ascwebhooks.domain import schedules
from ascwebhooks.domain.keys import Permission
from ascwebhooks.domain.retry import check_schedule
from ascwebhooks.domain.schedules import Planned
from ascwebhooks.errors import InvalidInput, TargetRejected
from ascwebhooks.web.access import services
from ascwebhooks.web.admin.access import needs
from ascwebhooks.web.admin.endpoint_forms import WishFields, wishes
from ascwebhooks.web.admin.forms import Form

blp = Blueprint("checks", __name__)

_ROOT = "/tenants/<tenant_id>/checks"
_PREVIEWED = 20


@blp.post(f"{_ROOT}/url")
@needs(Permission.ADMINISTER)
def url(tenant_id: str) -> ResponseReturnValue:
    """Say whether deliveries may go to a URL, and what to do if not."""
    text = request.form.get("url", "").strip()
    if not text:
        return ""
    try:
        target, resolves = services().endpoints.check_url(text)
    except TargetRejected as error:
        return render_template("endpoints/url.html", problem=str(error), text=text)
    return render_template("endpoints/url.html", target=target, resolves=resolves)


@blp.post(f"{_ROOT}/schedule")
@needs(Permission.ADMINISTER)
def schedule(tenant_id: str) -> ResponseReturnValue:
    """Show when attempts would be made by a retry schedule."""
    plan = plan_of(request.form.get("retry_schedule_s", ""))
    return render_template("endpoints/schedule.html", plan=plan)


@blp.post(f"{_ROOT}/filter")
@needs(Permission.ADMINISTER)
def filter(tenant_id: str) -> ResponseReturnValue:
    """Show what a subscription would have made of the last events."""
    form = Form(WishFields, request.form)
    found = form.submit(
        lambda read: services().previews.preview(
            tenant_id, **_with_all(wishes(read)), limit=_PREVIEWED
        )
    )
    return render_template(
        "endpoints/preview.html", form=form, found=found, fault=_fault(form)
    )


class Fault(NamedTuple):
    """Where a filter is wrong: the line, and how many characters come before."""

    line: str
    before: int


def _fault(form: Form) -> Fault | None:
    place = form.context
    if "line" not in place or "column" not in place:
        return None
    lines = str(form.values["filter"]).splitlines()
    number = min(int(str(place["line"])), len(lines))
    return Fault(lines[number - 1], int(str(place["column"])) - 1) if lines else None


def plan_of(text: str) -> Sequence[Planned] | str:
    """Return the attempts of a schedule, or what is wrong with it."""
    try:
        delays = schedules.parse(text)
        check_schedule(delays)
    except (InvalidInput, ValidationError) as error:
        return str(error)
    return schedules.planned(delays)


def _with_all(wanted: dict[str, Any]) -> dict[str, Any]:
    # Nothing chosen yet: the filter alone is tried, on whatever came.
    return {**wanted, "event_types": wanted["event_types"] or ["*"]}
