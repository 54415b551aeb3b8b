"""``ascwebhooks doctor``: what is not well, and how to mend it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict

import click
from rich.table import Table
from rich.text import Text

from ascwebhooks.cli import output
from ascwebhooks.cli.context import Tools, pass_tools
from ascwebhooks.cli.options import json_option
from ascwebhooks.errors import SettingsInvalid
from ascwebhooks.services.health import Finding
from ascwebhooks.settings import Settings


@click.command()
@json_option
@pass_tools
def doctor(tools: Tools, *, json_wanted: bool) -> None:
    """Check every part; exit with 1 if one is not well."""
    findings = _examine(tools)
    well = all(each.well for each in findings)
    if json_wanted:
        output.as_json({"well": well, "items": [asdict(each) for each in findings]})
    else:
        output.console().print(_table(findings))
    sys.exit(0 if well else 1)


def _examine(tools: Tools) -> list[Finding]:
    try:
        settings = tools.settings
    except SettingsInvalid as error:
        return [Finding("settings", well=False, detail=str(error), mend="correct it.")]
    missing = _missing(settings)
    if missing:
        return missing
    found = Finding("settings", well=True, detail=f"HOME_DIR {settings.home_dir}")
    health = tools.services.health
    try:
        return [found, *health.examine()]
    except Exception as error:  # noqa: BLE001  (a doctor does not faint)
        text = f"{type(error).__name__}: {error}"
        rest = Finding("workers", well=False, detail=text, mend="mend the others first")
        return [found, *health.ready(), rest]


def _missing(settings: Settings) -> list[Finding]:
    needed = (
        settings.require_database_url,
        settings.require_redis_url,
        settings.require_encryption_keys,
    )
    findings = []
    for require in needed:
        try:
            require()
        except SettingsInvalid as error:
            what, _, mend = str(error).partition(". ")
            findings.append(Finding("settings", well=False, detail=what, mend=mend))
    return findings


def _table(findings: Sequence[Finding]) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "check", "found", "to mend it"):
        made.add_column(title, overflow="fold")
    for each in findings:
        mark = Text("✓", "green") if each.well else Text("✗", "bold red")
        mend = "" if each.well else each.mend or ""
        made.add_row(mark, each.check, Text(each.detail), Text(mend))
    return made
