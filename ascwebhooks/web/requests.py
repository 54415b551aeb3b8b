"""Around every request: an id, a log line, and the headers of every answer."""

from __future__ import annotations

import re
import time
from uuid import uuid4

import structlog
from flask import Flask, Response, g, request

from ascwebhooks.domain.audit import SYSTEM, Actor
from ascwebhooks.services.acting import act_as

log = structlog.get_logger()

#: An answer of the API is data: nothing in it may run, load or be framed.
API_POLICY = "default-src 'none'; frame-ancestors 'none'"

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})


def install(app: Flask) -> None:
    """Give every request of ``app`` an id and a log line, every answer its headers."""
    app.before_request(_begin)
    app.after_request(_finish)
    app.teardown_request(_end)


def _begin() -> None:
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _REQUEST_ID.match(given) else uuid4().hex
    g.began = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)
    # Threads serve one after another: nobody acts on behalf of whoever came before.
    act_as(_nobody())


def _nobody() -> Actor:
    return SYSTEM._replace(address=request.remote_addr or "", request_id=g.request_id)


def _end(_: BaseException | None) -> None:
    act_as(SYSTEM)


def _finish(response: Response) -> Response:
    _secure(response)
    _log(response)
    return response


def _secure(response: Response) -> None:
    headers = response.headers
    headers.setdefault("Content-Security-Policy", API_POLICY)
    headers.setdefault("Cache-Control", "no-store")
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers["X-Request-Id"] = g.request_id


def _log(response: Response) -> None:
    """Log the request by its route's pattern: a path or a query may say too much."""
    caller, visitor = g.get("caller"), g.get("visitor")
    rule = request.url_rule
    write = log.debug if request.path in _PROBES else log.info
    write(
        "request_served",
        method=request.method,
        route=None if rule is None else rule.rule,
        status=response.status_code,
        ms=round((time.perf_counter() - g.began) * 1000, 1),
        key=None if caller is None else caller.shown,
        user=None if visitor is None else visitor.id,
    )
