"""A request as a shell command: what a shell makes of it is what was sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ascwebhooks.domain import curl

URL = "https://example.com/hook?a=1&b=$(id)'`"
HEADERS = (
    ("content-type", "application/json"),
    ("x-quote", 'it\'s "$HOME" `id` !! \\'),
    ("x-empty", ""),
    ("x-token", "[hidden]"),
    ("content-length", "3"),
)
#: Stands for curl: writes down what it was called with, and what was piped in.
FAKE = """#!{python}
import json, os, sys
data = sys.stdin.buffer.read() if "@-" in sys.argv else b""
arguments = [os.fsencode(each).hex() for each in sys.argv[1:]]
with open({out!r}, "w") as out:
    json.dump([arguments, data.hex()], out)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    """Run a command in sh with the stand-in; return its arguments and its body."""
    place = tmp_path_factory.mktemp("bin")
    out, fake = place / "out", place / "curl"
    fake.write_text(FAKE.format(python=sys.executable, out=str(out)))
    fake.chmod(0o755)
    path = f"{place}{os.pathsep}{os.environ['PATH']}"

    def run(command: str) -> tuple[list[str], bytes]:
        environ = {**os.environ, "PATH": path}
        subprocess.run(["sh", "-c", command], env=environ, check=True, timeout=20)
        hexes, piped = json.loads(Path(out).read_text())
        arguments = [bytes.fromhex(each).decode() for each in hexes]
        if "--data-raw" in arguments:
            return arguments, arguments[arguments.index("--data-raw") + 1].encode()
        return arguments, bytes.fromhex(piped)

    return run


def command(body: bytes) -> str:
    return curl.command(URL, HEADERS, body, hidden="[hidden]")


def test_a_shell_gets_the_url_and_headers_as_they_are(run):
    arguments, _ = run(command(b"{}"))

    assert URL in arguments and "--globoff" in arguments
    assert 'x-quote: it\'s "$HOME" `id` !! \\' in arguments
    assert "x-empty;" in arguments
    assert "x-token: <your x-token>" in arguments
    assert not any(each.startswith("content-length") for each in arguments)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"@/etc/passwd",
        b"it's '' \" $(id) `id` \\ \\n %s %d\nnext",
        "zażółć 漢字 🎉".encode(),
        bytes(range(256)),
        "\u202e\u2028\x1b[31m".encode(),
        b"\\0101%%",
        b"trailing newlines\n\n",
    ],
)
def test_a_shell_sends_the_body_byte_for_byte(run, body):
    assert run(command(body))[1] == body


@settings(max_examples=15, deadline=None)
@given(body=st.binary(max_size=60))
def test_any_bytes_at_all(run, body):
    assert run(command(body))[1] == body


def test_nothing_that_a_terminal_acts_on_is_in_a_command():
    shown = command("\u202eevil\x1b[2J\u2028\x00".encode())
    assert all(each.isprintable() or each == "\n" for each in shown)
