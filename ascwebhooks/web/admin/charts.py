"""The geometry of charts: from a series of tallies to what an SVG is made of.

Pure; ``templates/macros/charts.html`` draws it.  Across, everything is in percent of
the width, so that a chart fits any screen with its text unscaled; down, in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import floor, log10
from typing import NamedTuple

from ascwebhooks.domain.statistics import Series, Tally

#: How high the plot is; there is room for the labels of the axis below it.
HEIGHT = 160.0
#: Stands where there is no value.
ABSENT = "\u2013"
_GAP = 0.22
_DAY = timedelta(days=1)
#: How far the labels of the axis are apart, by how much is shown at most.
_MARKS_S = (
    (timedelta(hours=2), 600),
    (timedelta(days=2), 4 * 3_600),
    (timedelta(days=8), 86_400),
    (timedelta(days=40), 5 * 86_400),
)


class Layer(NamedTuple):
    """One thing that is shown: the class it is drawn with, and its word."""

    kind: str
    label: str


class Tick(NamedTuple):
    """A line across: how far down it is, and what it stands for."""

    y: float
    label: str


class Mark(NamedTuple):
    """A label below: how far to the right, and when that is."""

    x: float
    at: datetime
    form: str


class Part(NamedTuple):
    """A piece of a bar."""

    kind: str
    y: float
    height: float


class Line(NamedTuple):
    """A line through all columns, as an SVG path; gaps are where nothing was."""

    kind: str
    path: str


class Column(NamedTuple):
    """One step of time: where it is, its bar if there is one, and what it says."""

    at: datetime
    until: datetime
    x: float
    width: float
    parts: Sequence[Part]
    values: Sequence[str]
    is_empty: bool


@dataclass(frozen=True)
class Chart:
    """What is drawn, and the same as text.

    ``values`` of the columns are in the order of ``layers``.
    """

    layers: Sequence[Layer]
    columns: Sequence[Column]
    ticks: Sequence[Tick]
    marks: Sequence[Mark]
    lines: Sequence[Line] = ()
    height: float = HEIGHT

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened at all."""
        return all(each.is_empty for each in self.columns)

    @property
    def inset(self) -> float:
        """How much of a column is left free on either side, in percent."""
        return self.columns[0].width * _GAP / 2 if self.columns else 0.0


OUTCOMES = (
    Layer("delivered", "Delivered"),
    Layer("failed", "Failed, tried again"),
    Layer("dead", "Failed for good"),
)
#: Shown only where there are any: no attempt was made of these.
ENDED = Layer("ended", "Ended without an attempt")
PERCENTILES = (
    Layer("p50", "Half within (p50)"),
    Layer("p95", "95 % within (p95)"),
    Layer("p99", "99 % within (p99)"),
)
_SHARES = (0.5, 0.95, 0.99)


def outcomes(series: Series) -> Chart:
    """Return attempts by what they came to, as stacked bars."""
    layers = (*OUTCOMES, ENDED) if series.total.ended else OUTCOMES
    stacks = [_outcomes(each)[: len(layers)] for each in series.tallies]
    top, steps = scale(max(map(sum, stacks), default=0), whole=True)
    columns = [
        _column(series, n, stack, count, stacked(layers, stack, top))
        for n, stack in enumerate(stacks)
    ]
    return Chart(layers, columns, _ticks(steps, top, count), marks(series))


def latency(series: Series) -> Chart:
    """Return how long attempts took, as lines of percentiles."""
    found = [
        tuple(each.quantile_ms(share) for share in _SHARES) for each in series.tallies
    ]
    top, steps = scale(max((each or 0 for row in found for each in row), default=0))
    columns = [_column(series, n, row, duration, ()) for n, row in enumerate(found)]
    lines = [
        Line(layer.kind, path([row[n] for row in found], top))
        for n, layer in enumerate(PERCENTILES)
    ]
    return Chart(
        PERCENTILES, columns, _ticks(steps, top, duration), marks(series), lines
    )


def sparkline(series: Series, height: float = 28.0, together: int = 4) -> Chart:
    """Return small stacked bars without axes.

    Args:
        series: What happened.
        height: How high, in pixels.
        together: So many steps are one bar.
    """
    merged = []
    for n in range(0, len(series.tallies), together):
        total = Tally()
        for each in series.tallies[n : n + together]:
            total = total.plus(each)
        merged.append(total)
    coarse = Series(series.begins, series.step * together, merged)
    stacks = [_outcomes(each)[: len(OUTCOMES)] for each in merged]
    top = max(map(sum, stacks), default=0) or 1
    columns = [
        _column(coarse, n, stack, count, stacked(OUTCOMES, stack, top, height))
        for n, stack in enumerate(stacks)
    ]
    return Chart(OUTCOMES, columns, (), (), height=height)


def scale(most: float, *, whole: bool = False) -> tuple[float, list[float]]:
    """Return the top of an axis that holds ``most``, and the values to label.

    Args:
        most: The largest value there is.
        whole: Whether only whole numbers make sense.
    """
    if most <= 0:
        return 1.0, [0.0]
    rough = most / 4
    power = 10.0 ** floor(log10(rough))
    step = next(each * power for each in (1, 2, 2.5, 5, 10) if each * power >= rough)
    if whole:
        step = max(float(round(step + 0.49)), 1.0)
    count = int(-(-most // step))
    return step * count, [step * n for n in range(count + 1)]


def path(values: Sequence[float | None], top: float, height: float = HEIGHT) -> str:
    """Return an SVG path through values, 100 wide; a lone value is a dash."""
    width = 100 / max(len(values), 1)
    pieces: list[str] = []
    for n, value in enumerate(values):
        if value is None:
            continue
        y = height - height * value / top
        follows = n > 0 and values[n - 1] is not None
        if follows or (n + 1 < len(values) and values[n + 1] is not None):
            pieces.append(f"{'L' if follows else 'M'}{(n + 0.5) * width:.2f} {y:.1f}")
        else:
            # A dot of two pixels would not be seen.
            pieces.append(f"M{(n + 0.1) * width:.2f} {y:.1f}h{0.8 * width:.2f}")
    return "".join(pieces)


def marks(series: Series) -> list[Mark]:
    """Return the times to label below a chart."""
    shown = series.step * len(series.tallies)
    apart = next(each for most, each in _MARKS_S if shown <= most)
    form = "day" if apart >= _DAY.total_seconds() else "time"
    width = 100 / max(len(series.tallies), 1)
    found = [
        Mark(n * width, at, form)
        for n, at in enumerate(series.times())
        if int(at.timestamp()) % apart == 0
    ]
    # One at the very edge would be cut off.
    return [each for each in found if 4 <= each.x <= 92]


def count(value: float | None) -> str:
    """Return a number as people read it."""
    if value is None:
        return ABSENT
    return f"{value:,.0f}".replace(",", "\u202f")


def duration(ms: float | None) -> str:
    """Return milliseconds as people read them."""
    if ms is None:
        return ABSENT
    if ms >= 999.5:
        return f"{ms / 1_000:.3g}\u00a0s"
    return f"{ms:.0f}\u00a0ms" if ms >= 10 or ms == 0 else f"{ms:.1f}\u00a0ms"


def percent(share: float | None) -> str:
    """Return a share as people read it; nothing but all is 100 %."""
    if share is None:
        return ABSENT
    if share in (0, 1):
        return f"{share * 100:.0f}\u00a0%"
    return f"{min(max(share * 100, 0.1), 99.9):.1f}\u00a0%"


def _outcomes(tally: Tally) -> tuple[int, int, int, int]:
    again = max(tally.failed - tally.dead_lettered, 0)
    return tally.delivered, again, tally.failed - again, tally.ended


def _column(
    series: Series,
    n: int,
    values: Sequence[float | None],
    show: Callable[[float | None], str],
    parts: Sequence[Part],
) -> Column:
    width = 100 / len(series.tallies)
    at = series.begins + n * series.step
    return Column(
        at,
        at + series.step,
        n * width,
        width,
        parts,
        [show(each) for each in values],
        not any(values),
    )


def stacked(
    layers: Sequence[Layer], stack: Sequence[float], top: float, height: float = HEIGHT
) -> list[Part]:
    """Return a bar's parts, from below: one for each layer that there is any of."""
    parts, below = [], height
    for layer, value in zip(layers, stack, strict=True):
        if value:
            # One failure among thousands has to be seen.
            tall = max(height * value / top, 1.5)
            below = max(below - tall, 0.0)
            parts.append(Part(layer.kind, round(below, 2), round(tall, 2)))
    return parts


def _ticks(
    steps: Sequence[float], top: float, show: Callable[[float | None], str]
) -> list[Tick]:
    return [Tick(HEIGHT - HEIGHT * each / top, show(each)) for each in steps]
