"""The command line: ``ascwebhooks``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
import structlog

from ascwebhooks import __version__
from ascwebhooks.cli import processes
from ascwebhooks.cli.audit import audit
from ascwebhooks.cli.budgets import budgets
from ascwebhooks.cli.context import Tools
from ascwebhooks.cli.create_many import create_many
from ascwebhooks.cli.dead_letters import dead_letters
from ascwebhooks.cli.deliveries import deliveries
from ascwebhooks.cli.doctor import doctor
from ascwebhooks.cli.endpoints import endpoints
from ascwebhooks.cli.env import env
from ascwebhooks.cli.event_types import event_types
from ascwebhooks.cli.events import events
from ascwebhooks.cli.incidents import incidents
from ascwebhooks.cli.keys import keys
from ascwebhooks.cli.listen import listen
from ascwebhooks.cli.mappings import mappings
from ascwebhooks.cli.rejected_events import rejected_events
from ascwebhooks.cli.replays import replay
from ascwebhooks.cli.rules import rules
from ascwebhooks.cli.send import send
from ascwebhooks.cli.subscriptions import subscriptions
from ascwebhooks.cli.tenants import tenants
from ascwebhooks.cli.up import up
from ascwebhooks.cli.update_endpoint import update
from ascwebhooks.cli.usage import usage
from ascwebhooks.cli.users import users
from ascwebhooks.cli.verify import verify
from ascwebhooks.errors import AscWebhooksError, InvalidInput, SettingsInvalid

log = structlog.get_logger()

EXIT_FAILED = 1
EXIT_WRONG_CALL = 2


class _InOrder(click.Group):
    """Lists commands in the order in which people meet them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names as they were added."""
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="ascwebhooks")
def cli() -> None:
    """Webhook delivery for AI gateways."""


endpoints.add_command(create_many)
endpoints.add_command(update)
for _command in (
    up,
    processes.migrate,
    processes.web,
    processes.worker,
    processes.beat,
    send,
    listen,
    verify,
    keys,
    users,
    audit,
    tenants,
    endpoints,
    subscriptions,
    events,
    event_types,
    budgets,
    mappings,
    deliveries,
    dead_letters,
    replay,
    rejected_events,
    rules,
    incidents,
    usage,
    doctor,
    env,
):
    cli.add_command(_command)


def run(tools: Tools, arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status.

    0 it was done, 1 it failed, 2 the call was wrong.
    """
    try:
        answer = cli.main(args=arguments, obj=tools, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return EXIT_WRONG_CALL if isinstance(error, click.UsageError) else EXIT_FAILED
    except click.Abort:
        return EXIT_FAILED
    except (InvalidInput, SettingsInvalid) as error:
        click.echo(f"ascwebhooks: {error}", file=sys.stderr)
        return EXIT_WRONG_CALL
    except AscWebhooksError as error:
        click.echo(f"ascwebhooks: {error}", file=sys.stderr)
        return EXIT_FAILED
    except Exception as error:
        # A process's log has it; a command shows it with LOG_LEVEL=DEBUG.
        log.info("command_failed", exc_info=True)
        click.echo(
            f"ascwebhooks: {type(error).__name__}: {_first_line(error)}\n"
            f"'ascwebhooks doctor' says what is not well.",
            file=sys.stderr,
        )
        return EXIT_FAILED
    return answer if isinstance(answer, int) else 0


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")
