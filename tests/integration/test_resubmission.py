"""Rejected events that come again, as they came or edited."""

from __future__ import annotations

import json
import threading

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from ascwebhooks.cli.context import Tools
from ascwebhooks.cli.rejected_events import rejected_events
from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.errors import NotFound
from ascwebhooks.services.intakes import Resubmitted
from ascwebhooks.storage.unit_of_work import UnitOfWork
from tests.waiting import wait_until

REJECTED = "/rejected-events"
OURS = "/tenants/acme/rejected-events"


def reject(api, raw):
    """Publish something that is refused; return its id among the rejected."""
    refused = api.publish_body(raw, "application/cloudevents+json")
    assert refused.status_code == 422, refused.text
    return api.get(REJECTED).json["items"][0]["id"]


def resubmit(api, path, event=None, **options):
    """Resubmit with the bytes of an event, as they are, or without a body."""
    if event is None:
        return api.post(f"{path}/resubmit", **options)
    body = b'{"event": %b}' % event
    return api.post(f"{path}/resubmit", data=body, content_type="application/json")


def rows(pipeline):
    return pipeline.rows("SELECT code, detail FROM rejected_event ORDER BY id")


def test_an_event_of_a_tenant_that_exists_by_now_is_accepted_as_it_came(
    api, pipeline, event
):
    """The reason was mended elsewhere: its bytes are right, and it is delivered."""
    data = '{"spend" : 103.20}'
    rejected_id = reject(api, event(data, tenantid="globex", id="e-7"))
    pipeline.services.tenants.create("globex")
    endpoint_id = pipeline.endpoint(tenant_id="globex")

    answer = resubmit(api, f"{REJECTED}/{rejected_id}")

    assert answer.status_code == 202
    (accepted,) = answer.json["accepted"]
    assert (accepted["source_id"], accepted["deliveries"]) == ("e-7", 1)
    shown = api.get(f"/tenants/globex/events/{accepted['id']}")
    assert f'"data":{data}'.encode() in shown.data
    assert pipeline.rows("SELECT endpoint_id FROM delivery") == [(endpoint_id,)]
    assert pipeline.rung() == [endpoint_id], "as any event that is accepted"
    assert rows(pipeline) == []


def test_an_edited_event_is_accepted_byte_for_byte(api, pipeline, event):
    rejected_id = reject(api, event("1", type="budget exceeded"))
    data = '{"a" :1.0,  "b":"\\u00e9"}'

    answer = resubmit(api, f"{OURS}/{rejected_id}", event(data))

    (accepted,) = answer.json["accepted"]
    shown = api.get(f"/tenants/acme/events/{accepted['id']}")
    assert f'"data":{data}'.encode() in shown.data
    assert shown.json["type"] == "budget.exceeded"
    assert rows(pipeline) == []
    assert resubmit(api, f"{OURS}/{rejected_id}", event(data)).status_code == 404


def test_what_is_refused_as_it_came_stays_with_the_new_reason(api, pipeline, event):
    """There is no second row, and its bytes are those that came."""
    raw = event("1", tenantid="globex")
    rejected_id = reject(api, raw)
    assert rows(pipeline)[0].code == "unknown_tenant"
    pipeline.services.tenants.create("globex")
    pipeline.accept(event("2", tenantid="globex"))

    answer = resubmit(api, f"{REJECTED}/{rejected_id}")

    assert (answer.status_code, answer.json["code"]) == (422, "events_rejected")
    (refused,) = answer.json["rejected"]
    assert refused["code"] == "id_conflict"
    found = api.get(f"{REJECTED}/{rejected_id}").json
    assert (found["code"], found["detail"]) == ("id_conflict", refused["detail"])
    assert found["raw"].encode() == raw
    assert len(rows(pipeline)) == 1
    assert pipeline.one("SELECT count(*) FROM event") == 1


def test_an_edited_event_that_is_refused_changes_nothing(api, pipeline, event):
    """The row says why what it holds was refused; the answer says it of the edit."""
    raw = event("1", type="a b")
    rejected_id = reject(api, raw)
    before = rows(pipeline)

    answer = resubmit(api, f"{OURS}/{rejected_id}", event("1", id=""))

    assert answer.status_code == 422
    assert [each["code"] for each in answer.json["rejected"]] == ["missing_attribute"]
    assert rows(pipeline) == before
    assert api.get(f"{OURS}/{rejected_id}").json["raw"].encode() == raw


def test_what_is_there_already_is_a_duplicate_and_no_longer_rejected(
    api, pipeline, event
):
    rejected_id = reject(api, event("1", type="a b"))
    pipeline.accept(event("1"))

    answer = resubmit(api, f"{OURS}/{rejected_id}", event("1"))

    assert [each["duplicate"] for each in answer.json["accepted"]] == [True]
    assert rows(pipeline) == []
    assert pipeline.one("SELECT count(*) FROM event") == 1


def test_a_tenants_key_resubmits_its_own_alone(api, pipeline, event):
    pipeline.services.tenants.create("globex")
    ours = reject(api, event("1", type="a b"))
    theirs = reject(api, event("1", type="a b", tenantid="globex"))
    nobodys = reject(api, event("1", tenantid="initech"))
    somebody = api.as_(Role.OPERATOR, "acme")

    for path in (
        f"{OURS}/{theirs}",
        f"{OURS}/{nobodys}",
        f"/tenants/globex/rejected-events/{theirs}",
        f"{REJECTED}/{ours}",
    ):
        assert resubmit(somebody, path, event("1")).status_code == 404
    elsewhere = resubmit(somebody, f"{OURS}/{ours}", event("1", tenantid="globex"))
    assert elsewhere.status_code == 422
    assert elsewhere.json["rejected"][0]["code"] == "tenant_not_permitted"
    assert pipeline.one("SELECT count(*) FROM event") == 0
    assert len(rows(pipeline)) == 3
    assert resubmit(somebody, f"{OURS}/{ours}", event("1")).status_code == 202


def test_an_event_that_named_another_tenant_does_not_get_there_as_it_came(
    api, pipeline, event
):
    """A tenant's key sent it: the platform's operator does not lend it his own."""
    pipeline.services.tenants.create("globex")
    publisher = api.as_(Role.PUBLISHER, "acme")
    raw = event("1", tenantid="globex")
    publisher.publish_body(raw, "application/cloudevents+json")
    rejected_id = api.get(REJECTED).json["items"][0]["id"]

    answer = resubmit(api, f"{REJECTED}/{rejected_id}")
    assert answer.json["rejected"][0]["code"] == "tenant_not_permitted"
    assert pipeline.one("SELECT count(*) FROM event") == 0

    assert resubmit(api, f"{REJECTED}/{rejected_id}", raw).status_code == 202


@pytest.mark.parametrize(
    ("role", "status"),
    [(Role.PUBLISHER, 403), (Role.VIEWER, 403), (Role.OPERATOR, 202)],
)
def test_an_operator_resubmits(api, event, role, status):
    rejected_id = reject(api, event("1", type="a b"))
    answer = resubmit(api.as_(role), f"{REJECTED}/{rejected_id}", event("1"))
    assert answer.status_code == status


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("UPDATE rejected_event SET truncated = true", id="truncated"),
        pytest.param("UPDATE rejected_event SET sealed = 'x'", id="does not open"),
    ],
)
def test_what_is_not_all_there_has_to_be_given(api, pipeline, event, change):
    rejected_id = reject(api, event("1", type="a b"))
    pipeline.do(change)

    refused = resubmit(api, f"{OURS}/{rejected_id}")
    assert (refused.status_code, list(refused.json["errors"])) == (422, ["event"])
    assert len(rows(pipeline)) == 1
    assert resubmit(api, f"{OURS}/{rejected_id}", event("1")).status_code == 202


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "unreadable_body"),
        (b"[]", "application/json", 400, "unreadable_body"),
        (b'{"events": 1}', "application/json", 400, "unreadable_body"),
        (b'{"event": {}}', "text/plain", 415, "unsupported_media_type"),
        (b'{"event": 1}', "application/json", 422, "events_rejected"),
        (b"{}" + b" " * 400_000, "application/json", 413, "payload_too_large"),
    ],
)
def test_a_bad_body_is_said_and_nothing_happens(api, body, content_type, status, code):
    made = {"specversion": "1.0", "id": "1", "source": "/a", "tenantid": "acme"}
    path = f"{OURS}/{reject(api, json.dumps(made).encode())}/resubmit"
    before = rows(api.pipeline)
    refused = api.post(path, data=body, content_type=content_type)
    assert (refused.status_code, refused.json["code"]) == (status, code)
    assert rows(api.pipeline) == before


def test_of_two_who_resubmit_at_once_one_finds_it_gone(api, pipeline, event):
    """Their edits differ, so nothing else would keep the second from being sent."""
    shown = reject(api, event("1", type="a b"))
    rejected_id = ids.read(Kind.REJECTED_EVENT, shown)
    outcome = []

    def second() -> None:
        try:
            edited = event("2", id="second")
            pipeline.services.rejected_events.resubmit("acme", rejected_id, edited)
        except NotFound as error:
            outcome.append(error)

    with pipeline.engine.begin() as first:
        first.execute(text("DELETE FROM rejected_event"))
        thread = threading.Thread(target=second)
        thread.start()
        wait_until(pipeline.waiting_for_a_lock, 10, "the second waits for the first")
    thread.join(10)

    assert [type(each) for each in outcome] == [NotFound]
    assert pipeline.one("SELECT count(*) FROM event") == 0
    assert pipeline.one("SELECT count(*) FROM event_key") == 0


def test_the_command_line_resubmits(api, pipeline, event, tmp_path):
    """Exit status 0 and the event's id; 1 and the reason."""
    tools = Tools(*[None] * 7)
    tools.__dict__["services"] = pipeline.services
    rejected_id = reject(api, event("1", type="a b"))
    edited = tmp_path / "edited.json"

    def run(*options: str):
        arguments = ["resubmit", rejected_id, "--tenant", "acme", "--json", *options]
        return CliRunner().invoke(rejected_events, arguments, obj=tools)

    def printed(result):
        return json.loads(result.stdout[result.stdout.index("{\n") :])  # after logs

    again = run()
    assert again.exit_code == 1
    assert printed(again)["code"] == "invalid_attribute"
    edited.write_bytes(event("1"))
    done = run("--event", str(edited))
    assert done.exit_code == 0
    shown = printed(done)
    assert (shown["accepted"], shown["deliveries"]) == (True, 0)
    assert api.get(f"/tenants/acme/events/{shown['id']}").status_code == 200
    assert run().exit_code != 0
    assert isinstance(run().exception, NotFound)


def test_it_goes_with_the_commit_that_accepts_it(pipeline, event):
    """Rung before the commit, or in another transaction, it would be lost or twice."""
    pipeline.accept(event("1", type="a b"))
    rejected_id = pipeline.one("SELECT id FROM rejected_event")

    def dies_after_writing() -> UnitOfWork:
        uow = pipeline.uow()
        uow.commit = lambda: (_ for _ in ()).throw(RuntimeError("the process died"))
        return uow

    acceptance = pipeline.acceptance(lambda _: None, dies_after_writing)
    with pytest.raises(RuntimeError, match="the process died"):
        acceptance.accept(
            [event("1")],
            via="resubmit",
            resubmits=Resubmitted(rejected_id, as_it_came=False),
        )

    assert len(rows(pipeline)) == 1
    assert pipeline.one("SELECT count(*) FROM event") == 0
