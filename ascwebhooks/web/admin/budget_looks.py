"""How budgets are shown: as a word with an icon, as a bar, and their history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import Any, NamedTuple

from ascwebhooks.domain import budgets
from ascwebhooks.domain.budget_periods import Calendar, Once, Period, Rolling
from ascwebhooks.domain.budgets import FULL, Enforcement, ScopeType
from ascwebhooks.services.budget_standings import Detailed, Shown
from ascwebhooks.web.admin import charts
from ascwebhooks.web.admin.charts import Chart, Column, Layer, Line, Mark, Part, Tick
from ascwebhooks.web.admin.outcomes import Look

SCOPES: dict[str, str] = {
    ScopeType.TENANT: "Whole tenant",
    ScopeType.ORG: "Organisation",
    ScopeType.BUSINESS_UNIT: "Business unit",
    ScopeType.TEAM: "Team",
    ScopeType.USER: "User",
    ScopeType.KEY: "Key",
    ScopeType.PROJECT: "Project",
    ScopeType.FEATURE: "Feature",
    ScopeType.TAG: "Tag",
    ScopeType.PROVIDER: "Provider",
    ScopeType.MODEL: "Model",
}
ENFORCEMENTS: dict[str, tuple[str, str]] = {
    Enforcement.ALERT: ("Alert", "Subscribers are told, and nothing else is asked."),
    Enforcement.THROTTLE: ("Throttle", "Subscribers are asked to slow requests down."),
    Enforcement.BLOCK: ("Block", "Subscribers are asked to let no request through."),
}
#: From here on a line that was reached is a warning.
_SERIOUS = Decimal(80)
#: A bar shows no more of what is beyond the limit.
_MOST_PERCENT = Decimal(150)
_CENTS = Decimal("0.01")
_FINE_DIGITS = 4
_NARROW_SPACE = "\u202f"


class Notch(NamedTuple):
    """A line on a bar: where, in percent of its width, and what it stands for."""

    x: float
    percent: Decimal
    is_reached: bool


class Bar(NamedTuple):
    """A bar: in percent of its width what is spent and forecast, and its lines."""

    spent: float
    forecast: float | None
    notches: Sequence[Notch]
    kind: str


def look(shown: Shown, now: datetime) -> Look:
    """Return how a budget stands, in a word."""
    reached = budgets.reached(shown.budget, shown.usage.spent)
    if reached and reached[-1] >= FULL:
        return Look("Exceeded", "danger", "exclamation-octagon")
    if shown.period.start > now:
        return Look("Not begun", "neutral", "clock")
    if shown.period.end <= now and not isinstance(shown.budget.period, Rolling):
        return Look("Over", "neutral", "check-lg")
    if shown.projection is not None:
        return Look("Heading past it", "warning", "exclamation-triangle")
    if reached:
        serious = reached[-1] >= _SERIOUS
        return Look(
            f"{short(reached[-1])}\u00a0% reached",
            "warning" if serious else "info",
            "exclamation-triangle" if serious else "bell",
        )
    return Look("Within", "success", "check-circle")


def bar(shown: Shown, now: datetime) -> Bar:
    """Return a budget as a bar, wide enough for its lines and what is forecast."""
    ahead = shown.projection and budgets.percent(
        shown.projection.spend, shown.budget.limit
    )
    most = max(FULL, shown.percent_used, ahead or FULL, *shown.budget.lines)
    # Room behind the limit, so that its line is seen.
    top = min(most, _MOST_PERCENT) * Decimal("1.04")

    def place(percent: Decimal) -> float:
        return round(float(min(max(percent / top, Decimal(0)), Decimal(1)) * 100), 2)

    notches = [
        Notch(place(each), each, each <= shown.percent_used)
        for each in shown.budget.lines
        if each <= top
    ]
    return Bar(
        place(shown.percent_used),
        None if ahead is None else place(ahead),
        notches,
        look(shown, now).kind,
    )


class Crossed(NamedTuple):
    """Lines that one event told of: the alert of the highest, and all in percent."""

    alert: Any
    lines: str


def together(alerts: Iterable[Any]) -> list[Crossed]:
    """Return alerts with those that one event told of as one, in their order."""
    groups: dict[Any, list[Any]] = {}
    for each in alerts:
        own = (each.budget_id, each.period_start, each.basis, each.threshold)
        key = (each.event_id or own, each.recovered_at)
        groups.setdefault(key, []).append(each)
    return [
        Crossed(some[-1], ", ".join(short(each.threshold) for each in some))
        for some in groups.values()
    ]


def history(found: Detailed) -> Chart:
    """Return what was spent in the periods before and in this one, the oldest first.

    The line across is the limit as it is now.
    """
    now = (found.period.start, found.period.end, found.usage.spent)
    rows = [(each.period_start, each.period_end, each.spent) for each in found.history]
    periods = [*reversed(rows), now]
    limit = found.budget.limit
    top, steps = charts.scale(float(max(limit, *(each[2] for each in periods))))
    width = 100 / len(periods)
    columns = [
        Column(
            at,
            until,
            n * width,
            width,
            [_part(spent, limit, top)],
            [money(each, found.row.currency) for each in (spent, limit)],
            is_empty=False,
        )
        for n, (at, until, spent) in enumerate(periods)
    ]
    y = charts.HEIGHT - charts.HEIGHT * float(limit) / top
    marks = [Mark(each.x + width / 2, each.at, "day") for each in columns]
    ticks = [
        Tick(charts.HEIGHT - charts.HEIGHT * each / top, compact(Decimal(str(each))))
        for each in steps
    ]
    layers = (Layer("spend", "Spent"), Layer("limit", "Limit now"))
    thinned = marks[:: max(1, round(len(marks) / 6))]
    return Chart(layers, columns, ticks, thinned, [Line("limit", f"M0 {y:.1f}H100")])


def _part(spent: Decimal, limit: Decimal, top: float) -> Part:
    tall = max(charts.HEIGHT * float(spent) / top, 1.5 if spent > 0 else 0.0)
    kind = "over" if spent >= limit else "spend"
    return Part(kind, round(charts.HEIGHT - tall, 2), round(tall, 2))


def period_words(period: Period) -> str:
    """Return a period in words."""
    match period:
        case Calendar(unit, zone):
            return f"Each {unit}, {zone}"
        case Rolling(length):
            hours = int(length.total_seconds()) // 3_600
            if hours % 24 or hours == 24:
                return f"Last {hours} hours" if hours != 1 else "Last hour"
            return f"Last {hours // 24} days"
        case Once():
            return "Once"


def scope_words(scope_type: str, scope_id: str) -> str:
    """Return in words whom a budget is for."""
    return f"{SCOPES[scope_type]} {scope_id}".strip()


def money(amount: Decimal, currency: str) -> str:
    """Return a sum as people read it: cut, so that it never seems more than it is."""
    return f"{plain(amount)}\u00a0{currency}"


def plain(amount: Decimal) -> str:
    """Return a sum without its currency; small ones to four digits that count."""
    step = _CENTS
    if amount and abs(amount) < 1:
        step = min(step, Decimal(1).scaleb(amount.adjusted() - _FINE_DIGITS + 1))
    # In a context of its own: a sum of a hundred digits is one.
    cut = budgets.EXACT.copy()
    cut.traps, cut.rounding = dict.fromkeys(cut.traps, False), ROUND_DOWN
    text = f"{amount.quantize(step, context=cut):,f}".replace(",", _NARROW_SPACE)
    return text if step == _CENTS else text.rstrip("0")


def compact(amount: Decimal) -> str:
    """Return a sum for an axis, where there is little room."""
    for size, name in ((10**9, "\u00a0G"), (10**6, "\u00a0M"), (10**4, "\u00a0k")):
        if abs(amount) >= size:
            return f"{float(amount) / (1000 if size == 10**4 else size):.4g}{name}"
    return f"{float(amount):.4g}"


def short(percent: Decimal) -> str:
    """Return a percentage without needless digits."""
    text = f"{percent:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
