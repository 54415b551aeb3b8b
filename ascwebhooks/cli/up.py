"""``ascwebhooks up``: everything, on one machine, in the foreground."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext

import click

from ascwebhooks.cli import output, proof, samples
from ascwebhooks.cli.context import Tools, pass_tools, quiet
from ascwebhooks.cli.demo import Demo, Occupied
from ascwebhooks.cli.programs import WEB, programs, workers
from ascwebhooks.cli.proof import Failed, Proof, Result
from ascwebhooks.cli.tallies import Tally
from ascwebhooks.domain.keys import Role
from ascwebhooks.embedded import keyring, locks, ports, runtime
from ascwebhooks.embedded.engines import start_embedded
from ascwebhooks.embedded.output import Terminal
from ascwebhooks.embedded.receiver import HOST, Receiver
from ascwebhooks.embedded.supervisor import Interrupted, Supervisor
from ascwebhooks.errors import Unavailable
from ascwebhooks.services.container import Services
from ascwebhooks.settings import PREFIX, Settings

_READY_TIMEOUT_S = 60.0
_DEMO_NETWORK = f"{HOST}/32"


@click.command()
@click.option(
    "--no-proof", is_flag=True, help="Do not send events to the demo receiver."
)
@click.option("--verbose", is_flag=True, help="Show all that the programs log.")
@pass_tools
def up(tools: Tools, *, no_proof: bool, verbose: bool) -> None:
    """Start everything, prove that it works, stay until Ctrl-C.

    Without ASCWEBHOOKS_DATABASE_URL and ASCWEBHOOKS_REDIS_URL it runs a
    PostgreSQL and a Valkey of its own, their data below ASCWEBHOOKS_HOME_DIR.
    """
    first = tools.read_settings()
    terminal = Terminal(sys.stdout, verbose=verbose)
    with locks.home(first.home_dir) as home:
        locks.check_bind(first.bind)
        with Supervisor(terminal, home / "log") as supervisor:
            try:
                _Up(tools, supervisor).run(with_proof=not no_proof)
            except Interrupted:
                supervisor.say("interrupted")


class _Up:
    """One start, step by step."""

    def __init__(self, tools: Tools, supervisor: Supervisor) -> None:
        self._tools = tools
        self._supervisor = supervisor
        self._say = supervisor.say

    def run(self, *, with_proof: bool) -> None:
        """Start, prove, and supervise until told to stop."""
        settings = self._engines()
        quiet(settings)
        revision = self._supervisor.run_beside(lambda: self._tools.migrate(settings))
        self._say(f"the database is at revision {revision}")
        services = self._tools.build(settings)
        with ExitStack() as stack:
            stack.callback(services.close)
            tally = Tally()
            demo = self._demo(services, settings, with_proof)
            stack.enter_context(_receiving(demo, tally))
            self._programs(services, settings)
            if with_proof:
                self._prove(Proof(services, settings, tally, self._say), services, demo)
            self._welcome(services, settings, demo)
            self._supervisor.run()

    def _engines(self) -> Settings:
        """Start what has no URL, and write down how to reach it."""
        settings = self._tools.read_settings()
        engines = start_embedded(settings, self._supervisor)
        if not settings.encryption_keys:
            self._say(f"encryption keys: {keyring.ensure(settings.home_dir)}; keep it")
        runtime.write(
            settings.home_dir,
            {
                **engines.urls(),
                "BIND": settings.bind,
                "METRICS_TARGETS": _metrics_targets(settings),
                **self._for_demo(),
            },
        )
        return self._tools.read_settings()

    def _for_demo(self) -> dict[str, str]:
        """Return what the demo receiver needs, unless the operator has decided."""
        wanted = {"ALLOW_HTTP": "true", "ALLOWED_NETWORKS": _DEMO_NETWORK}
        chosen = {
            name: value
            for name, value in wanted.items()
            if not self._tools.environ.get(PREFIX + name)
        }
        for name, value in chosen.items():
            self._say(f"for the demo receiver, on this machine: {PREFIX}{name}={value}")
        return chosen

    def _demo(self, services: Services, settings: Settings, wanted: bool) -> Demo:
        """Make the demonstration's tenants and endpoints, once."""
        demo = Demo.load(settings.home_dir)
        if demo.targets or (wanted and _may_reach_demo(settings)):
            demo.choose_port(services)
        if demo.proved or not wanted:
            return demo
        if not _may_reach_demo(settings):
            self._say(
                f"no proof: {PREFIX}ALLOW_HTTP and {PREFIX}ALLOWED_NETWORKS do not "
                f"let deliveries reach http://{HOST}, the demo receiver"
            )
            return demo
        try:
            for tenant_id in samples.tenants(samples.load()):
                demo.prepare(services, tenant_id)
        except Occupied as error:
            self._say(
                f"no proof: the tenant {error} exists and has endpoints of its own, "
                f"which would get the recorded events"
            )
            demo.targets.clear()
        return demo

    def _programs(self, services: Services, settings: Settings) -> None:
        """Start web, workers and beat; return when they can be used."""
        chosen = programs(settings)
        for program in chosen:
            self._supervisor.start(program)
        self._supervisor.wait_ready(
            WEB, lambda: ports.answers(settings.bind, "/readyz"), _READY_TIMEOUT_S
        )

        def staffed() -> bool:
            for each in chosen:
                if self._supervisor.pid(each.name) is None:
                    log = settings.home_dir / "log" / f"{each.name}.log"
                    raise Unavailable(f"{each.name} does not stay up; see {log}.")
            found = {each.check: each.well for each in services.health.examine()}
            return found["workers"]

        self._supervisor.wait_ready("deliver-1", staffed, _READY_TIMEOUT_S)

    def _prove(self, attempt: Proof, services: Services, demo: Demo) -> None:
        if not demo.targets:
            return
        try:
            result = self._proof(attempt, services, demo)
        except Failed as error:
            log_dir = demo.file.parent / "log"
            raise Unavailable(
                f"The proof failed at {error} The logs are in {log_dir}."
            ) from error
        if result is not None:
            output.console().print(result.table())
        if not demo.proved:
            demo.proved = True
            demo.save()

    def _proof(self, attempt: Proof, services: Services, demo: Demo) -> Result | None:
        if not demo.proved:
            self._say("proof: sending the recorded events through the stream")
            return self._supervisor.run_beside(attempt.recorded_events)
        kept = services.health.backlog()
        self._say("kept from before: " + _counts(kept))
        target = proof.usable(services, demo)
        if target is None:
            self._say("no proof: the demo endpoints were deleted, paused or disabled")
            return None
        return self._supervisor.run_beside(lambda: attempt.endpoint_test(target))

    def _welcome(self, services: Services, settings: Settings, demo: Demo) -> None:
        url = f"http://{ports.reachable(settings.bind)}"
        self._say(f"ready: {url}   API: {url}/api/docs   Ctrl-C stops everything")
        self._first_admin(services, url)
        if demo.key_shown:
            return
        _, key = services.keys.create(Role.ADMIN, name="first start")
        self._say("an admin API key, shown once:")
        click.echo(key)
        self._say("another: ascwebhooks keys create --role admin")
        demo.key_shown = True
        demo.save()

    def _first_admin(self, services: Services, url: str) -> None:
        """Print a login for the pages, at the first start."""
        made = services.people.first_admin()
        if made is None:
            return
        person, password = made
        self._say(f"pages: {url}/admin   log in as {person.login!r}; the password,")
        self._say(f"shown once:   {password}")
        self._say("another: ascwebhooks users set-password admin")


def _metrics_targets(settings: Settings) -> str:
    """Choose a port of its own for each worker's metrics."""
    names = list(workers(settings))
    found: list[int] = []
    while len(found) < len(names):
        port = ports.choose()
        if port not in found:
            found.append(port)
    chosen = zip(names, found, strict=True)
    return ",".join(f"{name}={HOST}:{port}" for name, port in chosen)


@contextmanager
def _receiving(demo: Demo, tally: Tally) -> Iterator[None]:
    """Receive what is delivered to the demo endpoints, if there are any."""
    with (
        Receiver(demo.port, verify=demo.verifiers(), on_delivery=tally.received)
        if demo.targets
        else nullcontext()
    ):
        yield


def _may_reach_demo(settings: Settings) -> bool:
    allowed = {str(each) for each in settings.allowed_networks}
    return settings.allow_http and bool(allowed & {_DEMO_NETWORK, "127.0.0.0/8"})


def _counts(counts: dict[str, int]) -> str:
    found = [f"{count} {status}" for status, count in sorted(counts.items())]
    return "deliveries: " + (", ".join(found) or "none")
