"""Liveness and readiness, for whatever starts and stops this process; metrics."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from itertools import chain
from typing import Any

import structlog
from flask import Blueprint, Response, request
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from ascwebhooks.web.access import services

log = structlog.get_logger()

blp = Blueprint("probes", __name__)


@blp.get("/healthz")
def healthz() -> dict[str, str]:
    """Say that the process runs; nothing else is asked."""
    return {"status": "ok"}


@blp.get("/readyz")
def readyz() -> tuple[dict[str, Any], HTTPStatus]:
    """Say whether requests can be served, and what is wrong if not.

    Anybody may ask: versions, hosts and users stand in the log alone.
    """
    findings = services().health.ready()
    unwell = [each for each in findings if not each.well]
    for each in unwell:
        log.warning("not_ready", check=each.check, detail=each.detail)
    checks = [
        {
            "check": each.check,
            "well": each.well,
            "mend": None if each.well else each.mend,
        }
        for each in findings
    ]
    if unwell:
        body = {"status": "unavailable", "checks": checks}
        return body, HTTPStatus.SERVICE_UNAVAILABLE
    return {"status": "ready", "checks": checks}, HTTPStatus.OK


@blp.get("/metrics")
def metrics() -> Response:
    """Show this process's metrics, and how the whole installation stands.

    Anybody may ask who reaches this port: no tenant, endpoint or event is named.
    """
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    both = _Both(services().metrics, services().gauges)
    return Response(encode(both), content_type=content_type)


class _Both:
    def __init__(self, *collectors: Collector) -> None:
        self._collectors = collectors

    def collect(self) -> Iterable[Metric]:
        return chain.from_iterable(each.collect() for each in self._collectors)
