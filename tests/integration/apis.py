"""The API without a server: Flask's own client on the services of a pipeline.

A test module has the fixtures by tests/conftest.py, as it has those of ``pipeline``;
it must not import from here, or pytest could not rewrite the asserts.
"""

from __future__ import annotations

from collections.abc import Callable
from json import dumps
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.web.app import create_app
from tests.integration.pipeline import NOWHERE, Pipeline

MANY = "application/cloudevents-batch+json"
ROOT = "/api/v1"


class Api:
    """Somebody's view of the API: ``api.get("/tenants")``."""

    def __init__(self, app: Flask, pipeline: Pipeline, key: str | None) -> None:
        self.app = app
        self.pipeline = pipeline
        self.key = key
        self.client = app.test_client()

    def ask(self, method: str, path: str, **options: Any) -> TestResponse:
        """Ask for a path below /api/v1, or for one that starts with '!' as it is."""
        whole = path[1:] if path.startswith("!") else ROOT + path
        headers = dict(options.pop("headers", {}))
        if self.key is not None:
            headers.setdefault("Authorization", f"Bearer {self.key}")
        body = options.pop("json", None)
        if body is not None:
            # Not the application's own encoder, which writes no bad JSON.
            options |= {"data": dumps(body), "content_type": "application/json"}
        options.setdefault("buffered", True)
        return self.client.open(whole, method=method, headers=headers, **options)

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.ask("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        return self.ask("POST", path, json=json, **options)

    def patch(self, path: str, json: Any = None, **options: Any) -> TestResponse:
        return self.ask("PATCH", path, json=json, **options)

    def delete(self, path: str) -> TestResponse:
        return self.ask("DELETE", path)

    def publish(self, *raws: bytes) -> TestResponse:
        """Publish events as one batch."""
        return self.publish_body(b"[" + b",".join(raws) + b"]", MANY)

    def publish_body(self, body: bytes, content_type: str) -> TestResponse:
        return self.ask("POST", "/events", data=body, content_type=content_type)

    def as_(self, role: Role, tenant_id: str | None = None) -> Api:
        """Return the view of somebody with a new key."""
        return self.with_key(
            self.pipeline.services.keys.create(role, tenant_id=tenant_id)[1]
        )

    def with_key(self, key: str | None) -> Api:
        """Return the view of the holder of a key, or of somebody without one."""
        return Api(self.app, self.pipeline, key)

    def endpoint(self, **options: Any) -> str:
        """Create an endpoint of TENANT's for all events; return its id."""
        return ids.show(Kind.ENDPOINT, self.pipeline.endpoint(NOWHERE, **options))


@pytest.fixture
def api_on() -> Callable[[Pipeline], Api]:
    """Makes the API on a pipeline, seen by an administrator of the platform's."""

    def make(pipeline: Pipeline) -> Api:
        app = create_app(pipeline.services, pipeline.settings)
        return Api(app, pipeline, None).as_(Role.ADMIN)

    return make


@pytest.fixture
def api(pipeline: Pipeline, api_on: Callable[[Pipeline], Api]) -> Api:
    """The API with the tenant TENANT, seen by an administrator of the platform's."""
    return api_on(pipeline)
