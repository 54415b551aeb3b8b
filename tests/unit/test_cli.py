"""The command line without a service: wrong calls, settings, signatures."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ascwebhooks import settings
from ascwebhooks.cli import output, samples, tallies
from ascwebhooks.cli.context import Tools
from ascwebhooks.cli.main import cli, run
from ascwebhooks.domain import signing
from ascwebhooks.settings import PREFIX, Settings

SECRET = signing.format_secret(bytes(range(32)))
KEY = base64.b64encode(b"k" * 32).decode()


@pytest.fixture
def call(tmp_path: Path) -> Callable[..., int]:
    """Run a command with these settings; nothing but settings is to be had."""

    def call(*arguments: str, **given: str) -> int:
        environ = {PREFIX + name: value for name, value in given.items()}
        environ.setdefault(PREFIX + "HOME_DIR", str(tmp_path))
        return run(_tools(environ), arguments)

    return call


def _tools(environ: Mapping[str, str]) -> Tools:
    def refuse(*_: Any) -> Any:
        raise AssertionError("this call must not get so far")

    return Tools(
        read_settings=lambda: settings.read(environ),
        build=refuse,
        migrate=refuse,
        run_worker=refuse,
        run_beat=refuse,
        run_web=refuse,
        environ=environ,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["dead-letters", "list"],
        ["dead-letters", "replay", "--tenant", "acme", "--rate", "0"],
        ["dead-letters", "replay", "--tenant", "acme", "--reason", "boredom"],
        ["replay", "create", "--tenant", "acme"],
        ["replay", "create", "--tenant", "acme", "--all", "--type", "a"],
        ["replay", "create", "--tenant", "acme", "--status", "pending"],
        ["deliveries", "list", "--tenant", "acme", "--error", "bad_luck"],
        ["worker"],
        ["worker", "--ingest", "--slow"],
        ["send"],
        ["send", "budget.exceeded"],
        ["send", "budget.exceeded", "--tenant", "acme", "--data", "{"],
        ["send", "--file", "/nowhere.jsonl"],
        ["listen", "--fail", "sometimes"],
        ["listen", "--secret", "whsec_!"],
        ["listen", "--port", "70000"],
        ["verify", "--secret", SECRET],
        ["verify", "--secret", SECRET, "--body-file", "/dev/null"],
        ["keys", "create"],
        ["keys", "create", "--role", "emperor"],
        ["keys", "revoke"],
        ["tenants", "create"],
        ["endpoints", "list"],
        ["endpoints", "create", "--tenant", "acme"],
        ["endpoints", "create", "https://a.example", "--tenant", "t", "--header", "x"],
        ["events", "list"],
        ["events", "list", "--tenant", "acme", "--since", "yesterday"],
        ["events", "list", "--tenant", "acme", "--limit", "0"],
        ["deliveries", "list", "--tenant", "acme", "--status", "lost"],
        ["deliveries", "retry", "dlv_1"],
        ["rejected-events", "show"],
        ["doctor", "now"],
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_2_and_says_why(call, arguments, capsys):
    assert call(*arguments) == 2
    assert capsys.readouterr().err


def test_a_wrong_setting_is_2_and_named(call, capsys):
    assert call("env", LEASE_S="soon") == 2
    assert "ASCWEBHOOKS_LEASE_S" in capsys.readouterr().err


def test_what_needs_a_missing_setting_is_2_and_names_it(call, capsys):
    assert call("send", "budget.exceeded", "--tenant", "acme") == 2
    assert "ASCWEBHOOKS_REDIS_URL" in capsys.readouterr().err


def test_doctor_names_each_missing_setting(call, capsys):
    with pytest.raises(SystemExit, check=lambda raised: raised.code == 1):
        call("doctor", "--json")
    found = json.loads(capsys.readouterr().out)
    said = " ".join(item["detail"] for item in found["items"])
    assert not found["well"]
    for name in ("DATABASE_URL", "REDIS_URL", "ENCRYPTION_KEYS"):
        assert PREFIX + name in said
    assert all(item["mend"] for item in found["items"])


def test_every_command_and_option_explains_itself():
    """Each command has a docstring; each group's commands, too."""
    for name, command in cli.commands.items():
        assert command.help, name
        for inner, each in getattr(command, "commands", {}).items():
            assert each.help, f"{name} {inner}"


def test_env_masks_passwords_and_keys_unless_asked(call, capsys):
    given = {
        "DATABASE_URL": "postgresql://u:hidden@db/x",
        "REDIS_URL": "redis://:hidden@r/0",
        "ENCRYPTION_KEYS": f"k1:{KEY}",
    }
    assert call("env", "--json", **given) == 0
    masked = capsys.readouterr().out
    assert call("env", "--json", "--show-secrets", **given) == 0
    shown = json.loads(capsys.readouterr().out)

    assert "hidden" not in masked
    assert KEY not in masked
    assert json.loads(masked)["DATABASE_URL"] == "postgresql://u:***@db/x"
    assert {name: shown[name] for name in given} == given


def test_env_works_when_only_a_part_is_set(call, capsys):
    assert call("env", "--json", REDIS_URL="redis://r/0") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["DATABASE_URL"], found["REDIS_URL"]) == (None, "redis://r/0")
    assert found.keys() == {each.name.upper() for each in fields(Settings)}


def test_env_prints_lines_for_a_shell(call, capsys):
    assert call("env", ALLOWED_NETWORKS="10.0.0.0/8,127.0.0.1/32") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "ASCWEBHOOKS_ALLOWED_NETWORKS=10.0.0.0/8,127.0.0.1/32" in lines
    assert "ASCWEBHOOKS_ALLOW_HTTP=false" in lines


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, Path]:
    """A headers file as a proxy would have logged it, and a body file."""
    body, now = b'{"type":"budget.exceeded"}', int(datetime.now(UTC).timestamp())
    headers, content = tmp_path / "headers", tmp_path / "body"
    content.write_bytes(body)
    headers.write_text(
        "POST /in HTTP/1.1\n"
        "Host: a.example:443\n"
        "Webhook-Id: evt_1\n"
        f"Webhook-Timestamp: {now}\n"
        f"Webhook-Signature: {signing.sign([bytes(range(32))], 'evt_1', now, body)}\n"
    )
    return headers, content


def _verify(call, headers: Path, body: Path, secret: str = SECRET) -> int:
    arguments = ["--headers-file", str(headers), "--body-file", str(body)]
    try:
        return call("verify", "--secret", secret, *arguments)
    except SystemExit as ended:
        return int(ended.code or 0)


def test_verify_accepts_what_was_signed(call, signed, capsys):
    assert _verify(call, *signed) == 0
    assert capsys.readouterr().out == "verified\n"


def test_verify_takes_a_public_key(call, signed, capsys):
    headers, body = signed
    key = signing.signing_key("v1a", bytes(range(32)))
    now = int(datetime.now(UTC).timestamp())
    signature = signing.sign([key], "evt_1", now, body.read_bytes())
    headers.write_text(
        f"webhook-id: evt_1\nwebhook-timestamp: {now}\nwebhook-signature: {signature}\n"
    )
    public = signing.format_public_key(signing.public_key(bytes(range(32))))
    assert _verify(call, headers, body, secret=public) == 0
    assert capsys.readouterr().out == "verified\n"


def test_verify_says_why_not(call, signed, capsys):
    other = signing.format_secret(bytes(32))
    assert _verify(call, *signed, secret=other) == 1
    assert "no signature matches" in capsys.readouterr().out


def test_verify_notices_a_line_break_that_an_editor_added(call, signed, capsys):
    headers, body = signed
    body.write_bytes(body.read_bytes() + b"\n")
    assert _verify(call, headers, body) == 1
    assert "line break at the end" in capsys.readouterr().out


def test_verify_names_a_missing_header(call, signed, capsys):
    headers, body = signed
    headers.write_text("webhook-id: evt_1\n")
    assert _verify(call, headers, body) == 1
    assert "webhook-timestamp" in capsys.readouterr().out


def test_a_malformed_secret_is_a_wrong_call(call, signed):
    assert _verify(call, *signed, secret="whsec_?") == 2


def test_the_example_of_the_settings_lists_every_one_with_its_default():
    root = Path(settings.__file__).parent.parent
    text = (root / "config" / "ascwebhooks.env.example").read_text()
    listed = dict(re.findall(rf"^#{PREFIX}(\w+)=(.*)$", text, re.MULTILINE))
    values = settings.dump(Settings(), show_secrets=True)
    assert listed == {name: _written(value) for name, value in values.items()}


def _written(value: object) -> str:
    if value is None or value == []:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_lists_are_shown_as_lists_however_they_are_held(capsys):
    row = {"group_by": ("provider", "model"), "days": (1, 2)}
    output.details(row, json_wanted=False)

    assert "provider, model" in (shown := capsys.readouterr().out)
    assert "[1, 2]" in shown


def test_a_renamed_sample_differs_in_its_id_alone():
    sample = samples.load()[0]
    renamed = json.loads(sample.renamed("#2").raw)
    original = json.loads(sample.raw)
    assert renamed.pop("id") == f"{original.pop('id')}#2"
    assert renamed == original


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, 0),
        ([7], 0.99, 7),
        ([3, 1, 2], 0.5, 2),
        (range(1, 101), 0.99, 99),
        (range(1, 101), 1.0, 100),
    ],
)
def test_a_percentile_is_one_of_the_values(values, share, expected):
    assert tallies.percentile(values, share) == expected


MAPPING = """\
id: id
type: request.completed
source: {value: /gateways/own}
tenant: org
data:
  gen_ai.request.model: model
"""


def test_a_mapping_is_checked_and_tried_out(call, capsys, tmp_path):
    """Without a service: it is what to do before the process that would not start."""
    mapping, example = tmp_path / "own.yaml", tmp_path / "example.json"
    mapping.write_text(MAPPING)
    record = {"id": "1", "org": "acme", "model": "gpt-4o", "prompt": "write a test"}
    example.write_text(json.dumps([record, {"org": "acme"}]))

    assert call("mappings", "check", str(mapping)) == 0
    assert capsys.readouterr().out == "own: in order, with 1 fields of data.\n"
    assert call("mappings", "check", str(mapping), str(example), "--json") == 1
    shown = json.loads(capsys.readouterr().out)["records"]
    assert shown[0]["event"]["data"] == {"gen_ai.request.model": "gpt-4o"}
    assert shown[1] == {"event": None, "problem": "id, which makes the id, is missing."}
    assert call("mappings", "check", str(mapping), str(example)) == 1
    assert "record 1: id, which makes the id" in capsys.readouterr().out


def test_a_wrong_mapping_is_a_wrong_call(call, capsys, tmp_path):
    mapping = tmp_path / "own.yaml"
    mapping.write_text(MAPPING.replace("model: model", "prompt: prompt"))

    assert call("mappings", "check", str(mapping)) == 2
    assert f"{mapping}, line 6, data.gen_ai.request.prompt: " in capsys.readouterr().err
