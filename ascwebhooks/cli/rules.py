"""``ascwebhooks rules``: what opens an incident."""

from __future__ import annotations

from typing import Any

import click

from ascwebhooks.cli import output, rows
from ascwebhooks.cli.context import Tools, pass_tools
from ascwebhooks.cli.listing import Page, page_options
from ascwebhooks.cli.options import (
    Json,
    json_option,
    tenant_option,
)
from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.rules import PARAMETERS, RuleKind, Severity
from ascwebhooks.errors import InvalidInput

_COLUMNS = ("id", "name", "kind", "severity", "enabled", "origin", "threshold")
_severity_option = click.option(
    "--severity", type=click.Choice([*map(str, Severity)]), help="What its events say."
)
_set_option = click.option(
    "--set",
    "given",
    metavar="NAME=JSON",
    multiple=True,
    help="A parameter, such as threshold=0.3 or 'allowed=[\"gpt-4o*\"]'.",
)


@click.group()
def rules() -> None:
    """List, create, show, update and delete rules."""


@rules.command("list")
@tenant_option
@click.option("--kind", type=click.Choice([*map(str, RuleKind)]))
@page_options(Kind.RULE)
@pass_tools
def list_(tools: Tools, *, tenant: str, page: Page, kind: str | None) -> None:
    """List a tenant's rules; those that hold by default come last."""
    read, wanted = tools.services.rules.page, None if kind is None else RuleKind(kind)
    page.show(read, tenant, row=rows.rule, columns=_COLUMNS, kind=wanted)


@rules.command()
@click.argument("kind", type=click.Choice([*map(str, RuleKind)]))
@tenant_option
@click.option("--name", required=True, help="For people.")
@_severity_option
@click.option("--disabled", is_flag=True, help="It does nothing until enabled.")
@_set_option
@json_option
@pass_tools
def create(
    tools: Tools,
    *,
    kind: str,
    tenant: str,
    name: str,
    severity: str | None,
    disabled: bool,
    given: tuple[str, ...],
    json_wanted: bool,
) -> None:
    """Create a rule; parameters that are not given are its kind's own."""
    made = tools.services.rules.create(
        tenant,
        name=name,
        kind=RuleKind(kind),
        severity=Severity(severity or Severity.WARNING),
        enabled=not disabled,
        **_parameters(given),
    )
    output.details(rows.rule(made), json_wanted=json_wanted)


@rules.command()
@click.argument("rule_id")
@tenant_option
@json_option
@pass_tools
def show(tools: Tools, *, rule_id: str, tenant: str, json_wanted: bool) -> None:
    """Show a rule."""
    found = tools.services.rules.get(tenant, _id(rule_id))
    output.details(rows.rule(found), json_wanted=json_wanted)


@rules.command()
@click.argument("rule_id")
@tenant_option
@click.option("--name", help="For people.")
@_severity_option
@click.option("--enable/--disable", "enabled", default=None)
@_set_option
@json_option
@pass_tools
def update(
    tools: Tools,
    *,
    rule_id: str,
    tenant: str,
    name: str | None,
    severity: str | None,
    enabled: bool | None,
    given: tuple[str, ...],
    json_wanted: bool,
) -> None:
    """Change a rule: what is not given stays as it is."""
    said = {"name": name, "enabled": enabled}
    if severity is not None:
        said["severity"] = Severity(severity)
    changes = {each: value for each, value in said.items() if value is not None}
    changes |= _parameters(given)
    if not changes:
        raise click.UsageError("nothing to change: see --help.")
    found = tools.services.rules.change(tenant, _id(rule_id), changes)
    output.details(rows.rule(found), json_wanted=json_wanted)


@rules.command()
@click.argument("rule_id")
@tenant_option
@pass_tools
def delete(tools: Tools, *, rule_id: str, tenant: str) -> None:
    """Delete a rule, or what was changed of one that holds by default."""
    tools.services.rules.delete(tenant, _id(rule_id))
    click.echo(f"Deleted {rule_id}.")


def _parameters(given: tuple[str, ...]) -> dict[str, Any]:
    found = {}
    for each in given:
        name, is_there, text = each.partition("=")
        if name not in PARAMETERS or not is_there:
            raise InvalidInput(f"--set {each!r}: one of {', '.join(PARAMETERS)}=JSON.")
        found[name] = Json().convert(text, None, None)
    return found


def _id(text: str) -> Any:
    return ids.read(Kind.RULE, text)
