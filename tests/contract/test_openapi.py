"""The description of the API is valid, and describes what is served."""

from __future__ import annotations

import re

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator


@pytest.fixture
def document(api):
    """The description as anybody gets it, without a key."""
    answered = api.with_key(None).get("/openapi.json")
    assert answered.status_code == 200
    return answered.json


def operations(document):
    return {
        (method.upper(), path): operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def test_the_document_is_valid_openapi_3_1(document):
    assert document["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_every_route_is_described_with_what_it_needs(api, document):
    served = {
        (method, re.sub(r"<(\w+)>", r"{\1}", rule.rule))
        for rule in api.app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = operations(document)
    assert set(described) == served - {("GET", "/api/v1/openapi.json")}
    for operation in described.values():
        assert operation["x-permission"]
        assert operation["summary"].endswith(".")


def test_every_error_is_described_as_problem_details(document):
    for name, response in document["components"]["responses"].items():
        assert list(response["content"]) == ["application/problem+json"], name
    for operation in operations(document).values():
        assert operation["responses"]["default"] == {
            "$ref": "#/components/responses/DEFAULT_ERROR"
        }


def test_the_ways_of_publishing_are_described(document):
    one, many = (
        document["paths"][path]["post"]
        for path in ("/api/v1/events", "/api/v1/events/batch")
    )
    assert list(one["requestBody"]["content"]) == [
        "application/cloudevents+json",
        "application/json",
    ]
    assert list(many["requestBody"]["content"]) == [
        "application/cloudevents-batch+json"
    ]
    named = {each["name"] for each in one["parameters"]}
    assert {"ce-id", "ce-source", "ce-type", "ce-tenantid"} <= named
    for described in (one, many):
        assert {"202", "422"} <= set(described["responses"])


def test_every_operation_has_a_name_of_its_own_and_says_who_may(document):
    described = operations(document).values()
    names = [each["operationId"] for each in described]
    assert len(set(names)) == len(names)
    assert {"create_endpoint", "list_endpoints", "rotate_endpoint_secret"} <= {*names}
    for operation in described:
        assert re.fullmatch("[a-z]+(_[a-z]+)+", operation["operationId"])
        assert "For keys with the role `" in operation["description"]
        assert {"401", "403"} <= set(operation["responses"])


def test_what_changes_something_has_no_defaults(document):
    """Generated clients send defaults, and would reset what they do not mean."""
    schemas = document["components"]["schemas"]
    changes = {name: each for name, each in schemas.items() if "Changes" in name}
    assert set(changes) >= {"EndpointChanges", "SubscriptionChanges", "TenantChanges"}
    for name, each in changes.items():
        for field, described in each["properties"].items():
            assert "default" not in described, f"{name}.{field}"


def test_an_answer_has_each_of_its_fields(document):
    schemas = document["components"]["schemas"]
    for name in ("Endpoint", "Delivery", "EventWithDeliveries", "DeliveryPage"):
        assert set(schemas[name]["required"]) == set(schemas[name]["properties"]), name


def test_a_choice_is_described_once(document):
    schemas = document["components"]["schemas"]
    assert schemas["DeliveryStatus"]["enum"] == [
        "pending",
        "delivered",
        "dead_lettered",
        "cancelled",
    ]
    assert schemas["Delivery"]["properties"]["status"] == {
        "$ref": "#/components/schemas/DeliveryStatus"
    }


def test_the_secret_is_described_where_it_is_shown_and_nowhere_else(document):
    schemas = document["components"]["schemas"]
    shown = {
        name for name, each in schemas.items() if "secret" in each.get("properties", {})
    }
    assert shown == {"EndpointWithSecret", "Onboarded"}


def test_a_key_is_asked_for(document):
    (name,) = document["components"]["securitySchemes"]
    assert document["components"]["securitySchemes"][name]["scheme"] == "bearer"
    assert document["security"] == [{name: []}]
