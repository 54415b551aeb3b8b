"""The commands users and audit, run as the console script runs them."""

from __future__ import annotations

import getpass
import io
import json
from dataclasses import replace

import pytest

from ascwebhooks.cli.context import Tools
from ascwebhooks.cli.main import run
from ascwebhooks.domain.audit import SYSTEM
from ascwebhooks.services.acting import act_as


@pytest.fixture
def command(pipeline, capsys, monkeypatch):
    """Runs a command on the pipeline; returns its status and standard output."""

    def nothing(*_):
        raise AssertionError("no process is started here")

    def command(*arguments, stdin=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        tools = Tools(
            read_settings=lambda: pipeline.settings,
            build=lambda _: replace(pipeline.services, close=lambda: None),
            migrate=nothing,
            run_worker=nothing,
            run_beat=nothing,
            run_web=nothing,
            environ={},
        )
        status = run(tools, arguments)
        return status, capsys.readouterr().out

    yield command
    act_as(SYSTEM)


def test_a_person_is_created_and_logs_in_with_what_was_printed(pipeline, command):
    made = command("users", "create", "ann", "--role", "viewer", "--role", "admin@acme")
    assert made[0] == 0
    sessions = pipeline.services.sessions
    assert sessions.log_in("ann", made[1].strip(), address="127.0.0.1")
    listed = json.loads(command("users", "list", "--json")[1])["items"]
    assert listed[0]["roles"] == ["viewer@*", "admin@acme"]


def test_a_password_is_set_by_standard_input(pipeline, command):
    command("users", "create", "ann", "--role", "admin")
    new = "a sentence of my own"
    assert command("users", "set-password", "ann", "--stdin", stdin=new + "\n") == (
        0,
        "",
    )
    assert pipeline.services.sessions.log_in("ann", new, address="127.0.0.1")


@pytest.mark.parametrize(
    "arguments",
    [
        ("users", "create", "ann"),
        ("users", "create", "ann", "--role", "publisher"),
        ("users", "create", "ann", "--role", "viewer@"),
        ("users", "create", "a b", "--role", "viewer"),
    ],
)
def test_a_wrong_call_is_2(command, arguments):
    assert command(*arguments)[0] == 2


def test_what_is_not_possible_is_1(command):
    assert command("users", "disable", "nobody")[0] == 1
    assert command("users", "create", "ann", "--role", "viewer@nobody")[0] == 1
    command("users", "create", "root", "--role", "admin")
    assert command("users", "disable", "root")[0] == 1, "the last administrator"


def test_the_log_says_who_ran_the_command_and_is_verified(pipeline, command):
    command("tenants", "create", "globex")
    listed = json.loads(command("audit", "list", "--tenant", "globex", "--json")[1])
    (entry,) = listed["items"]
    assert (entry["actor_kind"], entry["actor_name"]) == ("command", getpass.getuser())
    status, told = command("audit", "verify")
    assert (status, told.startswith("2 entries, whole.")) == (0, True)
    status, told = command("audit", "export", "--format", "csv")
    assert (status, len(told.splitlines())) == (0, 3)
    with pipeline.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql("UPDATE audit_entry SET action = 'x' WHERE seq = 2")
    status, told = command("audit", "verify", "--json")
    assert status == 1
    assert json.loads(told)["broken"]["seq"] == 2


def test_a_portal_link_is_printed_alone_and_opens(pipeline, command):
    status, printed = command("tenants", "portal-link", "acme", "--role", "operator")
    assert status == 0
    base, _, token = printed.strip().rpartition("/portal/")
    assert base == f"http://{pipeline.settings.bind}"
    assert pipeline.services.portals.look(token).id == "acme"
    assert command("tenants", "portal-link", "nobody") == (1, "")
    assert command("tenants", "portal-link", "acme", "--expires-in", "9999")[0] == 2
    assert command("tenants", "portal-link", "acme", "--role", "publisher")[0] == 2
