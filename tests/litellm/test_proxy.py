"""A real LiteLLM proxy with our callback, from its calls to a receiver.

``make test-litellm`` runs this, with LiteLLM in an environment of its own; elsewhere it
is skipped.  The proxy's models are mocked, and it cannot reach any other network.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from standardwebhooks import Webhook

from ascwebhooks import settings
from ascwebhooks.bootstrap import Parts
from ascwebhooks.domain.derived import SOURCE
from ascwebhooks.domain.keys import Role
from ascwebhooks.embedded import ports
from ascwebhooks.embedded.processes import Program, spawn, stop
from ascwebhooks.embedded.receiver import Received, Receiver
from ascwebhooks.services.sealing import Sealing
from tests.acceptance.cluster import _MAIN, Cluster, cluster
from tests.integration.private import everything
from tests.litellm import traffic
from tests.waiting import wait_until

LITELLM = os.environ.get("TEST_LITELLM")
pytestmark = [
    pytest.mark.litellm,
    pytest.mark.skipif(LITELLM is None, reason="make test-litellm runs it"),
]

CONFIG = Path(__file__).parent / "proxy" / "config.yaml"
TENANTS = ("northwind", "contoso-health", "unattributed")
BY_CALLBACK, BY_HTTP = "/gateways/litellm", "/gateways/litellm-http"
MASTER_KEY = "sk-test-0123456789abcdef0123456789abcdef"
START_TIMEOUT_S = 90
BUDGET = Decimal("0.0005")


class Run(NamedTuple):
    """What a whole run left behind."""

    answers: Counter[int]
    costs: list[dict[str, str]]
    received: list[Received]
    secrets: dict[str, str]
    everything: bytes
    spent: Decimal

    def events(self, source: str) -> list[dict[str, Any]]:
        """Return what a receiver got from one source, as it got it."""
        found = [json.loads(each.body) for each in self.received]
        return [each for each in found if each["source"] == source]


def proxy_environment(run: Cluster, web: str, key: str) -> dict[str, str]:
    """Return the proxy's whole environment; every way out of the machine is shut."""
    nowhere = "http://127.0.0.1:9"
    ours = {
        "ASCWEBHOOKS_REDIS_URL": run.redis_url,
        "GENERIC_LOGGER_ENDPOINT": f"http://{web}/api/v1/ingest/litellm?source={BY_HTTP}",
        "GENERIC_LOGGER_HEADERS": f"Authorization=Bearer {key}",
        "WEBHOOK_URL": f"http://litellm:{key}@{web}/api/v1/ingest/litellm/alerts",
        "COSTS_OUT": str(run.folder / "costs.jsonl"),
        "LITELLM_MASTER_KEY": MASTER_KEY,
    }
    local = {
        f"LITELLM_LOCAL_{each}": "True"
        for each in (
            "ANTHROPIC_BETA_HEADERS",
            "AUTOROUTER_PRESETS",
            "BLOG_POSTS",
            "MODEL_COST_MAP",
            "POLICY_TEMPLATES",
        )
    }
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "ALL_PROXY")
    proxies = dict.fromkeys(names, nowhere)
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {
        **kept,
        **ours,
        **local,
        **proxies,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "LITELLM_TELEMETRY": "False",
        # Its other transport refuses credentials in WEBHOOK_URL.
        "DISABLE_AIOHTTP_TRANSPORT": "True",
        "LITELLM_MODE": "PRODUCTION",
        "DEFAULT_FLUSH_INTERVAL_SECONDS": "1",
    }


@pytest.fixture(scope="module")
def run(
    postgres_server, migrated_template, valkey_server, tmp_path_factory
) -> Iterator[Run]:
    """Everything that runs: engines, workers, web, a proxy and a receiver."""
    folder = tmp_path_factory.mktemp("litellm")
    postgres_server.create_database("asc_litellm", migrated_template)
    try:
        yield _run(postgres_server.url("asc_litellm"), valkey_server.url(63), folder)
    finally:
        postgres_server.drop_database("asc_litellm")


def _run(database_url: str, redis_url: str, folder: Path) -> Run:
    received: list[Received] = []
    web, proxy = (f"127.0.0.1:{ports.choose()}" for _ in range(2))
    with (
        cluster(database_url, redis_url, folder) as run,
        Receiver(on_delivery=received.append) as receiver,
    ):
        run.env["ASCWEBHOOKS_BIND"] = web
        secrets = _tenants(run, receiver)
        run.start("ingest", "deliver", "maintenance", "beat")
        _, key = run.services.keys.create(Role.PUBLISHER)
        argv = (sys.executable, "-c", _MAIN, "web")
        programs = [Program(name="web", argv=argv, env=run.env)]
        address = proxy.partition(":")[2]
        arguments = ["--config", str(CONFIG), "--host", "127.0.0.1", "--port", address]
        assert LITELLM is not None
        programs.append(
            Program(
                name="litellm",
                argv=(LITELLM, *arguments),
                env=proxy_environment(run, web, key),
                cwd=folder,
            )
        )
        processes = []
        try:
            for each in programs:
                with run.log(each.name).open("ab") as output:
                    processes.append(spawn(each, output))
            _wait(web, "/readyz", run.log("web"))
            _wait(proxy, "/health/liveliness", run.log("litellm"))
            answers = traffic.drive(f"http://{proxy}")
            alert(f"http://{proxy}")
            _wait_for_litellms_own_batches(run)
        finally:
            # The proxy first: what it has buffered it writes as it ends.
            for process in reversed(processes):
                stop(process, signal.SIGTERM, 30)
        _wait_for_the_end(run, received)
        parts = Parts(settings.read(run.env))
        found = everything(parts.engine, Sealing(parts.uow, parts.ring, os.urandom))
        parts.engine.dispose()
        spent = _spent(run)
    return Run(answers, _costs(run), received, secrets, found, spent)


def _spent(run: Cluster) -> Decimal:
    (shown,) = run.services.budgets.all(TENANTS[0])
    return shown.usage.spent


def _costs(run: Cluster) -> list[dict[str, str]]:
    noted = (run.folder / "costs.jsonl").read_text().splitlines()
    return [json.loads(line) for line in noted]


def _wait_for_litellms_own_batches(run: Cluster) -> None:
    """Wait until what LiteLLM posts itself is there: ended, it drops the last batch."""
    wait_until(
        lambda: (
            run.query(
                "SELECT count(*) FROM event WHERE type NOT LIKE 'policy.content%'"
                f" AND source = '{BY_HTTP}'"
            )
            >= len(_costs(run))
        ),
        30,
        "LiteLLM posted all of it",
    )


def _tenants(run: Cluster, receiver: Receiver) -> dict[str, str]:
    secrets = {}
    for tenant in TENANTS:
        run.services.tenants.create(tenant)
        made = run.services.endpoints.create(
            tenant, url=f"{receiver.url}/{tenant}", event_types=["*"]
        )
        secrets[f"/{tenant}"] = made.secret
    run.services.budgets.create(
        TENANTS[0],
        name="support",
        scope_type="team",
        scope_id="support",
        limit=BUDGET,
        currency="USD",
        period={"type": "calendar", "unit": "year", "zone": "Europe/Berlin"},
    )
    return secrets


def _wait(bind: str, path: str, log: Path) -> None:
    try:
        wait_until(
            lambda: ports.answers(bind, path), START_TIMEOUT_S, f"{bind} answers"
        )
    except AssertionError as error:
        raise AssertionError(log.read_text()[-3000:]) from error


def _wait_for_the_end(run: Cluster, received: list[Received]) -> None:
    """Wait until the stream is empty and all that is owed has arrived."""
    with run.redis() as client:
        wait_until(lambda: client.xlen("asc:events") == 0, 30, "all is accepted")
    wait_until(
        lambda: len(received) >= run.query("SELECT count(*) FROM delivery") > 0,
        60,
        "all has arrived",
    )


def alert(url: str) -> None:
    """Have LiteLLM send its own webhook, as its administrator may."""
    request = urllib.request.Request(
        f"{url}/health/services?service=webhook",
        headers={"Authorization": f"Bearer {MASTER_KEY}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200
        answer.read()


def test_every_call_was_answered_as_it_should_be(run):
    """200, or the error that its model, its key or its words ask for."""
    assert run.answers.total() == traffic.CALLS + 3
    assert run.answers[200] > 180
    assert len({each["call"] for each in run.costs}) == traffic.CALLS + 2, (
        "LiteLLM keeps no record of the guardrail that broke"
    )


def test_all_that_arrived_verifies_and_arrived_once(run):
    for each in run.received:
        Webhook(run.secrets[each.path]).verify(each.body, dict(each.headers))
    ids = Counter(each.headers["webhook-id"] for each in run.received)
    assert set(ids.values()) == {1}


@pytest.mark.parametrize("source", [BY_CALLBACK, BY_HTTP])
def test_spend_is_the_callbacks_costs_to_the_last_digit(run, source):
    """By our callback, and by LiteLLM's own that posts to us."""
    costs = [Decimal(each["cost"]) for each in run.costs]

    told = [
        Decimal(each["data"]["cost"]["amount"])
        for each in run.events(source)
        if "cost" in each["data"]
    ]

    assert sum(costs) > 0
    assert sum(told) == sum(costs)
    assert sorted(told) == sorted(costs)


def test_every_call_is_accounted_for(run):
    """By its end: a completion, or the last failure."""
    types: dict[str, set[str]] = {}
    for each in run.events(BY_CALLBACK):
        if each["type"].partition(".")[0] in ("request", "policy"):
            data = each["data"]
            call = data.get("trace_id") or data["request_id"]
            types.setdefault(call, set()).add(each["type"])
    assert len(types) == traffic.CALLS + 3
    completed = [each for each in types.values() if "request.completed" in each]
    assert len(completed) == run.answers[200]


def test_errors_fallbacks_and_policies_are_told_as_what_they_are(run):
    found = run.events(BY_CALLBACK)
    types = Counter(each["type"] for each in found)
    by_error = Counter(
        each["data"]["error.type"] for each in found if each["type"] == "request.failed"
    )
    expected = Counter(_fate(each) for each in traffic.mix())

    # What "doomed" fell back to failed as well, of which LiteLLM keeps no record.
    assert by_error["RateLimitError"] == expected["throttled"]
    assert by_error["ContextWindowExceededError"] == expected["toolong"]
    assert by_error["InternalServerError"] == expected["flaky"] + 1
    assert by_error["Exception"] == 4, "unknown keys"
    assert types["route.fallback_triggered"] == expected["flaky"]
    assert types["route.fallback_exhausted"] == 1
    assert types["policy.violation_blocked"] == expected["blocked"] + 2
    assert types["policy.content_redacted"] >= expected["masked"]


def test_whose_a_call_is_and_where_it_went(run):
    found = run.events(BY_CALLBACK)

    nobody = [each for each in found if each["tenant_id"] == "unattributed"]
    assert Counter(each["type"] for each in nobody) == {
        "request.failed": 4,
        "budget.exceeded": 1,
    }
    for each in found:
        if each["type"] == "route.fallback_triggered":
            data = each["data"]
            assert (data["from_model"], data["to_model"]) == ("flaky", "copilot")
            assert each["tenant_id"] in TENANTS[:2]
        if each["type"] == "route.fallback_exhausted":
            assert each["data"]["from_model"] == "doomed"
            assert each["tenant_id"] == "northwind"
    after = [each for each in found if each["data"].get("fallback_from")]
    assert {each["data"]["fallback_from"] for each in after} >= {"flaky"}
    own = [each for each in found if each["data"].get("guardrail_name") == "own-rules"]
    assert [each["type"] for each in own] == ["policy.violation_blocked"] * 2


def test_litellms_own_alert_arrived(run):
    (alert,) = [each for each in run.events(BY_CALLBACK) if "budget." in each["type"]]
    assert alert["type"] == "budget.exceeded"


def test_a_teams_budget_is_charged_to_the_last_digit_and_told_of_once(run):
    """Both ways in charge it, for they are two sources here."""
    told = [
        Decimal(each["data"]["cost"]["amount"])
        for source in (BY_CALLBACK, BY_HTTP)
        for each in run.events(source)
        if each["data"]["scope"]["team_id"] == "support" and "cost" in each["data"]
    ]
    assert run.spent == sum(told) > BUDGET

    alerts = [each for each in run.events(SOURCE) if "budget." in each["type"]]
    assert {each["tenant_id"] for each in alerts} == {TENANTS[0]}
    ends = [each for each in alerts if each["type"] == "budget.exceeded"]
    assert [each["data"]["scope_id"] for each in ends] == ["support"]


def test_the_rules_that_hold_by_default_tell_of_what_the_proxy_saw(run):
    """Each once: an incident is opened, and nothing is repeated within a minute."""
    told = Counter(
        (each["tenant_id"], each["type"])
        for each in run.events(SOURCE)
        if "rule_id" in each["data"]
    )
    assert set(told.values()) == {1}
    assert told.keys() >= {
        (TENANTS[0], "route.fallback_triggered"),
        (TENANTS[1], "route.fallback_triggered"),
        (TENANTS[1], "rate_limit.exceeded"),
    }


def test_no_prompt_answer_or_error_text_is_in_the_database(run):
    assert b"gen_ai.usage.input_tokens" in run.everything
    left = [
        text
        for text in traffic.PRIVATE
        if text.encode() in run.everything
        or text.encode().hex().encode() in run.everything
    ]
    assert left == []


def _fate(call: traffic.Call) -> str:
    """Return what a call of the mix is for."""
    text = call.body["messages"][0]["content"]
    if call.key == "sk-unknown":
        return "unknown"
    if "ssn" in text:
        return "blocked"
    if "@" in text and call.body["model"] not in ("throttled", "toolong"):
        return "masked" if call.body["model"] != "flaky" else "flaky"
    return str(call.body["model"])
