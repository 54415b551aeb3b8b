"""Pages without a server: Flask's own client, logged in as somebody of a role.

A test module has the fixture by tests/conftest.py and must not import from here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import Grant
from ascwebhooks.web.app import create_app
from tests.integration.pipeline import Pipeline

_PASSWORD = "correct horse battery"
_CSRF = re.compile(r'"X-CSRF-Token": "([^"]+)"')
_COOKIE = "ascw_session"


class Visitor:
    """Somebody's browser; redirects are not followed."""

    def __init__(self, app: Flask, token: str) -> None:
        self.client = app.test_client()
        self.client.set_cookie(_COOKIE, token)

    def get(self, path: str, **options: Any) -> TestResponse:
        """Get a page below /admin."""
        return self.client.get(f"/admin{path}", **options)

    def part(self, path: str) -> TestResponse:
        """Get a part of a page, as htmx does."""
        return self.get(path, headers={"HX-Request": "true"})

    def post(self, path: str, form: Any = None, **options: Any) -> TestResponse:
        """Post a form with the session's token, or with ``csrf``."""
        token = options.pop("csrf", None) or self.csrf
        data = {"_csrf": token, **(form or {})}
        return self.client.post(f"/admin{path}", data=data, **options)

    @property
    def csrf(self) -> str:
        found = _CSRF.search(self.get("/tenants").text)
        assert found is not None
        return found[1]


@pytest.fixture
def visit(pipeline: Pipeline) -> Callable[..., Visitor]:
    """Logs somebody new in: ``visit(Role.VIEWER, "acme")``, or for all tenants."""
    app = create_app(pipeline.services, pipeline.settings)

    def visit_(role: Role = Role.ADMIN, *tenant_ids: str) -> Visitor:
        login = "-".join([role, *tenant_ids])
        grants = [Grant(role, each) for each in tenant_ids or (None,)]
        pipeline.services.people.create(login, grants=grants, password=_PASSWORD)
        token = pipeline.services.sessions.log_in(login, _PASSWORD, address="127.0.0.1")
        return Visitor(app, token)

    return visit_
