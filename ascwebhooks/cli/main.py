"""The command line: ``ascwebhooks``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from ascwebhooks import __version__
from ascwebhooks.cli import processes
from ascwebhooks.cli.context import Tools
from ascwebhooks.errors import AscWebhooksError, InvalidInput, SettingsInvalid

EXIT_FAILED = 1
EXIT_WRONG_CALL = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="ascwebhooks")
def cli() -> None:
    """Webhook delivery for AI gateways."""


for _command in (processes.worker, processes.beat, processes.web, processes.migrate):
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
    return answer if isinstance(answer, int) else 0
