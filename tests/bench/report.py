"""The table, the bars of it, and the file."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pycurl
from rich.console import Console
from rich.table import Table

from tests.bench.openings import Page
from tests.bench.scenarios import Result

_PACKAGES = (
    "ascwebhooks",
    "celery",
    "psycopg2-binary",
    "pycurl",
    "redis",
    "sqlalchemy",
)

#: From this share of all cores on, what else runs spoils the figures.
_OTHERS = 0.05


@dataclass(frozen=True)
class Bar:
    """What a figure must reach, or must not exceed."""

    figure: str
    bound: float
    least: bool
    of: str | None = None

    def text(self) -> str:
        """Return the bar in words."""
        sign = "≥" if self.least else "≤"
        return (
            f"{sign} {self.bound:g} of {_NAMES.get(self.of, self.of)}"
            if self.of
            else f"{sign} {self.bound:,g}"
        )

    def met(self, figures: Mapping[str, float]) -> bool | None:
        """Return whether it is met; None if it was not measured."""
        value = figures.get(self.figure)
        base = figures.get(self.of) if self.of else 1.0
        if value is None or base is None:
            return None
        return value >= self.bound * base if self.least else value <= self.bound * base


BARS = (
    Bar("hot", 0.12, True, "limit_beside_hot"),
    Bar("hot", 4_000, True),
    Bar("spread", 0.6, True, "hot"),
    Bar("latency_50_p50_ms", 15, False),
    Bar("latency_50_p99_ms", 80, False),
    Bar("lists_slowest_p95_ms", 300, False),
    Bar("triggers_100", 4_000, True),
    Bar("triggers_100_rules_20", 4_000, True),
)
_NAMES = {
    "limit": "limit: bare libcurl loop",
    "limit_sender": "limit: our sender",
    "limit_beside_hot": "limit beside hot",
    "hot": "hot: 1 endpoint",
    "spread": "spread: 1,000 endpoints",
    "lists_slowest_p95_ms": "lists: slowest page p95",
    "triggers_1": "signals, 1 budget",
    "triggers_10": "signals, 10 budgets",
    "triggers_100": "signals, 100 budgets",
    "triggers_100_rules_20": "signals, 100 budgets and 20 rules",
}


def show(console: Console, results: Mapping[str, Result]) -> bool:
    """Print the table; return whether every bar that was measured is met."""
    figures = _figures(results)
    table = Table(title="Speed", title_justify="left")
    table.add_column("figure")
    table.add_column("measured", justify="right")
    table.add_column("bar", no_wrap=True)
    table.add_column("")
    for name, value in figures.items():
        bars = [bar for bar in BARS if bar.figure == name]
        table.add_row(
            _NAMES.get(name, name.removesuffix("_ms").replace("_", " ")),
            f"{value:,.1f} ms" if name.endswith("_ms") else f"{value:,.0f}/s",
            "\n".join(bar.text() for bar in bars),
            "\n".join(_verdict(bar, figures) for bar in bars),
        )
    console.print(table)
    _show_pages(console, [page for each in results.values() for page in each.pages])
    _show_cpu(console, results)
    return all(bar.met(figures) is not False for bar in BARS)


def _verdict(bar: Bar, figures: Mapping[str, float]) -> str:
    met = bar.met(figures)
    if met is None:
        return "not measured"
    base = figures[bar.of] if bar.of else 0.0
    share = f" ({figures[bar.figure] / base:.3f})" if base else ""
    return f"[green]met[/]{share}" if met else f"[red]not met[/]{share}"


def _show_pages(console: Console, pages: Sequence[Page]) -> None:
    if not pages:
        return
    table = Table(title="Lists at 1,000,000 deliveries", title_justify="left")
    table.add_column("page", overflow="fold")
    table.add_column("p50", justify="right", no_wrap=True)
    table.add_column("p95", justify="right", no_wrap=True)
    for page in pages:
        table.add_row(page.name, f"{page.p50_ms:,.1f} ms", f"{page.p95_ms:,.1f} ms")
    console.print(table)


def _show_cpu(console: Console, results: Mapping[str, Result]) -> None:
    for name, result in results.items():
        used = {key: value for key, value in result.cpu_s.items() if value >= 0.05}
        if used:
            text = ", ".join(f"{key} {value:.2f}" for key, value in used.items())
            console.print(f"CPU seconds, {name}: {text}", highlight=False)
        if result.cpu_s.get("others", 0.0) > _OTHERS * sum(result.cpu_s.values()):
            console.print(f"[yellow]{name}: other programs ran on this machine.[/]")
        for remark in result.remarks:
            console.print(f"[yellow]logged, {name}:[/] {remark[:300]}")


def write(path: Path, results: Mapping[str, Result], crew: Mapping[str, int]) -> None:
    """Write everything as JSON."""
    figures = _figures(results)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": _machine(),
        "versions": _versions(),
        "crew": crew,
        "figures": {name: round(value, 2) for name, value in figures.items()},
        "bars": [
            {"figure": bar.figure, "bar": bar.text(), "met": bar.met(figures)}
            for bar in BARS
        ],
        "pages": {
            page.name: {
                "p50_ms": round(page.p50_ms, 1),
                "p95_ms": round(page.p95_ms, 1),
            }
            for each in results.values()
            for page in each.pages
        },
        "cpu_s": {name: result.cpu_s for name, result in results.items()},
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _figures(results: Mapping[str, Result]) -> dict[str, float]:
    return {k: v for result in results.values() for k, v in result.figures.items()}


def _machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [each.partition(":")[2].strip() for each in lines if "model name" in each]
    return {
        "cores": os.cpu_count(),
        "cpu": models[0] if models else platform.machine(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
    }


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "libcurl": pycurl.version_info()[1],
        **{name: metadata.version(name) for name in _PACKAGES},
    }


def _commit() -> str | None:
    here = Path(__file__).parent
    try:
        told = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return told.stdout.strip()
