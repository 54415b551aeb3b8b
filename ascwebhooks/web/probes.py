"""Liveness and readiness, for whatever starts and stops this process."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from flask import Blueprint

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
