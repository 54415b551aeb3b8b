"""Samples: what is nothing, and what nobody knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain.gauge_samples import Due, Ill, Sample, history, taken
from ascwebhooks.domain.statistics import Span

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def test_all_together_are_the_sums_and_the_oldest():
    found = taken(
        {"acme": Due(3, 40.0), "globex": Due(4, 7.5)},
        {"globex": 2, "initech": 1},
        {"acme": Ill(1, 2), "initech": Ill(0, 1)},
        9,
    )
    assert found.platform == Sample(7, 40.0, 3, 1, 3, 9)
    assert found.tenants == {
        "acme": Sample(3, 40.0, 0, 1, 2),
        "globex": Sample(4, 7.5, 2, 0, 0),
        "initech": Sample(0, 0.0, 1, 0, 1),
    }


def test_of_a_tenant_without_anything_nothing_is_written():
    found = taken({"acme": Due(0, 0.0)}, {"acme": 0}, {"acme": Ill(0, 0)}, 0)
    assert found.tenants == {}
    assert found.platform == Sample(0, 0.0, 0, 0, 0, 0)


def test_what_was_not_read_in_time_is_missing_for_everybody():
    found = taken(None, {"acme": 1}, None, None)
    assert found.platform == Sample(dead_letters=1)
    assert found.tenants == {"acme": Sample(dead_letters=1)}


@pytest.mark.parametrize(
    ("own", "platform", "shown"),
    [
        pytest.param(
            Sample(),
            Sample(5, 2.0, 1, 0, 0, 9),
            Sample(0, 0, 0, 0, 0),
            id="nothing to tell",
        ),
        pytest.param(
            Sample(2, 1.0, 0, 0, 0),
            Sample(5, 2.0, 1, 0, 0, 9),
            Sample(2, 1.0, 0, 0, 0),
            id="its own, and not the platform's",
        ),
        pytest.param(
            Sample(),
            Sample(dead_letters=7, stream_lag=9),
            Sample(dead_letters=0),
            id="what was not sampled of all is unknown of each",
        ),
    ],
)
def test_a_tenants_sample_is_read_beside_the_platforms(own, platform, shown):
    assert own.beside(platform) == shown


@given(st.sampled_from(Span), st.dictionaries(st.integers(0, 20), st.just(Sample(1))))
def test_a_history_has_each_step_of_its_span_and_gaps_where_nothing_is_known(
    span, found
):
    made = history(found, span, NOON)
    assert made.begins + len(made.samples) * made.step > NOON
    assert len(made.samples) * made.step == timedelta(seconds=span.back_s)
    for n, each in enumerate(made.samples):
        assert each == found.get(n, Sample())
