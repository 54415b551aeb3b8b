"""Budgets."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask.views import MethodView
from marshmallow import Schema, ValidationError, fields, validate

from ascwebhooks.domain import budget_periods, ids
from ascwebhooks.domain.budget_drafts import CURRENCY, MOST_CHARACTERS
from ascwebhooks.domain.budgets import (
    MOST_THRESHOLDS,
    Basis,
    Enforcement,
    ScopeType,
)
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.errors import InvalidInput
from ascwebhooks.web.access import needs, services
from ascwebhooks.web.answers import Answer, With
from ascwebhooks.web.api.blueprints import Blueprint
from ascwebhooks.web.api.fields import Amount, Flag, Id, Moment, Percent, Text, pattern
from ascwebhooks.web.api.pages import PageQuery, page, page_of
from ascwebhooks.web.tags import precondition

blp = Blueprint(
    "budgets", __name__, description="What may be spent, and what was spent of it."
)

_ROOT = "/tenants/<tenant_id>/budgets"
_NAMED = validate.Length(1, MOST_CHARACTERS)


def _check_period(given: dict[str, Any]) -> None:
    try:
        budget_periods.read(given)
    except InvalidInput as error:
        raise ValidationError(str(error)) from error


class _Percentages(fields.List[Any]):
    def __init__(self) -> None:
        super().__init__(
            Percent(),
            validate=validate.Length(max=MOST_THRESHOLDS),
            metadata={
                "description": "Percentages of the limit that are told of; the limit"
                " itself always is.",
                "example": [50, 80, 95, 100],
            },
        )


class BudgetChanges(Schema):
    """What can be changed of a budget."""

    name = Text(validate=_NAMED)
    limit = Amount(metadata={"description": "Above 0."})
    thresholds = _Percentages()
    forecast = Flag(
        metadata={
            "description": "Whether to tell when spending leads past the limit, once a"
            " period and after a tenth of it."
        }
    )
    enforcement = fields.Enum(
        Enforcement,
        by_value=True,
        metadata={"description": "What subscribers are to do; they act, or do not."},
    )
    parent_id = Id(Kind.BUDGET, allow_none=True)


class NewBudget(BudgetChanges):
    """A budget to create."""

    name = Text(required=True, validate=_NAMED)
    limit = Amount(required=True, metadata={"description": "Above 0."})
    scope_type = fields.Enum(ScopeType, by_value=True, required=True)
    scope_id = Text(
        allow_none=True,
        validate=_NAMED,
        metadata={"description": "Which team, user, …; null for the whole tenant."},
    )
    currency = fields.String(
        required=True,
        validate=validate.Regexp(CURRENCY, error="three capital letters."),
        metadata={"pattern": pattern(CURRENCY), "example": "USD"},
    )
    period = fields.Dict(
        keys=fields.String(),
        required=True,
        validate=_check_period,
        metadata={
            "description": '`{"type": "calendar", "unit": "day" | "week" | "month" |'
            ' "quarter" | "year", "zone": "Europe/Berlin"}`, `{"type": "rolling",'
            ' "hours": 24}` (or `days`), or `{"type": "once", "from": …, "to": …}`.',
            "example": {"type": "calendar", "unit": "month", "zone": "UTC"},
        },
    )


class BudgetSchema(Answer):
    """A budget, and what is spent of it in this period."""

    #: Changes without anybody changing the budget.
    VOLATILE = frozenset(
        {
            *("period_start", "period_end", "resets_at", "spent", "remaining"),
            *("percent_used", "unattributed", "requests", "unpriced"),
            *("projected_spend", "projected_exhaustion_at", "alerts", "history"),
        }
    )

    id = Id(Kind.BUDGET, attribute="row.id")
    tenant_id = fields.String(attribute="row.tenant_id")
    name = fields.String(attribute="row.name")
    scope_type = fields.Enum(ScopeType, by_value=True, attribute="budget.scope_type")
    scope_id = fields.Function(
        lambda each: each.row.scope_id or None,
        metadata={"type": ["string", "null"]},
    )
    parent_id = Id(Kind.BUDGET, attribute="row.parent_id", allow_none=True)
    limit = Amount(attribute="budget.limit")
    currency = fields.String(attribute="row.currency")
    period = fields.Dict(attribute="row.period")
    thresholds = fields.List(Percent(), attribute="budget.thresholds")
    forecast = fields.Boolean(attribute="row.forecast")
    enforcement = fields.Enum(
        Enforcement, by_value=True, attribute="budget.enforcement"
    )
    created_at = Moment(attribute="row.created_at")
    updated_at = Moment(attribute="row.updated_at")
    period_start = Moment(attribute="period.start")
    period_end = Moment(attribute="period.end")
    resets_at = Moment(allow_none=True)
    spent = Amount(attribute="usage.spent")
    remaining = Amount()
    percent_used = Percent()
    unattributed = Amount(
        attribute="usage.unattributed",
        metadata={"description": "Of it, what no team, user, … can be told for."},
    )
    requests = fields.Integer(attribute="usage.requests")
    unpriced = fields.Integer(
        attribute="usage.unpriced",
        metadata={
            "description": "Requests whose cost is not known, or not in money"
            " of this currency; it is never guessed."
        },
    )
    projected_spend = Amount(
        attribute="projection.spend",
        allow_none=True,
        dump_default=None,
        metadata={"description": "Where spending leads to by the end of the period."},
    )
    projected_exhaustion_at = Moment(
        attribute="projection.exhausted_at",
        allow_none=True,
        dump_default=None,
        metadata={"description": "When it passes the limit, if within the period."},
    )


class BudgetAlertSchema(Answer):
    """That a line was crossed."""

    basis = fields.String(metadata={"enum": [each.value for each in Basis]})
    threshold = Percent()
    fired_at = Moment()
    recovered_at = Moment(allow_none=True)
    times = fields.Integer(
        metadata={"description": "How often, with those before it recovered."}
    )
    event_id = Id(Kind.EVENT, allow_none=True)
    recovered_event_id = Id(
        Kind.EVENT,
        allow_none=True,
        metadata={"description": "The event that told that it recovered."},
    )


class EndedPeriodSchema(Answer):
    """What was spent in a period that is over."""

    period_start = Moment()
    period_end = Moment()
    spent = Amount()
    unattributed = Amount()
    requests = fields.Integer()
    unpriced = fields.Integer()


class BudgetDetailSchema(BudgetSchema):
    """A budget with its alerts of this period and the periods before."""

    alerts = fields.List(fields.Nested(BudgetAlertSchema))
    history = fields.List(fields.Nested(EndedPeriodSchema))


class BudgetQuery(PageQuery):
    """Which budgets."""

    scope_type = fields.Enum(ScopeType, by_value=True)
    scope_id = Text()


def _id(text: str) -> Any:
    return ids.read(Kind.BUDGET, text)


@blp.route(_ROOT)
class Budgets(MethodView):
    """All of a tenant's budgets."""

    @needs(Permission.READ)
    @blp.arguments(BudgetQuery, location="query")
    @blp.response(200, page_of(BudgetSchema))
    def get(self, query: dict[str, Any], tenant_id: str) -> dict[str, Any]:
        """List budgets, the newest first."""
        fetch = partial(services().budgets.page, tenant_id)
        return page(query, fetch, id_of=lambda each: each.row.id)

    @needs(Permission.ADMINISTER)
    @blp.arguments(NewBudget)
    @blp.response(201, BudgetSchema, etag=True)
    def post(self, body: dict[str, Any], tenant_id: str) -> Any:
        """Create a budget; it is charged with requests that come from then on."""
        return services().budgets.create(tenant_id, **body)


@blp.route(f"{_ROOT}/<budget_id>")
class Budget(MethodView):
    """One budget."""

    @needs(Permission.READ)
    @blp.response(200, BudgetDetailSchema, etag=True)
    def get(self, tenant_id: str, budget_id: str) -> Any:
        """Get a budget: what was spent, what is forecast, which alerts fired."""
        found = services().budgets.get(tenant_id, _id(budget_id))
        alerts = [
            With(each, recovered_event_id=found.recovery_of(each))
            for each in found.alerts
        ]
        return With(found, alerts=alerts)

    @needs(Permission.ADMINISTER)
    @blp.arguments(BudgetChanges)
    @blp.conditional
    @blp.response(200, BudgetSchema, etag=True)
    def patch(self, body: dict[str, Any], tenant_id: str, budget_id: str) -> Any:
        """Change a budget; what follows from it is told at once."""
        check = precondition(BudgetSchema)
        return services().budgets.change(tenant_id, _id(budget_id), body, check)

    @needs(Permission.ADMINISTER)
    @blp.conditional
    @blp.response(204)
    def delete(self, tenant_id: str, budget_id: str) -> None:
        """Delete a budget, and with it what was spent of it."""
        check = precondition(BudgetSchema)
        services().budgets.delete(tenant_id, _id(budget_id), check)
