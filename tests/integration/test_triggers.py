"""Triggers: what is worked out from signals is committed with them, or not at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from ascwebhooks.domain.derived import SOURCE, derived
from ascwebhooks.services.deriving import Deriving
from ascwebhooks.services.triggers import Triggers

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


def made(cause: str, tenant_id: str = "acme"):
    return derived(
        "budget.exceeded",
        id=f"test:{cause}",
        tenant_id=tenant_id,
        at=AT,
        subject=cause,
        data={"budget_id": cause, "at": AT},
    )


class Watching:
    """Derives one event from each signal; everybody's, or acme's alone."""

    def __init__(self, tenants=("acme",)):
        self.tenants = tenants
        self.seen = []
        self.versions = []

    def wants(self, uow, versions):
        self.versions.append(dict(versions))
        return self.tenants

    def observe(self, uow, signals):
        self.seen += signals
        return [made(each.signal.request_id) for each in signals]


def signal(event, number, **attributes):
    data = json.dumps({"request_id": f"r{number}"})
    return event(data, **{"type": "request.completed", "id": f"s{number}"} | attributes)


def test_a_derived_event_is_stored_and_delivered_in_the_signals_transaction(
    pipeline, event
):
    endpoint_id = pipeline.endpoint(event_types=("budget.*",))
    rung = []
    watching = Watching()
    acceptance = pipeline.acceptance(rung.append, triggers=Triggers([watching]))

    (verdict,) = acceptance.accept([signal(event, 1)], via="stream")

    assert (verdict.duplicate, verdict.deliveries) == (False, 0)
    (seen,) = watching.seen
    assert (seen.event_id, seen.signal.request_id) == (verdict.id, "r1")
    (row,) = pipeline.rows("SELECT * FROM event")
    assert (row.type, row.source, row.source_id) == (
        "budget.exceeded",
        SOURCE,
        "test:r1",
    )
    (delivery,) = pipeline.rows("SELECT * FROM delivery")
    assert (delivery.event_id, delivery.endpoint_id) == (row.id, endpoint_id)
    assert [{each.endpoint_id for each in due} for due in rung] == [{endpoint_id}]
    (xmins,) = pipeline.rows(
        "SELECT (SELECT count(DISTINCT xmin::text) FROM (SELECT xmin FROM event_key"
        " UNION ALL SELECT xmin FROM event UNION ALL SELECT xmin FROM delivery) AS x)"
    )
    assert xmins[0] == 1, "keys of both, event and delivery are of one transaction"


def test_what_cannot_be_written_takes_the_signal_back_with_it(pipeline, event):
    class Failing(Watching):
        def observe(self, uow, signals):
            super().observe(uow, signals)
            raise OSError("killed")

    acceptance = pipeline.acceptance(lambda _: None, triggers=Triggers([Failing()]))
    with pytest.raises(OSError, match="killed"):
        acceptance.accept([signal(event, 1)], via="stream")

    assert pipeline.one("SELECT count(*) FROM event_key") == 0
    watching = Watching()
    again = pipeline.acceptance(lambda _: None, triggers=Triggers([watching]))
    (verdict,) = again.accept([signal(event, 1)], via="stream")
    assert not verdict.duplicate
    assert len(watching.seen) == 1


def test_only_new_signals_of_wanted_tenants_are_shown(pipeline, event):
    """Neither duplicates, in a batch or later, nor other types, nor refused ones."""
    pipeline.services.tenants.create("globex")
    watching = Watching()
    acceptance = pipeline.acceptance(lambda _: None, triggers=Triggers([watching]))
    batch = [
        signal(event, 1),
        signal(event, 1),
        signal(event, 2, type="policy.custom"),
        signal(event, 3, type="budget.exceeded"),
        signal(event, 4, tenantid="globex"),
        signal(event, 5, tenantid="nobody"),
        b"{",
    ]

    acceptance.accept(batch, via="stream")
    acceptance.accept(batch, via="stream")

    assert [each.signal.request_id for each in watching.seen] == ["r1", "r2"]


def test_the_same_cause_makes_one_event(pipeline, event):
    acceptance = pipeline.acceptance(lambda _: None, triggers=Triggers([Watching()]))
    same = [signal(event, 1), signal(event, 1, id="other"), signal(event, 2)]

    acceptance.accept(same, via="stream")
    acceptance.accept([signal(event, 2, id="third")], via="stream")

    rows = pipeline.rows("SELECT source_id FROM event ORDER BY 1")
    assert [row.source_id for row in rows] == ["test:r1", "test:r2"]


def test_the_version_grows_with_what_is_configured(pipeline, event):
    watching = Watching()
    acceptance = pipeline.acceptance(lambda _: None, triggers=Triggers([watching]))
    acceptance.accept([signal(event, 1)], via="stream")
    pipeline.endpoint()
    acceptance.accept([signal(event, 2)], via="stream")

    first, second = watching.versions
    assert second["acme"] > first["acme"]


def test_nobody_else_may_publish_as_us(pipeline, event):
    """Whoever guesses an event's id could keep it from being told."""
    (verdict,) = pipeline.accept(event(source=SOURCE, id="test:r1"))
    assert verdict.code == "reserved_source"


@pytest.mark.parametrize("keep", ["wanted", "all"])
def test_a_signal_that_nobody_takes_is_kept_only_if_all_are(make_pipeline, event, keep):
    pipeline = make_pipeline(keep_signals=keep)
    pipeline.services.tenants.create("acme")
    pipeline.endpoint(event_types=("budget.*", "request.failed"))

    verdicts = pipeline.accept(
        signal(event, 1), signal(event, 2, type="request.failed"), event(id="own")
    )
    again = pipeline.accept(signal(event, 1))

    assert [each.deliveries for each in verdicts] == [0, 1, 1]
    assert (again[0].duplicate, again[0].id) == (True, verdicts[0].id)
    kept = {row.id for row in pipeline.rows("SELECT id FROM event")}
    assert kept == {each.id for each in verdicts[keep == "wanted" :]}


def test_a_signal_that_a_filter_refused_is_not_kept_and_one_it_failed_on_is(
    pipeline, event
):
    pipeline.endpoint(
        event_types=("request.completed",), filter='data.request_id == "r1"'
    )
    refused, taken = pipeline.accept(signal(event, 2), signal(event, 1))
    (failed,) = pipeline.accept(event("{}", type="request.completed", id="no id"))

    kept = {row.id for row in pipeline.rows("SELECT id FROM event")}
    assert kept == {taken.id, failed.id}
    assert refused.deliveries == 0


def test_others_derive_within_their_own_transaction(pipeline):
    pipeline.services.tenants.create("globex")
    endpoint_id = pipeline.endpoint()
    rung = []
    deriving = Deriving(pipeline.writing(), ring=rung.append)

    def derive(*events, commit=True):
        with pipeline.uow() as uow:
            uow.tenants.versions(["acme", "globex"])
            deriving.derive(uow, events)
            if commit:
                uow.commit()

    derive(made("a"), commit=False)
    assert pipeline.one("SELECT count(*) FROM event") == 0
    assert rung == []

    derive(made("a"), made("a"), made("b", "globex"), made("c", "nobody"))
    derive(made("a"))
    rows = pipeline.rows("SELECT tenant_id, source_id FROM event ORDER BY 2")
    assert [tuple(row) for row in rows] == [("acme", "test:a"), ("globex", "test:b")]
    (delivery,) = pipeline.rows("SELECT * FROM delivery")
    assert delivery.endpoint_id == endpoint_id
    assert [{each.endpoint_id for each in due} for due in rung if due] == [
        {endpoint_id}
    ]
