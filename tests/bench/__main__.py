"""Run the benchmark.

::

    python -m tests.bench                       # all scenarios
    python -m tests.bench ONLY=hot,spread       # some
    python -m tests.bench --spy var/profiles    # with profiles of the workers
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console

from ascwebhooks.errors import AscWebhooksError
from tests.bench import report, scenarios
from tests.bench.failures import BenchFailed
from tests.bench.nginx import Nginx
from tests.bench.scenarios import Ground, Result
from tests.bench.spies import Spies
from tests.bench.stack import Crew, bench

_RESULTS = Path("var/bench.json")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("words", nargs=-1, metavar="[ONLY=name,…]")
@click.option("--only", help="Scenarios: limit, hot, spread, latency, lists, triggers.")
@click.option("--deliver", default=1, show_default=True, help="Delivery processes.")
@click.option("--threads", default=4, show_default=True, help="Threads in each.")
@click.option("--spy", type=click.Path(path_type=Path), help="Profile into a folder.")
@click.option("--out", type=click.Path(path_type=Path), default=_RESULTS)
def main(
    *,
    words: tuple[str, ...],
    only: str | None,
    deliver: int,
    threads: int,
    spy: Path | None,
    out: Path,
) -> None:
    """Measure, print a table, write JSON; fail if a bar is not met."""
    console = Console()
    try:
        names = _chosen(words, only)
        crew = Crew(deliver, threads)
        results = _run(console, names, crew, Spies(spy))
    except (BenchFailed, AscWebhooksError) as error:
        Console(stderr=True).print(f"bench: {error}", style="red", markup=False)
        sys.exit(1)
    met = report.show(console, results)
    report.write(out, results, {"deliver": deliver, "threads": threads})
    console.print(f"Written to {out}.")
    sys.exit(0 if met else 1)


def _chosen(words: tuple[str, ...], only: str | None) -> list[str]:
    given = dict(each.partition("=")[::2] for each in words)
    if unknown := set(given) - {"ONLY"}:
        raise BenchFailed(f"{sorted(unknown)[0]!r} is not understood; say ONLY=hot.")
    text = only or given.get("ONLY") or os.environ.get("ONLY") or ""
    names = [each.strip() for each in text.split(",") if each.strip()]
    for name in names:
        if name not in scenarios.ALL:
            known = ", ".join(scenarios.ALL)
            raise BenchFailed(f"there is no scenario {name!r}; there are {known}.")
    return [name for name in scenarios.ALL if not names or name in names]


def _run(
    console: Console, names: list[str], crew: Crew, spies: Spies
) -> dict[str, Result]:
    results: dict[str, Result] = {}
    with (
        tempfile.TemporaryDirectory(prefix="asc-bench-nginx-") as folder,
        # First, so that a missing nginx is said before anything is started.
        Nginx(_open(folder)) as nginx,
        bench() as ground,
        console.status("starting") as status,
    ):
        say = _sayer(console, status.update)
        for name in names:
            place = Ground(ground, nginx, crew, spies, say)
            results[name] = scenarios.ALL[name](place)
            for figure, value in results[name].figures.items():
                console.print(f"{figure} {value:,.1f}", highlight=False)
    return results


def _open(folder: str) -> Path:
    # As root nginx's worker is another user.
    Path(folder).chmod(0o755)
    return Path(folder) / "nginx"


def _sayer(console: Console, update: Callable[[str], None]) -> Callable[[str], None]:
    def say(text: str) -> None:
        if console.is_terminal:
            update(text)

    return say


if __name__ == "__main__":
    main()
