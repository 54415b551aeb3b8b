"""Commands without a process of their own, on the services of a pipeline.

A test module has the fixtures by tests/conftest.py, as it has those of ``pipeline``.
"""

from __future__ import annotations

import dataclasses
import json

import pytest

from ascwebhooks.cli.context import Tools
from ascwebhooks.cli.main import run


@pytest.fixture
def call(pipeline, capsys):
    """Run a command; return its exit status, standard output and standard error."""

    def refuse(*_):
        raise AssertionError("this is no process to be run here")

    tools = Tools(
        read_settings=lambda: pipeline.settings,
        build=lambda _: dataclasses.replace(pipeline.services, close=lambda: None),
        migrate=refuse,
        run_worker=refuse,
        run_beat=refuse,
        run_web=refuse,
        environ={},
    )

    def call(*arguments):
        capsys.readouterr()
        status = run(tools, arguments)
        said = capsys.readouterr()
        # Log lines are structlog's here; a process's go to standard error.
        lines = [line for line in said.out.splitlines(True) if "[info " not in line]
        return status, "".join(lines), said.err

    return call


@pytest.fixture
def answer(call):
    """Run a command that must succeed with --json; return what it printed."""

    def answer(*arguments):
        status, out, err = call(*arguments, "--json")
        assert status == 0, err
        return json.loads(out)

    return answer
