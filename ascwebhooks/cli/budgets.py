"""``ascwebhooks budgets``: what a tenant may spend."""

from __future__ import annotations

from decimal import Decimal
from typing import IO, Any

import click
import yaml

from ascwebhooks.cli import output, rows
from ascwebhooks.cli.context import Tools, pass_tools
from ascwebhooks.cli.listing import Page, page_options
from ascwebhooks.cli.options import (
    Json,
    id_of,
    json_option,
    tenant_option,
)
from ascwebhooks.domain import budget_drafts, ids
from ascwebhooks.domain.budgets import Enforcement, ScopeType
from ascwebhooks.domain.ids import Kind
from ascwebhooks.errors import InvalidInput
from ascwebhooks.services.budget_plans import Planned

_COLUMNS = ("id", "name", "scope_type", "scope_id", "spent", "limit", "percent_used")
_PLAN_COLUMNS = ("name", "status", "changed", "id", "problem")
_MOST_BYTES = 5 * 1024 * 1024


class Amount(click.ParamType[Decimal]):
    """A sum of money, or a percentage."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        """Return the number, each digit kept."""
        try:
            return budget_drafts.amount(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}")


@click.group()
def budgets() -> None:
    """List, show, create, apply and delete budgets."""


@budgets.command("list")
@tenant_option
@page_options(Kind.BUDGET)
@pass_tools
def list_(tools: Tools, *, tenant: str, page: Page) -> None:
    """List a tenant's budgets, the newest first."""
    read = tools.services.budgets.page
    page.show(read, tenant, row=rows.budget, columns=_COLUMNS)


@budgets.command()
@click.argument("budget_id")
@tenant_option
@json_option
@pass_tools
def show(tools: Tools, *, budget_id: str, tenant: str, json_wanted: bool) -> None:
    """Show a budget: what is spent, which alerts fired, the periods before."""
    found = tools.services.budgets.get(tenant, ids.read(Kind.BUDGET, budget_id))
    output.details(rows.budget_details(found), json_wanted=json_wanted)


@budgets.command()
@click.argument("name")
@tenant_option
@click.option("--limit", type=Amount(), required=True, help="Above 0.")
@click.option("--currency", default="USD", show_default=True)
@click.option(
    "--scope",
    "scope_type",
    type=click.Choice([each.value for each in ScopeType]),
    default=ScopeType.TENANT.value,
    show_default=True,
)
@click.option("--scope-id", metavar="ID", help="Which team, user, …")
@click.option(
    "--period",
    type=Json(),
    default='{"type": "calendar", "unit": "month", "zone": "UTC"}',
    show_default=True,
)
@click.option(
    "--threshold", "thresholds", type=Amount(), multiple=True, help="In percent."
)
@click.option("--forecast", is_flag=True, help="Tell when it will be exceeded.")
@click.option("--enforcement", type=click.Choice([each.value for each in Enforcement]))
@click.option("--parent", "parent_id", metavar="BUD", help="The budget above it.")
@json_option
@pass_tools
def create(
    tools: Tools, /, *, name: str, tenant: str, json_wanted: bool, **given: Any
) -> None:
    """Create a budget."""
    given["parent_id"] = id_of(Kind.BUDGET, given["parent_id"])
    options = {key: value for key, value in given.items() if value not in (None, ())}
    made = tools.services.budgets.create(tenant, name=name, **options)
    output.details(rows.budget(made), json_wanted=json_wanted)


@budgets.command()
@click.argument("file", type=click.File("rb"))
@tenant_option
@click.option("--dry-run", is_flag=True, help="Say what would change, and do nothing.")
@json_option
@pass_tools
def apply(
    tools: Tools, *, file: IO[bytes], tenant: str, dry_run: bool, json_wanted: bool
) -> int:
    """Have a tenant's budgets be as FILE says: YAML or JSON; '-' is stdin.

    A list of budgets, each known by its name, with the fields of the API; parent is
    the name of another. Budgets that the file does not name stay as they are. Rows
    that are not in order keep no other from being applied. The exit status is 1 if
    any row failed.
    """
    planned = tools.services.budget_plans.apply(tenant, _rows(file), dry_run=dry_run)
    shown = [_planned(each) for each in planned]
    failed = sum(each["status"] == "failed" for each in shown)
    if json_wanted:
        output.as_json({"dry_run": dry_run, "failed": failed, "items": shown})
        return 1 if failed else 0
    output.console().print(output.table(shown, _PLAN_COLUMNS))
    if dry_run:
        click.echo("Nothing was changed: this was a dry run.", err=True)
    return 1 if failed else 0


@budgets.command()
@click.argument("budget_id")
@tenant_option
@pass_tools
def delete(tools: Tools, *, budget_id: str, tenant: str) -> None:
    """Delete a budget, and with it what was spent of it."""
    tools.services.budgets.delete(tenant, ids.read(Kind.BUDGET, budget_id))
    click.echo(f"Deleted {budget_id}.")


def _rows(file: IO[bytes]) -> list[Any]:
    data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise InvalidInput(f"{file.name} has more than {_MOST_BYTES} bytes.")
    try:
        found = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InvalidInput(f"{file.name}: this is not YAML: {error}") from error
    if isinstance(found, dict) and set(found) == {"budgets"}:
        found = found["budgets"]
    if not isinstance(found, list) or not found:
        raise InvalidInput(f"{file.name} has no list of budgets.")
    return found


def _planned(planned: Planned) -> rows.Row:
    problems = [f"{name}: {' '.join(said)}" for name, said in planned.errors.items()]
    return {
        "index": planned.index,
        "name": planned.name,
        "status": planned.status,
        "id": planned.budget_id and rows.shown(Kind.BUDGET, planned.budget_id),
        "changed": list(planned.changed),
        "errors": planned.errors,
        "problem": "\n".join(problems) or None,
    }
