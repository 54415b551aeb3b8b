"""Deliveries in every format and with either signature, checked by others' code."""

from __future__ import annotations

import base64
import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.v1.http import from_http
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from ascwebhooks.cli.context import Tools
from ascwebhooks.cli.endpoints import endpoints
from ascwebhooks.cli.listen import listen
from ascwebhooks.domain import ids
from ascwebhooks.domain.formats import Format
from ascwebhooks.domain.ids import Kind
from ascwebhooks.embedded.receiver import Failure, Receiver
from ascwebhooks.errors import Conflict, InvalidInput

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DATA = '{"spend" : 103.20, "n":1.0e2}'
ATTRIBUTES = {
    "subject": "team Süd 100%",
    "time": "2026-11-23T07:41:49.5Z",
    "traceparent": TRACE,
    "severitytext": "WARN",
    "correlationid": "r-1",
    "dataschema": "https://example.com/schema.json",
}
ENDPOINTS = "/tenants/acme/endpoints"


def send(pipeline, **options):
    """Send one event to a new endpoint; return the request, its secret, its id."""
    seen = []
    with Receiver(on_delivery=seen.append) as receiver:
        endpoint_id, secret = pipeline.endpoint_with_secret(
            receiver.url, event_types=["*"], **options
        )
        delivery_id = pipeline.deliver_one(DATA, **ATTRIBUTES)
        pipeline.turns().take([endpoint_id])
        assert pipeline.after_attempts(delivery_id).status == "delivered"
    (request,) = seen
    return request, secret, delivery_id


def ed25519_verifies(public_key, request):
    """Verify as a receiver would who has but the standard's text."""
    prefix, _, encoded = public_key.partition("_")
    assert prefix == "whpk"
    raw = base64.b64decode(encoded)
    assert len(raw) == 32
    headers = request.headers
    content = b".".join(
        (
            headers["webhook-id"].encode(),
            headers["webhook-timestamp"].encode(),
            request.body,
        )
    )
    for each in headers["webhook-signature"].split(" "):
        scheme, _, signature = each.partition(",")
        if scheme != "v1a":
            continue
        try:
            Ed25519PublicKey.from_public_bytes(raw).verify(
                base64.b64decode(signature), content
            )
        except InvalidSignature:
            continue
        return True
    return False


@pytest.mark.parametrize(
    ("format", "content_type"),
    [
        (Format.CLOUDEVENTS, "application/cloudevents+json"),
        (Format.CLOUDEVENTS_BINARY, "application/json"),
    ],
)
def test_a_cloudevent_arrives_whole_and_signed(pipeline, format, content_type):
    """Read by two generations of the reference SDK, verified by another's code."""
    request, secret, _ = send(pipeline, format=format)

    found = from_http_event(HTTPMessage(dict(request.headers), request.body))
    assert found.get_data() == json.loads(DATA)
    attributes = found.get_attributes()
    assert attributes.pop("time").isoformat() == "2026-11-23T07:41:49.500000+00:00"
    assert attributes == {
        "specversion": "1.0",
        "id": "event-1",
        "source": "/gateways/one",
        "type": "budget.exceeded",
        "tenantid": "acme",
        "datacontenttype": "application/json",
        **{name: ATTRIBUTES[name] for name in ATTRIBUTES if name != "time"},
    }
    older = from_http(request.headers, request.body)
    assert (older["id"], older["tenantid"]) == ("event-1", "acme")
    assert older.data == json.loads(DATA)
    assert DATA.encode() in request.body
    assert request.headers["content-type"] == content_type
    assert request.headers["traceparent"] == TRACE
    assert request.headers["webhook-id"].startswith("evt_")
    Webhook(secret).verify(request.body, request.headers)


def test_one_event_goes_to_endpoints_of_all_formats(pipeline):
    """Each gets its own body, in one claim; none gets another's."""
    seen = {}
    with Receiver(
        on_delivery=lambda request: seen.update({request.path: request})
    ) as receiver:
        endpoints = [
            pipeline.endpoint(f"{receiver.url}/{each}", format=each)
            for each in (*Format, *Format)
        ]
        pipeline.accept(pipeline_event(DATA))
        pipeline.turns().take(endpoints)
        for each in endpoints:
            pipeline.idle(each)

    assert pipeline.rows("SELECT DISTINCT status FROM delivery") == [("delivered",)]
    assert json.loads(seen["/standard"].body)["tenant_id"] == "acme"
    assert json.loads(seen["/cloudevents"].body)["tenantid"] == "acme"
    assert seen["/cloudevents-binary"].body == DATA.encode()
    assert "ce-id" not in seen["/standard"].headers


def pipeline_event(data):
    whole = {"specversion": "1.0", "id": "1", "source": "/a", "type": "a.b"}
    head = json.dumps({**whole, "tenantid": "acme"})
    return f'{head[:-1]},"data":{data}}}'.encode()


def test_an_attempt_shows_the_body_that_it_sent(api, pipeline):
    """The format was changed between two attempts: each shows its own."""
    seen = []
    with Receiver(on_delivery=seen.append, failure=Failure(500, 1)) as receiver:
        endpoint_id = pipeline.endpoint(receiver.url)
        delivery_id = pipeline.deliver_one(DATA)
        shown = ids.show(Kind.DELIVERY, delivery_id)
        path = f"{ENDPOINTS}/{ids.show(Kind.ENDPOINT, endpoint_id)}"
        turns = pipeline.turns()
        turns.take([endpoint_id])
        pipeline.after_attempts(delivery_id)
        pipeline.idle(endpoint_id)
        changed = api.patch(path, {"format": "cloudevents-binary"})
        assert changed.json["format"] == "cloudevents-binary"
        assert api.post(f"/tenants/acme/deliveries/{shown}/retry").status_code == 202
        turns.take([endpoint_id])
        pipeline.after_attempts(delivery_id, 2)

    found = api.get(f"/tenants/acme/deliveries/{shown}").json
    bodies = [each["request_body"].encode() for each in found["attempts"]]
    assert bodies == [each.body for each in seen]
    assert bodies[1] == DATA.encode() != bodies[0]
    sent = dict(found["attempts"][1]["request_headers"])
    assert sent["ce-id"] == seen[1].headers["ce-id"]


def test_an_ed25519_signature_is_right_and_the_private_key_stays_here(api, pipeline):
    seen = []
    with Receiver(on_delivery=seen.append) as receiver:
        body = {"url": receiver.url, "event_types": ["*"], "signature": "v1a"}
        made = api.post(ENDPOINTS, body)
        assert made.status_code == 201
        delivery_id = pipeline.deliver_one()
        endpoint_id = ids.read(Kind.ENDPOINT, made.json["id"])
        pipeline.turns().take([endpoint_id])
        pipeline.after_attempts(delivery_id)

    (request,) = seen
    public_key = made.json["public_key"]
    assert ed25519_verifies(public_key, request)
    (signature,) = request.headers["webhook-signature"].split()
    assert signature.startswith("v1a,")
    assert made.json["secret"] is None
    assert made.json["secret_hints"] == [f"whpk_…{public_key[-4:]}"]
    assert "whsk_" not in made.text
    assert "whsec_" not in made.text
    again = api.get(f"{ENDPOINTS}/{made.json['id']}").json
    assert (again["signature"], again["public_key"]) == ("v1a", public_key)
    other = api.post(ENDPOINTS, {**body, "url": "http://127.0.0.1:9009/"}).json
    assert not ed25519_verifies(other["public_key"], request)


def test_both_kinds_sign_while_a_rotation_to_ed25519_overlaps(api, pipeline):
    """A receiver of either kind verifies; without overlap only the new one signs."""
    seen = []
    with Receiver(on_delivery=seen.append) as receiver:
        endpoint_id, secret = pipeline.endpoint_with_secret(
            receiver.url, event_types=["*"]
        )
        path = f"{ENDPOINTS}/{ids.show(Kind.ENDPOINT, endpoint_id)}"
        turned = api.post(f"{path}/rotate-secret", {"signature": "v1a"}).json
        turns = pipeline.turns()
        deliver(pipeline, turns, endpoint_id, "1")
        plain = api.post(f"{path}/rotate-secret").json
        deliver(pipeline, turns, endpoint_id, "2")
        back = api.post(f"{path}/rotate-secret", {"signature": "v1", "overlap_s": 0})
        deliver(pipeline, turns, endpoint_id, "3")

    assert (turned["signature"], turned["secret"]) == ("v1a", None)
    assert api.get(path).json["signature"] == "v1"
    first, second, third = seen
    kinds = [
        [each.split(",")[0] for each in request.headers["webhook-signature"].split()]
        for request in seen
    ]
    assert kinds == [["v1a", "v1"], ["v1a", "v1a", "v1"], ["v1"]]
    Webhook(secret).verify(first.body, first.headers)
    assert ed25519_verifies(turned["public_key"], first)
    assert plain["signature"] == "v1a", "a rotation keeps the kind"
    for public_key in (plain["public_key"], turned["public_key"]):
        assert ed25519_verifies(public_key, second)
    assert back.json["public_key"] is None
    Webhook(back.json["secret"]).verify(third.body, third.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(third.body, third.headers)


def deliver(pipeline, turns, endpoint_id, source_id):
    pipeline.idle(endpoint_id)
    delivery_id = pipeline.deliver_one(id=source_id)
    turns.take([endpoint_id])
    pipeline.after_attempts(delivery_id)


def test_the_signature_changes_with_a_rotation_alone(api, pipeline):
    """A patch could not give the receiver the new key, nor time to learn of it."""
    path = f"{ENDPOINTS}/{api.endpoint()}"

    refused = api.patch(path, {"signature": "v1a", "timeout_s": 3})
    assert refused.status_code == 422
    assert "rotate-secret" in refused.json["errors"]["signature"][0]
    assert api.get(path).json["timeout_s"] == 15

    same = api.patch(path, {"signature": "v1", "timeout_s": 3})
    assert (same.status_code, same.json["timeout_s"]) == (200, 3)


def test_an_eleventh_rotation_is_a_conflict_with_ed25519_too(pipeline):
    """Ten in force, of both kinds, are enough; a request carries all of them."""
    endpoint_id = pipeline.endpoint(signature="v1a")
    rotate = pipeline.services.secrets.rotate
    for each in range(9):
        rotate("acme", endpoint_id, signature="v1" if each % 2 else "v1a")
    with pytest.raises(Conflict):
        rotate("acme", endpoint_id, signature="v1")
    kept = pipeline.services.endpoints.get("acme", endpoint_id).endpoint
    assert kept.signature == "v1a", "the refused rotation changed nothing"


def test_a_private_key_is_sealed_at_rest(pipeline):
    """Whoever reads the table finds the public key and no other."""
    pipeline.endpoint(signature="v1a")
    ((scheme, public_key, sealed),) = pipeline.rows(
        "SELECT scheme, public_key, sealed FROM endpoint_secret"
    )
    assert (scheme, len(public_key)) == ("v1a", 32)
    assert len(sealed) > 32
    assert bytes(public_key) not in bytes(sealed)


def test_the_readmes_way_of_verifying_works(pipeline):
    """What a receiver is told to do, as it stands there."""
    readme = (Path(__file__).parents[2] / "README.rst").read_text()
    blocks = re.findall(r"::? python\n\n((?:    .*\n|\n)+)", readme)
    (block,) = [each for each in blocks if "Ed25519PublicKey" in each]
    there: dict[str, Any] = {}
    exec(textwrap.dedent(block), there)
    request, _, _ = send(pipeline, signature="v1a")
    public_key = pipeline.services.endpoints.page("acme", after=None, limit=1)[
        0
    ].public_key

    assert there["verified"](public_key, request.body, request.headers)
    assert not there["verified"](public_key, request.body + b" ", request.headers)


def test_the_command_line_makes_each_kind(pipeline):
    """The private key is in nothing that it prints."""
    tools = Tools(*[None] * 7)
    tools.__dict__["services"] = pipeline.services

    def run(*arguments):
        whole = [*arguments, "--tenant", "acme", "--json"]
        done = CliRunner().invoke(endpoints, whole, obj=tools)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout[done.stdout.index("{\n") :])  # after logs

    options = ("--format", "cloudevents", "--signature", "v1a")
    made = run("create", "http://127.0.0.1:9009/", "--event-type", "*", *options)
    assert (made["format"], made["signature"]) == ("cloudevents", "v1a")
    assert made["public_key"].startswith("whpk_")
    assert "secret" not in made
    turned = run("rotate-secret", made["id"], "--signature", "v1")
    assert turned["secret"].startswith("whsec_")
    assert (turned["signature"], turned["public_key"]) == ("v1", None)
    assert [each["hint"][:5] for each in turned["secrets"]] == ["whsec", "whpk_"]


def test_a_malformed_public_key_is_said_before_anything_is_received():
    said = CliRunner().invoke(listen, ["--port", "0", "--secret", "whpk_AAAA"])
    assert isinstance(said.exception, InvalidInput)
    assert "whpk_" in str(said.exception)


def test_a_format_that_does_not_exist_is_named(api):
    refused = api.post(ENDPOINTS, {"url": "http://127.0.0.1:1/", "format": "avro"})
    assert refused.status_code == 422
    assert list(refused.json["errors"]) == ["format"]
