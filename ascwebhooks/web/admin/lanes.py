"""The geometry of a timeline: lanes one below the other on one axis of time.

As in ``charts``: across in percent, down in pixels, and nothing is read or written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from ascwebhooks.domain import budgets, usage
from ascwebhooks.domain.statistics import Series
from ascwebhooks.domain.statistics import Tally as Deliveries
from ascwebhooks.domain.timelines import Point
from ascwebhooks.services.usage import Timeline
from ascwebhooks.web.admin import budget_looks, charts
from ascwebhooks.web.admin.charts import Layer, Line, Mark, Part, Tick

#: How high a lane's plot is, and the room for its title above it.
HEIGHT = 64.0
HEAD = 40.0
#: A lane in which nothing was is but a line.
_FLAT = 2.0
#: So many currencies have a lane; the rest are in the table alone.
_CURRENCIES = 3
_EMPTY = "\u2013"

Value = float | int | Decimal | None
Show = Callable[[Value], str]


@dataclass(frozen=True)
class Lane:
    """One thing along the axis: what its layers are, and what is drawn of each step.

    ``total`` is what it comes to in all, ``stacks`` the bars of each step.
    """

    title: str
    total: str
    layers: Sequence[Layer]
    values: Sequence[Sequence[str]]
    stacks: Sequence[Sequence[Part]]
    ticks: Sequence[Tick]
    lines: Sequence[Line]
    top: float
    is_empty: bool

    @property
    def height(self) -> float:
        """How high its plot is."""
        return _FLAT if self.is_empty else HEIGHT


@dataclass(frozen=True)
class Step:
    """One step of time across all lanes, and what it says in their order."""

    at: datetime
    until: datetime
    x: float
    width: float
    values: Sequence[str]
    is_empty: bool


@dataclass(frozen=True)
class Picture:
    """All of it."""

    lanes: Sequence[Lane]
    steps: Sequence[Step]
    marks: Sequence[Mark]
    height: float

    @property
    def layers(self) -> Sequence[Layer]:
        """The layers of all lanes, in the order of the steps' values."""
        return [
            Layer(layer.kind, _named(lane, layer))
            for lane in self.lanes
            for layer in lane.layers
        ]

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened at all."""
        return all(each.is_empty for each in self.lanes)

    @property
    def inset(self) -> float:
        """How much of a step is left free on either side, in percent."""
        return self.steps[0].width * 0.11


def picture(found: Timeline) -> Picture:
    """Return a tenant's timeline as lanes."""
    points = found.points
    made = [
        *(_Sketch.of_spend(points, each) for each in currencies(points)[:_CURRENCIES]),
        _Sketch("Requests", _REQUESTS, [_requests(each) for each in points]),
        _Sketch(
            "Time to first token",
            (Layer("p50", "Half within"), Layer("p95", "95 % within")),
            [_first_tokens(each) for each in points],
            _duration,
            is_lines=True,
        ),
        _Sketch(
            "Fallbacks", (Layer("fallback", "Fallbacks"),), _of(points, "fallbacks")
        ),
        _Sketch(
            "Policy denials",
            (Layer("denial", "Policy denials"),),
            _of(points, "denials"),
        ),
        _Sketch(
            "Alerts",
            (Layer("alert", "Alerts"),),
            [(each.alerts or 0,) for each in points],
        ),
        _Sketch("Deliveries", _DELIVERIES, [_sent(each.deliveries) for each in points]),
    ]
    lanes: list[Lane] = []
    below = 0.0
    for each in made:
        lanes.append(each.lane(below + HEAD))
        below = lanes[-1].top + lanes[-1].height
    step = timedelta(seconds=found.axis.step_s)
    along = Series(found.axis.begins, step, [Deliveries()] * len(points))
    width = 100 / len(points)
    steps = [
        Step(
            point.at,
            point.at + step,
            n * width,
            width,
            [value for lane in lanes for value in lane.values[n]],
            not any(any(sketch.rows[n]) for sketch in made),
        )
        for n, point in enumerate(points)
    ]
    return Picture(lanes, steps, charts.marks(along), below)


def currencies(points: Sequence[Point]) -> list[str]:
    """Return the currencies that were spent, the one of most steps first."""
    counts: dict[str, int] = {}
    for each in points:
        for currency in each.used.spend:
            counts[currency] = counts.get(currency, 0) + 1
    return sorted(counts, key=lambda name: (-counts[name], name)) or ["USD"]


class _Sketch:
    """A lane before it has a place."""

    def __init__(
        self,
        title: str,
        layers: Sequence[Layer],
        rows: Sequence[Sequence[Value]],
        show: Show | None = None,
        *,
        is_lines: bool = False,
        axis: Show | None = None,
    ) -> None:
        self.title, self.layers, self.rows = title, layers, rows
        self._show = show or _count
        self._axis, self._is_lines = axis or self._show, is_lines

    @classmethod
    def of_spend(cls, points: Sequence[Point], currency: str) -> _Sketch:
        def show(value: Value) -> str:
            return (
                budget_looks.money(Decimal(value or 0), currency) if value else _EMPTY
            )

        def axis(value: Value) -> str:
            return budget_looks.compact(Decimal(str(value)))

        rows = [(each.used.spend.get(currency, Decimal(0)),) for each in points]
        layers = (Layer("spend", "Spend"),)
        return cls(f"Spend in {currency}", layers, rows, show, axis=axis)

    def lane(self, top: float) -> Lane:
        """Return the lane, so far down."""
        is_count = self._show is _count
        tall = [
            float(max((each or 0 for each in row), default=0))
            if self._is_lines
            else float(sum(max(each or 0, 0) for each in row))
            for row in self.rows
        ]
        most, steps = charts.scale(max(tall, default=0), whole=is_count)
        shown = [steps[0], steps[-1]] if steps[-1] else steps[:1]
        return Lane(
            self.title,
            self._total(),
            self.layers,
            [[self._show(each) for each in row] for row in self.rows],
            [() if self._is_lines else self._stack(row, most) for row in self.rows],
            [Tick(HEIGHT - HEIGHT * each / most, self._axis(each)) for each in shown]
            if any(tall)
            else [Tick(_FLAT, "")],
            self._lines(most) if self._is_lines else (),
            top,
            not any(tall),
        )

    def _total(self) -> str:
        if self._is_lines:
            return ""
        values = (Decimal(each or 0) for row in self.rows for each in row)
        total = budgets.total(values)
        return self._show(total) if total else "none"

    def _stack(self, row: Sequence[Value], most: float) -> list[Part]:
        whole = [max(float(each or 0), 0.0) for each in row]
        return charts.stacked(self.layers, whole, most, HEIGHT)

    def _lines(self, most: float) -> list[Line]:
        return [
            Line(
                layer.kind,
                charts.path([_float(row[n]) for row in self.rows], most, HEIGHT),
            )
            for n, layer in enumerate(self.layers)
        ]


_REQUESTS = (
    Layer("delivered", "Answered"),
    Layer("dead", "Failed"),
    Layer("denial", "Blocked"),
)
_DELIVERIES = (
    Layer("delivered", "Delivered"),
    Layer("failed", "Failed, tried again"),
    Layer("dead", "Failed for good"),
)


def _requests(point: Point) -> tuple[int, int, int]:
    of = point.used.tally.of
    return of("completed"), of("failed"), of("blocked")


def _first_tokens(point: Point) -> tuple[float | None, float | None]:
    buckets = point.used.tally.first_tokens
    return usage.quantile_ms(buckets, 0.5), usage.quantile_ms(buckets, 0.95)


def _of(points: Sequence[Point], name: str) -> list[tuple[int]]:
    return [(each.used.tally.of(name),) for each in points]


def _sent(tally: Deliveries | None) -> tuple[int, int, int]:
    found = tally or Deliveries()
    dead = min(found.dead_lettered, found.failed)
    return found.delivered, found.failed - dead, dead


def _count(value: Value) -> str:
    return charts.count(_float(value))


def _duration(value: Value) -> str:
    return charts.duration(_float(value))


def _float(value: Value) -> float | None:
    return None if value is None else float(value)


def _named(lane: Lane, layer: Layer) -> str:
    if len(lane.layers) == 1:
        return lane.title
    short = {"Time to first token": "First token"}.get(lane.title, lane.title)
    return f"{short}: {layer.label[:1].lower()}{layer.label[1:]}"
