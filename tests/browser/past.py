"""How an installation stood before a test came: a month, with what went wrong in it.

Each day has a wave.  A week ago workers were too few, last night a receiver was away,
and for a while nobody sampled.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import pi, sin

from ascwebhooks.domain.gauge_samples import Sample, Taken
from ascwebhooks.services.container import Services

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
#: How long before now what happened, and for how long it went on.
_TOO_FEW = (7 * _DAY, 9 * _HOUR)
_AWAY = (11 * _HOUR, 4 * _HOUR)
_STALLED = (34 * _MINUTE, 12 * _MINUTE)
_NOBODY = (
    (16 * _DAY, 30 * _HOUR),
    (19 * _HOUR, 2 * _HOUR),
    (18 * _MINUTE, 5 * _MINUTE),
)


def live_through(services: Services, tenant_id: str) -> None:
    """Write samples of the past down, of the platform and of one tenant."""
    now = datetime.now(UTC)
    for back in _times():
        if not any(_within(back, *each) for each in _NOBODY):
            services.gauge_samples.write(now - back, _at(now - back, back, tenant_id))
    services.gauge_samples.keep()


def _times() -> Iterator[timedelta]:
    """Yield how long ago samples are, the oldest first and the newest often."""
    yield from (n * _HOUR for n in range(30 * 24, 26, -1))
    yield from (n * _MINUTE for n in range(26 * 60, 75, -5))
    yield from (n * _MINUTE for n in range(75, 0, -1))


def _within(back: timedelta, since: timedelta, lasted: timedelta) -> bool:
    return since - lasted <= back <= since


def _into(back: timedelta, since: timedelta, lasted: timedelta) -> float:
    """Return how far into it that was, 0 to 1; 0 outside."""
    return (since - back) / lasted if _within(back, since, lasted) else 0.0


def _at(at: datetime, back: timedelta, tenant_id: str) -> Taken:
    wave = 1 + sin((at.hour * 60 + at.minute) / 720 * pi - 2)
    too_few, away = _into(back, *_TOO_FEW), _into(back, *_AWAY)
    stalled = _into(back, *_STALLED)
    days_left = 30 - back / _DAY
    due = int(6 * wave + 9_000 * too_few * (1 - too_few) + 2_600 * away + 140 * stalled)
    oldest_s = 0.4 * wave + 5_400 * too_few + 9_000 * away + 200 * stalled
    dead = int(days_left * 1.5 + (40 if back < _AWAY[0] - _AWAY[1] else 40 * away))
    failing = 1 + 2 * (away > 0) + (back < 2 * _HOUR)
    lag = int(20 * wave + 3_000 * too_few)
    own = Sample(due * 2 // 3, oldest_s, dead, failing, int(back < 5 * _DAY))
    return Taken(
        Sample(due, oldest_s, dead + 4, failing, own.disabled_endpoints, lag),
        {tenant_id: own},
    )
