from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from ascwebhooks.domain import signing
from ascwebhooks.domain.signing import SignatureInvalid
from ascwebhooks.errors import InvalidInput

NOW = datetime(2026, 11, 23, 7, 41, 49, tzinfo=UTC)
KEY = bytes(range(32))
OLD_KEY = bytes(range(32, 64))
BODY = b'{"type":"budget.exceeded","data":{"a":1}}'

keys = st.binary(min_size=24, max_size=64)
message_ids = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1, max_size=40)


def headers(
    key: bytes, body: bytes, now: datetime = NOW, *more: bytes
) -> dict[str, str]:
    timestamp = int(now.timestamp())
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signing.sign([key, *more], "evt_1", timestamp, body),
    }


def refused(secret: bytes, given_headers: dict[str, str], body: bytes = BODY) -> str:
    with pytest.raises(SignatureInvalid) as caught:
        signing.verify(signing.format_secret(secret), given_headers, body, NOW)
    return str(caught.value)


def test_signs_as_the_standard_says():
    """The example of the Standard Webhooks specification, with its own figures."""
    secret = signing.parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'

    signature = signing.sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(keys, message_ids, st.binary(max_size=200).map(lambda b: b.hex().encode()))
def test_the_standards_own_library_verifies_what_is_signed(key, message_id, body):
    """Receivers use that library, not ours; it parses the body as JSON."""
    body = b'"' + body + b'"'
    now = datetime.now(UTC)
    timestamp = int(now.timestamp())
    sent = {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signing.sign([key], message_id, timestamp, body),
    }

    verified = Webhook(signing.format_secret(key)).verify(body, sent)

    assert verified == json.loads(body)


def test_both_secrets_verify_while_a_rotation_overlaps():
    now = datetime.now(UTC)
    sent = headers(KEY, BODY, now, OLD_KEY)

    for key in (KEY, OLD_KEY):
        assert Webhook(signing.format_secret(key)).verify(BODY, sent)
        signing.verify(signing.format_secret(key), sent, BODY, now)
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.format_secret(b"x" * 32)).verify(BODY, sent)


@given(keys, st.binary(max_size=200))
def test_what_is_signed_verifies(key, body):
    signing.verify(signing.format_secret(key), headers(key, body), body, NOW)


@given(keys, st.binary(max_size=60), st.data())
def test_a_changed_bit_anywhere_in_the_body_is_noticed(key, body, data):
    at = data.draw(st.integers(0, len(body) * 8))
    changed = bytearray(body + b"\0")
    changed[at // 8] ^= 1 << at % 8

    with pytest.raises(SignatureInvalid):
        signing.verify(
            signing.format_secret(key), headers(key, body), bytes(changed), NOW
        )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"webhook-id": "evt_2"}, id="another id"),
        pytest.param({"webhook-id": "\udcff"}, id="an id that is no text"),
        pytest.param({"webhook-timestamp": "1795419710"}, id="another second"),
        pytest.param({"webhook-signature": ""}, id="no signature"),
        pytest.param({"webhook-signature": "v1,"}, id="an empty signature"),
        pytest.param({"webhook-signature": "v1,AAAA"}, id="a short one"),
        pytest.param({"webhook-signature": "v2,x v1a,y"}, id="other schemes"),
        pytest.param({"webhook-signature": "é\udcff"}, id="not ASCII"),
        pytest.param({"webhook-timestamp": "soon"}, id="no number"),
        pytest.param({"webhook-timestamp": "9" * 30}, id="no time"),
        pytest.param({"webhook-timestamp": "-1" + "0" * 18}, id="long before"),
        pytest.param({"webhook-timestamp": ""}, id="an empty timestamp"),
    ],
)
def test_a_changed_header_is_noticed(change):
    assert refused(KEY, {**headers(KEY, BODY), **change})


@pytest.mark.parametrize(
    "name", ["webhook-id", "webhook-timestamp", "webhook-signature"]
)
def test_a_missing_header_is_noticed(name):
    sent = headers(KEY, BODY)
    del sent[name]

    assert name in refused(KEY, sent)


def test_the_border_between_id_timestamp_and_body_cannot_be_moved():
    """``a.1.2`` signed as id a, time 1, body 2 is not id a.1 with time 2."""
    signature = signing.sign([KEY], "a", 1, b"2.x")

    assert signature != signing.sign([KEY], "a.1", 2, b".x")


def test_another_secret_does_not_verify():
    assert "no signature" in refused(OLD_KEY, headers(KEY, BODY))


@pytest.mark.parametrize("minutes", [-6, 6])
def test_what_is_too_old_or_from_the_future_is_refused(minutes):
    sent = headers(KEY, BODY, NOW + timedelta(minutes=minutes))

    assert "too far" in refused(KEY, sent)


@pytest.mark.parametrize("minutes", [-5, 5])
def test_five_minutes_are_within_the_tolerance(minutes):
    sent = headers(KEY, BODY, NOW + timedelta(minutes=minutes))

    signing.verify(signing.format_secret(KEY), sent, BODY, NOW)


def test_header_names_may_come_in_any_case():
    sent = {name.title(): value for name, value in headers(KEY, BODY).items()}

    signing.verify(signing.format_secret(KEY), sent, BODY, NOW)


@given(st.binary(min_size=1, max_size=64))
def test_a_secret_reads_back(key):
    secret = signing.format_secret(key)

    assert secret.startswith("whsec_")
    assert signing.parse_secret(secret) == key
    assert base64.b64decode(secret.removeprefix("whsec_")) == key


@pytest.mark.parametrize("text", ["whsec_", "", "whsec_%%%", "whsec_AAA", "whsec_é"])
def test_a_malformed_secret_is_refused(text):
    """An empty one above all: anybody could sign with it."""
    with pytest.raises(InvalidInput):
        signing.parse_secret(text)


def test_the_hint_shows_four_characters_and_no_more():
    secret = signing.format_secret(KEY)

    assert signing.hint(secret) == f"whsec_…{secret[-4:]}"
    assert secret[6:-4] not in signing.hint(secret)


def public_of(key: bytes) -> str:
    return signing.format_public_key(signing.public_key(key))


def ed25519_headers(key: bytes, *more: signing.SigningKey) -> dict[str, str]:
    timestamp = int(NOW.timestamp())
    keys = [signing.signing_key("v1a", key), *more]
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signing.sign(keys, "evt_1", timestamp, BODY),
    }


def test_an_ed25519_key_is_that_of_rfc_8032():
    """The first test vector of section 7.1."""
    private = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
    public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert signing.public_key(bytes.fromhex(private)).hex() == public


@given(st.binary(min_size=32, max_size=32), message_ids, st.binary(max_size=200))
def test_an_ed25519_signature_verifies_over_the_raw_parts(key, message_id, body):
    """By the standard's text alone: v1a, base64, over id.timestamp.body."""
    signature = signing.sign([signing.signing_key("v1a", key)], message_id, 7, body)

    scheme, encoded = signature.split(",")
    raw = base64.b64decode(public_of(key).removeprefix("whpk_"))
    public = Ed25519PublicKey.from_public_bytes(raw)
    public.verify(base64.b64decode(encoded), f"{message_id}.7.".encode() + body)
    assert scheme == "v1a"
    with pytest.raises(InvalidSignature):
        public.verify(base64.b64decode(encoded), f"{message_id}.8.".encode() + body)


def test_a_public_key_verifies_its_own_signatures_alone():
    sent = ed25519_headers(KEY, OLD_KEY)
    signing.verify(public_of(KEY), sent, BODY, NOW)
    signing.verify(signing.format_secret(OLD_KEY), sent, BODY, NOW)
    for other in (public_of(OLD_KEY), signing.format_secret(KEY)):
        with pytest.raises(SignatureInvalid):
            signing.verify(other, sent, BODY, NOW)
    with pytest.raises(SignatureInvalid):
        signing.verify(public_of(KEY), sent, BODY + b" ", NOW)


@pytest.mark.parametrize("given", ["v1a,", "v1a,AAAA", "v1a,*", "v1a,\u00e9", "v1a"])
def test_a_malformed_ed25519_signature_is_refused(given):
    sent = ed25519_headers(KEY) | {"webhook-signature": given}
    with pytest.raises(SignatureInvalid):
        signing.verify(public_of(KEY), sent, BODY, NOW)


def test_an_ed25519_signature_under_another_scheme_is_refused():
    """v1 is HMAC: the same bytes under its name prove nothing."""
    sent = ed25519_headers(KEY)
    sent["webhook-signature"] = sent["webhook-signature"].replace("v1a", "v1")
    with pytest.raises(SignatureInvalid):
        signing.verify(public_of(KEY), sent, BODY, NOW)


@pytest.mark.parametrize(
    "text",
    ["whpk_", "whpk_AAAA", "whpk_*", "whpk_" + base64.b64encode(bytes(33)).decode()],
)
def test_a_malformed_public_key_is_said(text):
    with pytest.raises(InvalidInput, match="whpk_"):
        signing.check_key(text)


def test_the_hint_of_a_public_key_keeps_its_prefix():
    public = public_of(KEY)
    assert signing.hint(public) == f"whpk_…{public[-4:]}"
