"""A worker's metrics over HTTP, on a port of its own."""

from __future__ import annotations

import structlog
from prometheus_client import start_http_server
from prometheus_client.registry import Collector, CollectorRegistry

from ascwebhooks.errors import SettingsInvalid

log = structlog.get_logger()


def serve_metrics(bind: str, metrics: Collector) -> int:
    """Serve metrics in a thread of its own; return the port.

    Args:
        bind: ``host:port``.
        metrics: What to show.

    Raises:
        SettingsInvalid: If nobody can listen there: another worker may do so.
    """
    host, _, port = bind.rpartition(":")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics)
    try:
        server, _ = start_http_server(int(port), host, registry)
    except (OSError, OverflowError) as error:
        raise SettingsInvalid(
            f"ASCWEBHOOKS_METRICS_BIND: cannot listen on {bind}: {error}. Each worker"
            " needs a port of its own.",
            setting="ASCWEBHOOKS_METRICS_BIND",
        ) from error
    log.info("metrics_served", bind=bind)
    return int(server.server_address[1])
