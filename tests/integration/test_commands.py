"""Commands on real services: JSON alone on a pipe, a bar on a terminal, exit status."""

from __future__ import annotations

import base64
import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.dead import plant
from tests.integration.pipeline import NOWHERE
from tests.integration.traffic import signal

TENANT = ("--tenant", "acme")
URL = "http://127.0.0.1:9009/in"


def test_whatever_lists_prints_one_json_document_and_pages(pipeline, answer, event):
    for number in range(3):
        pipeline.services.tenants.create(f"t{number}")
        pipeline.endpoint(NOWHERE)
        answer("replay", "create", *TENANT, "--all", "--dry-run")
    raws = [event(id=f"e{number}") for number in range(3)]
    pipeline.services.acceptance.accept(
        [*raws, *(event(id=f"r{number}", type=...) for number in range(3))], via="http"
    )
    for _ in range(3):
        pipeline.services.keys.create("viewer")
    for noun in (
        ("tenants", "list"),
        ("keys", "list"),
        ("event-types", "list"),
        ("rejected-events", "list"),
        ("endpoints", "list", *TENANT),
        ("subscriptions", "list", *TENANT),
        ("events", "list", *TENANT),
        ("deliveries", "list", *TENANT),
        ("rules", "list", *TENANT),
    ):
        first = answer(*noun, "--limit", "2")
        rest = answer(*noun, "--limit", "1000", "--cursor", first["next_cursor"])
        whole = answer(*noun, "--limit", "1000")
        assert first["items"] + rest["items"] == whole["items"], noun
        assert (len(first["items"]), whole["next_cursor"]) == (2, None), noun
    for noun in (("dead-letters", "list"), ("replay", "list")):
        assert answer(*noun, *TENANT) == {"items": [], "next_cursor": None}


def test_dead_letters_are_narrowed_to_when_they_died(pipeline, call, answer):
    plant(pipeline, pipeline.endpoint(), 2, ago="3 hours")
    plant(pipeline, pipeline.endpoint(), 1, ago="10 minutes")
    since = f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    (group,) = answer("dead-letters", "list", *TENANT, "--died-since", since)["items"]
    assert group["deliveries"] == 1
    dry = ("--died-since", since, "--dry-run")
    assert answer("dead-letters", "replay", *TENANT, *dry)["count"] == 1
    bad = ("--died-since", "lately")
    assert call("dead-letters", "list", *TENANT, *bad)[0] == 2


def test_a_tenant_and_an_endpoint_are_updated(call, answer):
    tenant = answer("tenants", "update", "acme", "--name", "Acme, Inc.")
    assert tenant["name"] == "Acme, Inc."
    both = ("--allowed-region", "default", "--allowed-region", "eu")
    assert answer("tenants", "update", "acme", *both)["allowed_regions"] == [
        "default",
        "eu",
    ]
    made = answer("endpoints", "create", URL, *TENANT, "--event-type", "a.*")
    changed = ("--region", "eu", "--event-type", "b", "--filter", "data.n > 1")
    shown = answer("endpoints", "update", made["id"], *TENANT, *changed)
    assert (shown["region"], shown["event_types"]) == ("eu", ["b"])
    assert (shown["filter"], shown["url"]) == ("data.n > 1", URL)
    shown = answer("endpoints", "update", made["id"], *TENANT, "--no-filter")
    assert (shown["filter"], shown["event_types"]) == (None, ["b"])
    for wrong in ((), ("--filter", "true", "--no-filter"), ("--filter", "data.")):
        assert call("endpoints", "update", made["id"], *TENANT, *wrong)[0] == 2
    assert call("tenants", "update", "acme")[0] == 2
    assert call("tenants", "update", "acme", "--home-region", "mars")[0] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("tenants", "update", "nobody", "--name", "x"),
        ("tenants", "show", "nobody"),
        ("endpoints", "update", "ep_1", *TENANT, "--url", URL),
        ("endpoints", "show", "evt_01kb0c6v4ze8tbc5t6q1s2n3xy", *TENANT),
        ("endpoints", "pause", "nonsense", *TENANT),
        ("endpoints", "list", "--tenant", "nobody"),
        ("subscriptions", "show", "sub_01kb0c6v4ze8tbc5t6q1s2n3xy", *TENANT),
        ("deliveries", "cancel", "dlv_01kb0c6v4ze8tbc5t6q1s2n3xy", *TENANT),
        ("events", "why", "evt_01kb0c6v4ze8tbc5t6q1s2n3xy", *TENANT),
        ("replay", "status", "rpl_01kb0c6v4ze8tbc5t6q1s2n3xy", *TENANT),
        ("rules", "show", "rul_01kb0c6v4ze8tbc5t6q1s2n3xy", *TENANT),
        ("incidents", "show", "inc_01kb0c6v4ze8tbc5t6q1s2n3xy", *TENANT),
        ("usage", "--tenant", "nobody"),
        ("keys", "revoke", "key_1"),
        ("event-types", "show", "my.own"),
    ],
    ids=" ".join,
)
def test_what_is_not_there_is_1_with_one_line(call, arguments):
    status, out, err = call(*arguments)
    assert (status, out) == (1, "")
    known = ("there is no", "is not an id of the form", "has no event type")
    assert any(each in err for each in known)
    assert len(err.splitlines()) == 1


def test_rules_are_made_changed_and_removed(call, answer):
    listed = ("--set", 'allowed=["gpt-4o*"]', "--set", "repeat_s=null")
    create = ("rules", "create", "approved_models", *TENANT, "--name", "Approved")
    made = answer(*create, *listed)
    assert (made["allowed"], made["origin"]) == (["gpt-4o*"], "own")
    assert "repeat_s" not in made
    update = ("rules", "update", made["id"], *TENANT)
    shown = answer(*update, "--disable", "--severity", "critical")
    assert (shown["enabled"], shown["severity"]) == (False, "critical")
    assert answer("rules", "show", made["id"], *TENANT) == shown
    for wrong in (
        (),
        ("--set", "colour=1"),
        ("--set", "allowed=1"),
        ("--set", "quiet_s=x"),
        ("--set", "threshold=1"),
    ):
        assert call(*update, *wrong)[0] == 2, wrong
    assert call("rules", "delete", made["id"], *TENANT)[0] == 0
    assert call("rules", "show", made["id"], *TENANT)[0] == 1


def test_incidents_and_usage_are_shown(pipeline, call, answer):
    pipeline.accept(signal(fallback_from="gpt-4o", model="claude"))
    (found,) = answer("incidents", "list", *TENANT)["items"]
    assert found["subject"] == {"from_model": "gpt-4o", "to_model": "claude"}
    assert answer("incidents", "list", *TENANT, "--state", "resolved")["items"] == []
    shown = answer("incidents", "show", found["id"], *TENANT)
    assert [each["type"] for each in shown["events"]] == ["route.fallback_triggered"]
    assert (
        "route.fallback_triggered" in call("incidents", "show", found["id"], *TENANT)[1]
    )
    points = answer("usage", *TENANT)["items"]
    assert sum(each["requests"] for each in points) == 1
    assert sum(each["alerts"] for each in points) == 1
    (grouped,) = answer("usage", *TENANT, "--group-by", "model")["items"]
    assert grouped["spend"] == {"USD": "0.001"}
    assert "claude" in call("usage", *TENANT, "--group-by", "model")[1]


def test_the_catalogue_is_shown_for_people_too(call, answer):
    assert "budget.exceeded" in call("event-types", "list")[1]
    assert "incident_id" in call("event-types", "show", "provider.outage_started")[1]
    assert answer("event-types", "show", "endpoint.test")["sender"] == "ascwebhooks"


ROWS = "url,event_types,timeout_s\n{0}/1,a.* b,7\n{0}/2,a,40\n{0}/3,,\n"


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "endpoints.csv"
    made.write_text(ROWS.format(URL))
    return made


def test_a_file_of_endpoints_is_checked_made_and_given_again(call, file, pipeline):
    many = ("endpoints", "create-many", str(file), *TENANT)
    status, out, err = call(*many, "--dry-run", "--json")
    dry = json.loads(out)
    assert (status, err, dry["created"], dry["failed"]) == (1, "", 0, 1)
    assert pipeline.one("SELECT count(*) FROM endpoint") == 0

    status, out, _ = call(*many, "--json")
    made = json.loads(out)
    assert (status, made["created"], made["failed"]) == (1, 2, 1)
    assert [each["line"] for each in made["items"]] == [2, 3, 4]
    assert made["items"][1]["errors"] == {"timeout_s": ["Expected `int` <= 30."]}
    assert made["items"][0]["secret"].startswith("whsec_")

    file.write_text(ROWS.format(URL).replace("40", "30"))
    status, out, err = call(*many)
    assert status == 1, "what was made before is not made again"
    assert "1 of 3 were created." in err
    assert pipeline.one("SELECT count(*) FROM endpoint") == 3
    lines = out.splitlines()
    assert lines[0].split() == ["line", "status", "id", "secret", "problem"]
    assert f"url: {made['items'][0]['id']} has this URL" in out
    file.write_text(f"url\n{URL}/4\n")
    assert call(*many)[0] == 0


def test_a_file_that_cannot_be_read_is_2_and_names_the_line(call, tmp_path, pipeline):
    bad = tmp_path / "bad.jsonl"
    bad.write_text(f'{{"url": "{URL}"}}\n{{"url": \n')
    status, out, err = call("endpoints", "create-many", str(bad), *TENANT, "--json")
    assert (status, out) == (2, "")
    assert "bad.jsonl, line 2: this is not JSON" in err
    assert call("endpoints", "create-many", "/nowhere", *TENANT)[0] == 2
    bad.write_text("")
    assert call("endpoints", "create-many", str(bad), *TENANT)[0] == 2
    assert pipeline.one("SELECT count(*) FROM endpoint") == 0


def test_a_long_file_shows_a_bar_on_a_terminal_and_lines_elsewhere(pipeline, tmp_path):
    """As processes: one with a terminal for its standard output, one with a pipe."""
    file = tmp_path / "many.jsonl"
    file.write_text("".join(f'{{"url": "{URL}/{n}"}}\n' for n in range(250)))
    many = (sys.executable, "-m", "ascwebhooks", "endpoints", "create-many", str(file))
    env = {**os.environ, **_environ(pipeline.settings, tmp_path)}

    ended = subprocess.run(
        [*many, *TENANT],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "\x1b" not in ended.stdout + ended.stderr
    assert "rows: 250 of 250" in ended.stderr
    assert len(ended.stdout.splitlines()) == 251

    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*many, *TENANT, "--allow-duplicates"],
        env={**env, "TERM": "xterm"},
        stdout=theirs,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(theirs)
        shown = _until_closed(ours)
        assert process.wait(60) == 0
    assert b"\x1b[" in shown
    assert "━".encode() in shown
    assert b"250/250" in shown


def _environ(settings, home):
    named = {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "HOME_DIR": str(home),
        "ENCRYPTION_KEYS": "k1:" + base64.b64encode(bytes(range(32))).decode(),
        "ALLOW_HTTP": "true",
        "ALLOWED_NETWORKS": "127.0.0.1/32",
    }
    return {f"ASCWEBHOOKS_{name}": value for name, value in named.items()}


def _until_closed(terminal):
    shown = b""
    while True:
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # Linux says so when the other side is closed.
            break
        if not part:
            break
        shown += part
    os.close(terminal)
    return shown
