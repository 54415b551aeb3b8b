"""Small charts of levels: how much was due, dead or failing, and where nobody looked.

As in ``charts``: across in percent, down in pixels, and nothing is read or written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from ascwebhooks.domain.gauge_samples import History, Sample
from ascwebhooks.domain.statistics import Series, Tally
from ascwebhooks.services.overviews import Count, Overview
from ascwebhooks.web.admin import charts
from ascwebhooks.web.admin.charts import Column, Layer, Line, Mark, Tick

#: How high a plot is; there is room for the labels of the axis below it.
HEIGHT = 64.0
#: Stands where nothing was sampled.
NOT_SAMPLED = "not sampled"
_UNREAD = "?"
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400
#: Where an axis of time may end, in seconds; from a day on at whole days.
_TOPS_S = (
    *(1, 2, 5, 10, 30, _MINUTE_S, 2 * _MINUTE_S, 5 * _MINUTE_S, 10 * _MINUTE_S),
    *(30 * _MINUTE_S, _HOUR_S, 2 * _HOUR_S, 6 * _HOUR_S, 12 * _HOUR_S, _DAY_S),
)
#: A plot is narrow: of the labels below so many at most.
_MARKS = 4

Value = float | None
Show = Callable[[float], str]


class Gap(NamedTuple):
    """A time in which nothing was sampled: where it is, in percent."""

    x: float
    width: float


@dataclass(frozen=True)
class Level:
    """One small chart, and the same in words; ``now`` is what stands beside it."""

    title: str
    now: str
    summary: str
    layers: Sequence[Layer]
    columns: Sequence[Column]
    ticks: Sequence[Tick]
    marks: Sequence[Mark]
    lines: Sequence[Line]
    areas: Sequence[Line]
    gaps: Sequence[Gap]
    height: float = HEIGHT


class Row(NamedTuple):
    """A step of time in the table; no values if it was not sampled."""

    at: datetime
    values: Sequence[str]


@dataclass(frozen=True)
class Levels:
    """All small charts of a page, and one table of them."""

    charts: Sequence[Level]
    layers: Sequence[Layer]
    rows: Sequence[Row]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever sampled."""
        return not self.rows

    @property
    def has_gaps(self) -> bool:
        """Whether any time was not sampled."""
        return any(each.gaps for each in self.charts)


def levels(found: Overview, *, with_stream: bool) -> Levels:
    """Return the small charts of an overview.

    Args:
        found: The overview.
        with_stream: Whether it is the platform's, which has a stream.
    """
    failing = found.counts.barred + found.counts.failing
    late_s = found.oldest_due_s or 0.0
    lag = found.stream_lag
    sketches = [
        _Sketch("Due", _count(found.due), (_DUE,)),
        _Sketch(
            "Oldest due",
            _UNREAD if found.due is None else seconds(late_s),
            (_OLDEST,),
            seconds,
            seconds,
            _top_s,
        ),
        _Sketch("Dead letters", _count(found.dead), (_DEAD,)),
        _Sketch("Failing endpoints", charts.count(failing), _ILL),
    ]
    if with_stream:
        now = _UNREAD if lag is None else charts.count(lag)
        sketches.append(_Sketch("On the stream", now, (_LAG,)))
    made = [each.level(found.history) for each in sketches]
    return Levels(
        made,
        [layer for each in made for layer in each.layers],
        _rows(found.history, made),
    )


def seconds(value: float) -> str:
    """Return a time as people read it."""
    for size, name in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if value >= 2 * size or (value >= size and value % size == 0):
            many = value / size
            return f"{many:.2g}\u00a0{name}" if many < 10 else f"{many:.0f}\u00a0{name}"
    return f"{value:.0f}\u00a0s"


def compact(value: float) -> str:
    """Return a count for an axis, where there is little room."""
    for least, unit, name in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= least:
            return f"{value / unit:.3g}\u00a0{name}"
    return charts.count(value)


_DUE = Layer("due", "Due")
_OLDEST = Layer("late", "Oldest due")
_DEAD = Layer("dead", "Dead letters")
_ILL = (Layer("failed", "Failing"), Layer("ended", "Disabled"))
_LAG = Layer("lag", "On the stream")
_FIELDS: dict[str, Callable[[Sample], Value]] = {
    "due": lambda each: each.due,
    "late": lambda each: each.oldest_due_s,
    "dead": lambda each: each.dead_letters,
    "failed": lambda each: each.failing_endpoints,
    "ended": lambda each: each.disabled_endpoints,
    "lag": lambda each: each.stream_lag,
}


def _top(most: float) -> float:
    return charts.scale(most, whole=True)[0]


def _top_s(most: float) -> float:
    days = -(-most // _DAY_S) * _DAY_S
    return next((each for each in _TOPS_S if each >= most), days)


class _Sketch(NamedTuple):
    """A small chart before anything is known of the time."""

    title: str
    now: str
    layers: Sequence[Layer]
    show: Show = charts.count
    label: Show = compact
    top: Callable[[float], float] = _top

    def level(self, history: History) -> Level:
        """Return the chart of a history."""
        values = [
            [_FIELDS[each.kind](sample) for each in self.layers]
            for sample in history.samples
        ]
        most = max((each or 0.0 for row in values for each in row), default=0.0)
        top = self.top(most)
        shown = (0.0, top) if most else (0.0,)
        lines = [[row[n] for row in values] for n in range(len(self.layers))]
        return Level(
            self.title,
            self.now,
            f"Now {self.now}; {self._peaks(lines)}.",
            self.layers,
            [self._column(history, n, row) for n, row in enumerate(values)],
            [Tick(HEIGHT - HEIGHT * each / top, self.label(each)) for each in shown],
            _marks(history),
            [_line(layer, line, top) for layer, line in self._drawn(lines)],
            [_area(layer, line, top) for layer, line in self._drawn(lines)],
            _gaps([row[0] for row in values]),
        )

    def _drawn(
        self, lines: Sequence[Sequence[Value]]
    ) -> list[tuple[Layer, Sequence[Value]]]:
        """Return layers with their lines, what is told first on top."""
        return list(zip(self.layers, lines, strict=True))[::-1]

    def _peaks(self, lines: Sequence[Sequence[Value]]) -> str:
        known = [[each for each in line if each is not None] for line in lines]
        if not any(known):
            return NOT_SAMPLED
        return ", ".join(
            f"{layer.label.lower()} at most {self.show(max(line, default=0.0))}"
            for layer, line in zip(self.layers, known, strict=True)
        )

    def _column(self, history: History, n: int, row: Sequence[Value]) -> Column:
        width = 100 / len(history.samples)
        at = history.begins + n * history.step
        values = [NOT_SAMPLED if each is None else self.show(each) for each in row]
        is_gap = all(each is None for each in row)
        return Column(at, at + history.step, n * width, width, (), values, is_gap)


def _line(layer: Layer, line: Sequence[Value], top: float) -> Line:
    return Line(layer.kind, charts.path(line, top, HEIGHT))


def _area(layer: Layer, line: Sequence[Value], top: float) -> Line:
    """Return what is below a line: down to the ground on either side of a gap."""
    width = 100 / max(len(line), 1)
    pieces = []
    for first, end in _runs([each is not None for each in line]):
        points = [
            f"L{(n + 0.5) * width:.2f} {HEIGHT - HEIGHT * (line[n] or 0.0) / top:.1f}"
            for n in range(first, end)
        ]
        left, right = (first + 0.5) * width, (end - 0.5) * width
        pieces.append(
            f"M{left:.2f} {HEIGHT:.1f}{''.join(points)}L{right:.2f} {HEIGHT:.1f}Z"
        )
    return Line(layer.kind, "".join(pieces))


def _gaps(line: Sequence[Value]) -> list[Gap]:
    """Return where nothing was sampled; the last step may yet be."""
    width = 100 / max(len(line), 1)
    unknown = [each is None for each in line[:-1]]
    return [Gap(first * width, (end - first) * width) for first, end in _runs(unknown)]


def _runs(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """Return from where to before where flags are set on end."""
    found: list[tuple[int, int]] = []
    for n, flag in enumerate(flags):
        if flag and found and found[-1][1] == n:
            found[-1] = (found[-1][0], n + 1)
        elif flag:
            found.append((n, n + 1))
    return found


def _marks(history: History) -> list[Mark]:
    along = Series(history.begins, history.step, [Tally()] * len(history.samples))
    found = charts.marks(along)
    return found[:: -(-len(found) // _MARKS) or 1]


def _rows(history: History, made: Sequence[Level]) -> list[Row]:
    """Return the steps from the first that was sampled."""
    rows = [
        Row(
            history.begins + n * history.step,
            [value for each in made for value in each.columns[n].values]
            if any(value is not None for value in sample)
            else (),
        )
        for n, sample in enumerate(history.samples)
    ]
    first = next((n for n, each in enumerate(rows) if each.values), len(rows))
    return rows[first:]


def _count(found: Count | None) -> str:
    if found is None:
        return _UNREAD
    return charts.count(found.value) + "+" * (not found.is_exact)
