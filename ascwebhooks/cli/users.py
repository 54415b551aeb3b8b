"""``ascwebhooks users``: the people who may log in."""

from __future__ import annotations

import sys

import click

from ascwebhooks.cli import output, rows
from ascwebhooks.cli.context import Tools, pass_tools
from ascwebhooks.cli.options import json_option
from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import ROLES, Grant, PersonState
from ascwebhooks.errors import InvalidInput

_COLUMNS = ("id", "login", "name", "roles", "state", "last_login_at")


@click.group()
def users() -> None:
    """List, create and disable people; set their passwords."""


@users.command("list")
@json_option
@pass_tools
def list_(tools: Tools, *, json_wanted: bool) -> None:
    """List people in the order of their logins."""
    found = [rows.person(each) for each in tools.services.people.page()]
    output.page(found, _COLUMNS, limit=len(found), json_wanted=json_wanted)


@users.command()
@click.argument("login")
@click.option(
    "--role",
    "granted",
    multiple=True,
    required=True,
    metavar="ROLE[@TENANT]",
    help="viewer, operator or admin; for all tenants, or as in operator@acme.",
)
@click.option("--name", default="", help="For people; default: the login.")
@click.option("--no-password", is_flag=True, help="Single sign-on alone.")
@pass_tools
def create(
    tools: Tools, *, login: str, granted: tuple[str, ...], name: str, no_password: bool
) -> None:
    """Create a person and print their password, alone; it is not shown again."""
    people = tools.services.people
    password = None if no_password else people.new_password()
    person = people.create(
        login, grants=[_grant(each) for each in granted], name=name, password=password
    )
    click.echo(f"Created {rows.person(person)['id']} ({person.login}).", err=True)
    if password is not None:
        click.echo("The password, shown once:", err=True)
        click.echo(password)


@users.command("set-password")
@click.argument("login")
@click.option("--stdin", is_flag=True, help="Read it from standard input.")
@pass_tools
def set_password(tools: Tools, *, login: str, stdin: bool) -> None:
    """Give a person a new password and log them out; print it unless it was given."""
    people = tools.services.people
    person = people.by_login(login)
    password = sys.stdin.readline().rstrip("\r\n") if stdin else people.new_password()
    people.set_password(person.id, password)
    click.echo(f"{person.login} has a new password.", err=True)
    if not stdin:
        click.echo(password)


@users.command()
@click.argument("login")
@pass_tools
def disable(tools: Tools, *, login: str) -> None:
    """Let a person log in no more, and log them out."""
    _set_state(tools, login, PersonState.DISABLED)


@users.command()
@click.argument("login")
@pass_tools
def enable(tools: Tools, *, login: str) -> None:
    """Let a person who was disabled log in again."""
    _set_state(tools, login, PersonState.ACTIVE)


def _set_state(tools: Tools, login: str, state: PersonState) -> None:
    people = tools.services.people
    person = people.change(people.by_login(login).id, state=state)
    click.echo(f"{person.login} is {person.state}.")


def _grant(text: str) -> Grant:
    role, at, tenant_id = text.partition("@")
    if role not in ROLES or (at and not tenant_id):
        raise InvalidInput(f"{text!r}: a role is {', '.join(ROLES)}, or ROLE@TENANT.")
    return Grant(Role(role), tenant_id or None)
