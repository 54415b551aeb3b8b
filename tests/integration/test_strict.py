"""Strict tenants: nothing is accepted but events of the catalogue, fit for its schemas.

All of it through the real way in; what is refused is kept, and can come again.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import jsonschema
import pytest
from sqlalchemy import event as hooks

from ascwebhooks.domain import event_schemas, ids
from ascwebhooks.domain.event_types import CATALOGUE, Sender
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.services.intakes import Accepted, Refused
from tests.integration import budgets, recorded_litellm
from tests.integration.pipeline import TENANT, event
from tests.integration.test_operations import tell
from tests.integration.traffic import failed
from tests.integration.traffic import told as incidents_told

GOOD = {"request_id": "r", "cost": {"amount": "0.5", "currency": "USD"}}
BAD = {"request_id": "r", "cost": {"amount": "a lot", "currency": "USD"}}
DETAIL = "data.cost.amount must match ^-?[0-9]+(\\.[0-9]+)?([eE][+-]?[0-9]+)?$."


@pytest.fixture
def strict(pipeline):
    """The pipeline, its tenant strict and with an endpoint for everything."""
    pipeline.services.tenants.change(TENANT, {"strict": True})
    pipeline.endpoint()
    return pipeline


def request(data=None, /, **attributes) -> bytes:
    """Return a request that was answered; by default one that fits."""
    text = json.dumps(GOOD if data is None else data)
    return event(text, **{"type": "request.completed", **attributes})


def code_of(verdict):
    return verdict.code if isinstance(verdict, Refused) else "accepted"


def rejected(pipeline, tenant_id=TENANT):
    return pipeline.services.rejected_events.page(tenant_id, limit=100)


# What is taken, and what is not


def test_a_misfit_and_an_unknown_type_are_refused_and_kept(strict):
    """The good ones beside them, and another tenant's, are accepted all the same."""
    strict.services.tenants.create("globex")
    verdicts = strict.accept(
        request(id="1"),
        request(BAD, id="2"),
        event("{}", id="3", type="nobody.knows.this"),
        request(BAD, id="4", tenantid="globex"),
        event("{}", id="5", type="nobody.knows.this", tenantid="globex"),
        request(id="6"),
    )

    assert [code_of(each) for each in verdicts] == [
        "accepted",
        "schema_mismatch",
        "unknown_type",
        "accepted",
        "accepted",
        "accepted",
    ]
    assert verdicts[1].detail == DETAIL
    unknown, misfit = rejected(strict)
    assert (misfit.code, misfit.detail, misfit.source_id) == (*verdicts[1], "2")
    assert (unknown.code, unknown.detail, unknown.source_id) == (*verdicts[2], "3")
    assert rejected(strict, "globex") == []
    kept = strict.services.rejected_events.get(TENANT, misfit.id)
    assert kept.raw == request(BAD, id="2")
    assert strict.one("SELECT count(*) FROM event WHERE tenant_id = 'acme'") == 2
    assert strict.one("SELECT count(*) FROM delivery") == 2


def test_what_is_refused_counts_for_no_budget(strict):
    found = budgets.budget(strict, 100)
    usage = {"scope": {"team_id": "search"}}
    strict.accept(request({**GOOD, **usage}, id="1"))
    strict.accept(request({**GOOD, **usage, "attempt": 0}, id="2"))
    assert budgets.spent(strict, found) == Decimal("0.5")


def test_every_example_and_every_recorded_event_is_accepted(strict):
    examples = [
        event(json.dumps(each.example), id=each.type, type=each.type)
        for each in CATALOGUE.values()
    ]
    recorded = [
        json.dumps({**each, "tenantid": TENANT}).encode()
        for each in recorded_litellm.expected().values()
    ]
    assert len(recorded) == 254
    verdicts = strict.accept(*examples, *recorded)
    assert {code_of(each) for each in verdicts} == {"accepted"}
    assert rejected(strict) == []


def test_no_number_of_any_size_stops_a_batch(strict):
    huge = b'{"request_id": "r", "x": 1e999, "y": 1' + b"0" * 400 + b"}"
    verdicts = strict.accept(
        event(huge.decode(), id="1", type="request.completed"),
        event(
            '{"request_id": "r", "duration_ms": 1e999}',
            id="2",
            type="request.completed",
        ),
    )
    assert [code_of(each) for each in verdicts] == ["accepted", "schema_mismatch"]


# Coming again


def test_what_is_mended_is_accepted_and_what_is_not_is_refused_again(strict):
    strict.accept(request(BAD, id="1"))
    (row,) = rejected(strict)
    service = strict.services.rejected_events

    again = service.resubmit(TENANT, row.id)
    assert (again.code, again.detail) == ("schema_mismatch", DETAIL)
    assert [each.id for each in rejected(strict)] == [row.id], "no second row"

    mended = service.resubmit(TENANT, row.id, request(id="1"))
    assert isinstance(mended, Accepted)
    assert (mended.duplicate, mended.deliveries) == (False, 1)
    assert rejected(strict) == []


def test_as_it_came_it_is_accepted_once_the_tenant_is_not_strict_any_more(strict):
    strict.accept(request(BAD, id="1"), event("{}", id="2", type="nobody.knows.this"))
    strict.services.tenants.change(TENANT, {"strict": False})
    for row in rejected(strict):
        verdict = strict.services.rejected_events.resubmit(TENANT, row.id)
        assert isinstance(verdict, Accepted), verdict
    assert rejected(strict) == []


def test_what_came_before_the_tenant_was_strict_is_known_when_it_comes_again(pipeline):
    """A gateway that had no answer sends it once more: it was accepted."""
    (first,) = pipeline.accept(request(BAD, id="1"))
    pipeline.services.tenants.change(TENANT, {"strict": True})
    again, other, new = pipeline.accept(
        request(BAD, id="1"),
        request({**BAD, "attempt": 2}, id="1"),
        request(BAD, id="2"),
    )
    assert (again.id, again.duplicate) == (first.id, True)
    assert code_of(other) == "id_conflict"
    assert code_of(new) == "schema_mismatch"


# When it counts, and what it costs


def test_it_counts_from_the_next_batch_on_in_every_process(pipeline):
    """Each remembers a tenant's routes; a change makes it read them again."""
    other = pipeline.acceptance(lambda due: None)
    service = pipeline.services.tenants

    def both(number):
        raw = request(BAD, id=f"{number}"), request(BAD, id=f"{number}b")
        (one,) = pipeline.accept(raw[0])
        (two,) = other.accept([raw[1]], via="stream")
        return [code_of(one), code_of(two)]

    assert both(1) == ["accepted", "accepted"]
    service.change(TENANT, {"strict": True})
    assert both(2) == ["schema_mismatch", "schema_mismatch"]
    service.change(TENANT, {"strict": False})
    assert both(3) == ["accepted", "accepted"]


def statements(pipeline, *raws) -> list[str]:
    """Accept events; return the statements that it took."""
    seen: list[str] = []

    def note(connection, cursor, statement, *_):
        seen.append(statement)

    hooks.listen(pipeline.engine, "before_cursor_execute", note)
    try:
        pipeline.accept(*raws)
    finally:
        hooks.remove(pipeline.engine, "before_cursor_execute", note)
    return seen


def test_others_pay_nothing(pipeline):
    """No schema is looked at for them, and a strict tenant takes no statement more."""
    pipeline.endpoint()
    pipeline.accept(request(id="0"))
    looked = event_schemas._whole.cache_info()
    loose = statements(pipeline, request(id="1"), request(BAD, id="2"))
    assert event_schemas._whole.cache_info() == looked

    pipeline.services.tenants.change(TENANT, {"strict": True})
    pipeline.accept(request(id="3"))
    assert event_schemas._whole.cache_info() != looked
    assert statements(pipeline, request(id="4"), request(id="5")) == loose


# What this service tells itself


def test_own_events_reach_a_strict_tenant_and_fit(strict):
    """Operational events come the same way in, and are never turned away."""
    endpoint_id = strict.endpoint(event_types=["budget.*"])
    strict.accept(event(json.dumps(CATALOGUE["budget.exceeded"].example)))
    strict.services.events.send_test(TENANT, endpoint_id, "test-1")
    strict.services.secrets.rotate(TENANT, endpoint_id)
    strict.services.endpoint_states.disable(TENANT, endpoint_id, "gone")
    strict.services.endpoint_states.resume(TENANT, endpoint_id)
    made = {"endpoint.test"} | {each["type"] for each in tell(strict)}
    own = {
        each.type
        for each in CATALOGUE.values()
        if each.sender is Sender.SERVICE and each.group in {"endpoint", "delivery"}
    }
    assert made == own
    assert rejected(strict) == []
    for each in fitting(strict):
        assert each["data"].keys() == CATALOGUE[each["type"]].example.keys()


def fitting(pipeline):
    """Return this service's own events, each of which keeps to its schema."""
    rows = pipeline.rows(
        "SELECT id FROM event WHERE source LIKE '/ascwebhooks%' ORDER BY id"
    )
    assert rows
    for row in rows:
        opened = pipeline.services.events.get(TENANT, row.id)
        event_schemas.check(opened.event.type, opened.data)
        yield {"type": opened.event.type, "data": json.loads(opened.data)}


def test_what_is_derived_reaches_a_strict_tenant_and_fits(strict):
    found = budgets.budget(strict, 1)
    cost = {"amount": "0.9", "currency": "USD"}
    now = datetime.now(UTC)
    strict.accept(*(failed(now, cost=cost) for _ in range(30)))
    raised = {"limit": Decimal(900)}
    strict.services.budgets.change(TENANT, found.row.id, raised)
    for seconds in range(0, 600, 60):
        strict.services.incidents.evaluate(now + timedelta(seconds=seconds))
    types = {each["type"] for each in fitting(strict)}
    assert types >= {
        "budget.exceeded",
        "budget.recovered",
        "budget.changed",
        "provider.error_rate_high",
    }
    assert incidents_told(strict)
    assert rejected(strict) == []


# Where it is set


def test_it_is_set_by_the_api(api):
    made = api.post("/tenants", {"id": "globex", "strict": True})
    assert (made.status_code, made.json["strict"]) == (201, True)
    assert api.get(f"/tenants/{TENANT}").json["strict"] is False

    seen = api.get(f"/tenants/{TENANT}").headers["ETag"]
    changed = api.patch(f"/tenants/{TENANT}", {"strict": True})
    assert (changed.status_code, changed.json["strict"]) == (200, True)
    assert changed.headers["ETag"] != seen
    late = api.patch(
        f"/tenants/{TENANT}", {"strict": False}, headers={"If-Match": seen}
    )
    assert late.status_code == 412
    for wrong in ("yes", 1, None, []):
        answer = api.patch(f"/tenants/{TENANT}", {"strict": wrong})
        assert answer.status_code == 422, wrong
    for role in (Role.VIEWER, Role.OPERATOR, Role.PUBLISHER):
        answer = api.as_(role).patch(f"/tenants/{TENANT}", {"strict": False})
        assert answer.status_code == 403, role
    assert api.get(f"/tenants/{TENANT}").json["strict"] is True
    assert api.patch(f"/tenants/{TENANT}", {"name": "A"}).json["strict"] is True


def test_the_api_says_what_is_refused_and_why(strict, api):
    some = api.publish(request(id="1"), request(BAD, id="2"))
    assert some.status_code == 202
    assert some.json["rejected"] == [
        {"index": 1, "code": "schema_mismatch", "detail": DETAIL}
    ]
    none = api.publish(event("{}", id="3", type="nobody.knows.this"))
    assert none.status_code == 422
    assert none.json["rejected"][0]["code"] == "unknown_type"
    listed = api.get(f"/tenants/{TENANT}/rejected-events").json["items"]
    assert [each["code"] for each in listed] == ["unknown_type", "schema_mismatch"]


def test_a_change_is_in_the_audit_log(api):
    api.post("/tenants", {"id": "globex", "strict": True})
    api.patch("/tenants/globex", {"strict": False})
    page = api.pipeline.services.audit.page
    made, changed = (
        page(action=f"tenant.{each}")[0] for each in ("created", "changed")
    )
    assert {made.resource_id, changed.resource_id} == {"globex"}
    assert made.detail["strict"] is True
    assert changed.detail["to"] == {"strict": False}


def test_it_is_set_by_commands(pipeline, answer, call):
    assert answer("tenants", "create", "globex", "--strict")["strict"] is True
    assert answer("tenants", "create", "initech")["strict"] is False
    assert answer("tenants", "update", "globex", "--name", "G")["strict"] is True
    assert answer("tenants", "update", "globex", "--not-strict")["strict"] is False
    assert answer("tenants", "update", "globex", "--strict")["strict"] is True
    assert answer("tenants", "show", "globex")["strict"] is True
    assert call("tenants", "update", "globex")[0] == 2, "nothing to change"


def test_it_is_set_on_the_pages(pipeline, visit):
    somebody = visit()
    form = {"name": "Acme", "home_region": "default", "allowed_regions": "default"}

    def box(page):
        return re.search(r'<input[^>]*name="strict"[^>]*>', page.text)[0]

    def save(**more):
        page = somebody.get(f"/tenants/{TENANT}/edit")
        seen = re.search(r'name="seen" value="([^"]+)"', page.text)[1]
        answer = somebody.post(
            f"/tenants/{TENANT}/edit", {**form, "seen": seen, **more}
        )
        assert answer.status_code == 303
        return pipeline.services.tenants.get(TENANT).strict

    assert "checked" not in box(somebody.get(f"/tenants/{TENANT}/edit"))
    assert save(strict="1") is True
    assert "checked" in box(somebody.get(f"/tenants/{TENANT}/edit"))
    assert "Those of the catalogue alone" in somebody.get(f"/tenants/{TENANT}").text
    assert save() is False
    assert "Of all types" in somebody.get(f"/tenants/{TENANT}").text

    made = somebody.post("/new/tenant", {"id": "globex", "strict": "1"})
    assert made.status_code == 303
    assert pipeline.services.tenants.get("globex").strict is True
    wrong = somebody.post("/new/tenant", {"id": "no id", "strict": "1"})
    assert "checked" in box(wrong), "what was ticked stays"


def test_the_page_of_a_rejected_event_says_what_to_do(strict, visit):
    strict.accept(request(BAD, id="1"))
    shown = ids.show(Kind.REJECTED_EVENT, rejected(strict)[0].id)
    text = visit().get(f"/tenants/{TENANT}/rejected-events/{shown}").text
    assert "Its data does not fit the schema of its type" in text
    assert "data.cost.amount must match" in text
    assert "a lot" not in text


# What anybody may check


def test_the_catalogue_over_http_holds_by_itself(strict, api):
    """Whoever reads it validates with what they have, and is taken at its word."""
    found, query = [], "?limit=7"
    while query:
        page = api.as_(Role.VIEWER).get(f"/event-types{query}").json
        found += page["items"]
        cursor = page["next_cursor"]
        query = cursor and f"?limit=7&cursor={cursor}"
    assert [each["type"] for each in found] == list(CATALOGUE)
    for each in found:
        jsonschema.Draft202012Validator.check_schema(each["schema"])
        jsonschema.validate(each["example"], each["schema"])
        assert each["description"]
    verdicts = strict.accept(
        *(
            event(json.dumps(each["example"]), id=each["type"], type=each["type"])
            for each in found
        )
    )
    assert {code_of(each) for each in verdicts} == {"accepted"}
