"""Single sign-on: who gets in with which roles, and what is not believed.

The provider is a real one on a real socket; the browser between is Flask's client.
"""

from __future__ import annotations

import os
import re
import time

import pytest
from joserfc.jwk import OctKey, RSAKey

from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import Grant, PersonState
from ascwebhooks.services.attempts import Attempts
from ascwebhooks.web.app import create_app
from tests.integration.providers import (
    CLIENT_ID,
    CLIENT_SECRET,
    Provider,
    elliptic_key,
    real_provider,
    sign_in_there,
)

TENANT = "acme"
ROLES = (
    ("asc-admins", "admin", None),
    ("acme-viewers", "viewer", TENANT),
    ("acme-ops", "operator", TENANT),
    ("gone-ops", "operator", "gone"),
)


class Visitor:
    """Somebody's browser at an application with single sign-on."""

    def __init__(self, app):
        self.client = app.test_client()

    def begin(self, target=""):
        """Ask to sign in; return the provider's URL."""
        answered = self.client.get(f"/admin/sso/?next={target}")
        assert answered.status_code == 303, answered.text
        return answered.location

    def come(self, url):
        """Follow where the provider sends the browser."""
        return self.client.get(url.replace("http://localhost", ""))

    def enters(self, provider, target=""):
        return self.come(provider.sign_in(self.begin(target)))

    @property
    def account(self):
        return self.client.get("/admin/account")


@pytest.fixture
def provider():
    made = Provider()
    yield made
    made.close()


@pytest.fixture
def make_visitor(make_pipeline):
    def make(issuer, **changes):
        settings = {
            "oidc_issuer": issuer,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": CLIENT_SECRET,
            "oidc_roles": ROLES,
            "oidc_name": "Example ID",
            **changes,
        }
        pipeline = make_pipeline(**settings)
        pipeline.services.tenants.create(TENANT)
        visitor = Visitor(create_app(pipeline.services, pipeline.settings))
        visitor.pipeline = pipeline
        return visitor

    return make


@pytest.fixture
def visitor(provider, make_visitor):
    return make_visitor(provider.issuer)


def people(visitor):
    return visitor.pipeline.services.people.page()


def refusals(visitor):
    entries = visitor.pipeline.services.audit.page(action="session.refused")
    return [each.detail["reason"] for each in entries]


def roles(person):
    return sorted((each.role, each.tenant_id, each.source) for each in person.roles)


def test_a_real_provider_process_signs_somebody_in(make_visitor, tmp_path):
    """Discovery, its own keys, the code, the groups: as a product of others does it."""
    ann = {"sub": "ann-1", "preferred_username": "Ann", "name": "Ann Example"}
    with real_provider(tmp_path, {**ann, "groups": ["acme-ops", "others"]}) as issuer:
        visitor = make_visitor(issuer)
        page = visitor.client.get("/admin/login?next=/admin/tenants").text
        assert "Sign in with Example ID" in page
        start = re.search(r'href="(/admin/sso/[^"]*)"', page)[1]
        url = visitor.client.get(start).location
        came = visitor.come(sign_in_there(url, "ann-1"))
        assert (came.status_code, came.location) == (303, "/admin/tenants"), came.text
        (person,) = people(visitor)
        assert (person.login, person.name) == ("ann", "Ann Example")
        assert (person.sso_issuer, person.sso_subject) == (issuer, "ann-1")
        assert roles(person) == [("operator", TENANT, "groups")]
        assert visitor.client.get(f"/admin/tenants/{TENANT}").status_code == 200
        assert visitor.client.get("/admin/users").status_code == 404

        csrf = re.search(r'name="_csrf" value="([^"]*)"', visitor.account.text)[1]
        out = visitor.client.post("/admin/logout", data={"_csrf": csrf})
        assert f"{issuer}/oauth2/end_session?" in out.text
        assert 'http-equiv="refresh"' in out.text
        assert visitor.account.status_code == 303, "our session has ended"


def test_each_login_makes_the_roles_those_of_the_groups(visitor, provider):
    """What was given by hand stays; the person is one, whatever the e-mail says."""
    provider.claims |= {"email": "ann@example.com", "groups": ["asc-admins"]}
    visitor.enters(provider)
    (person,) = people(visitor)
    service = visitor.pipeline.services.people
    service.change(person.id, grants=[Grant(Role.VIEWER, TENANT)])

    provider.claims |= {
        "email": "bob@example.com",
        "groups": ["acme-viewers", "acme-ops", "gone-ops"],
    }
    assert visitor.enters(provider).status_code == 303
    (person,) = people(visitor)
    assert roles(person) == [("operator", TENANT, "groups"), ("viewer", TENANT, "hand")]
    assert visitor.client.get("/admin/users").status_code == 404, "no admin any more"

    provider.claims["groups"] = []
    assert visitor.enters(provider).status_code == 303, "by what was given by hand"
    assert roles(people(visitor)[0]) == [("viewer", TENANT, "hand")]
    actions = visitor.pipeline.services.audit.page(action="user.changed")
    by = [each.detail.get("by") for each in actions]
    assert by == ["groups", "groups", None, "groups"], "the newest first"


def test_the_same_mail_is_not_the_same_person(visitor, provider):
    """A login that is taken is left to whoever has it, and an e-mail opens nothing."""
    visitor.pipeline.services.people.create(
        "ann@example.com", grants=[Grant(Role.ADMIN)], password="correct horse battery"
    )
    provider.claims |= {"email": "ann@example.com", "groups": ["acme-viewers"]}
    assert visitor.enters(provider).status_code == 303
    local, foreign = people(visitor)
    assert (local.sso_subject, foreign.sso_subject) == (None, "u-1")
    assert foreign.login.startswith("ann@example.com.")
    assert roles(foreign) == [("viewer", TENANT, "groups")]


def test_without_a_group_that_has_a_role_nobody_gets_in(visitor, provider):
    provider.claims["groups"] = ["others", "gone-ops"]
    refused = visitor.enters(provider)
    assert refused.status_code == 403
    assert "none of your groups has a role here" in refused.text
    assert people(visitor) == []
    assert refusals(visitor) == ["no_role"]


def test_whoever_lost_all_groups_is_out_everywhere(visitor, provider):
    visitor.enters(provider)
    elsewhere = Visitor(visitor.client.application)
    provider.claims["groups"] = []
    assert elsewhere.enters(provider).status_code == 403
    assert visitor.account.status_code == 303, "their other session has ended"
    assert people(visitor)[0].roles == []


def test_a_disabled_person_stays_out(visitor, provider):
    visitor.enters(provider)
    (person,) = people(visitor)
    visitor.pipeline.services.people.create(
        "root", grants=[Grant(Role.ADMIN)], password="correct horse battery"
    )
    service = visitor.pipeline.services.people
    service.change(person.id, state=PersonState.DISABLED)
    refused = visitor.enters(provider)
    assert refused.status_code == 403
    assert "An administrator has disabled you here." in refused.text
    assert refusals(visitor) == ["disabled"]


def test_keys_may_change_and_be_of_either_kind(visitor, provider):
    """A key that is not known yet is looked for once; one that is, is not."""
    assert visitor.enters(provider).status_code == 303
    assert visitor.enters(provider).status_code == 303
    assert provider.asked.count("/keys") == 1
    provider.rotate(elliptic_key("two"), "ES256")
    assert visitor.enters(provider).status_code == 303
    assert provider.asked.count("/keys") == 2


def test_groups_may_be_known_to_the_userinfo_endpoint_alone(visitor, provider):
    provider.claims = {"sub": "u-1"}
    provider.info = {"sub": "somebody else", "groups": ["asc-admins"]}
    assert visitor.enters(provider).status_code == 403, "that is about somebody else"
    provider.info["sub"] = "u-1"
    assert visitor.enters(provider).status_code == 303


def claim(**changes):
    """Return what makes an ID token's claims wrong; ``...`` leaves one out."""

    def change(claims):
        for name, value in changes.items():
            claims[name] = value
            if value is ...:
                del claims[name]

    return lambda provider: setattr(provider, "change", change)


def unsigned(provider):
    provider.header = {"alg": "none"}


def signed_by_the_secret(provider):
    """Sign by a secret the client knows too: what a public key must not be taken as."""
    shared = OctKey.import_key(CLIENT_SECRET, {"kid": "one"})
    provider.key, provider.header = shared, {"alg": "HS256"}


def signed_by_nobody(provider):
    provider.key = RSAKey.generate_key(2048, {"kid": "never published"})


def signed_by_another(provider):
    provider.key = RSAKey.generate_key(2048, {"kid": "one"})


def answers(status, body):
    return lambda provider: setattr(provider, "answer", (status, body))


WRONG = {
    "nonce": (claim(nonce="another"), "wrong_nonce"),
    "no nonce": (claim(nonce=...), "wrong_nonce"),
    "issuer": (claim(iss="https://evil.example"), "wrong_issuer"),
    "audience": (claim(aud="another client"), "wrong_audience"),
    "several audiences": (claim(aud=[CLIENT_ID, "x"]), "wrong_audience"),
    "audience without us": (claim(aud="x", azp=CLIENT_ID), "wrong_audience"),
    "authorized party": (claim(azp="another client"), "wrong_audience"),
    "expired": (claim(exp=int(time.time()) - 3600), "token_expired"),
    "no expiry": (claim(exp=...), "bad_token"),
    "expiry that is no number": (claim(exp="tomorrow"), "bad_token"),
    "issued in the future": (claim(iat=int(time.time()) + 3600), "bad_token"),
    "no subject": (claim(sub=...), "bad_token"),
    "empty subject": (claim(sub=""), "bad_token"),
    "subject that is no text": (claim(sub=7), "bad_token"),
    "hash of another access token": (claim(at_hash="AAAA"), "bad_token"),
    "not signed": (unsigned, "wrong_algorithm"),
    "signed by the secret": (signed_by_the_secret, "wrong_algorithm"),
    "unknown key": (signed_by_nobody, "unknown_key"),
    "another's signature": (signed_by_another, "wrong_signature"),
    "error of the token endpoint": (
        answers(400, {"error": "invalid_grant<script>"}),
        "provider_refused",
    ),
    "no ID token": (
        answers(200, {"access_token": "x", "token_type": "Bearer"}),
        "bad_token",
    ),
    "ID token that is none": (
        answers(200, {"access_token": "x", "token_type": "Bearer", "id_token": "x"}),
        "bad_token",
    ),
    "answer that is no JSON": (answers(200, b"<html>"), "provider_away"),
    "fault of the provider": (answers(503, b"<html>"), "provider_away"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_not_believed(visitor, provider, name):
    """A clear page, an entry in the audit log, and nobody is created or logged in."""
    spoil, reason = WRONG[name]
    spoil(provider)
    refused = visitor.enters(provider)
    assert refused.status_code in {401, 503}, refused.text
    assert "You are not signed in" in refused.text
    assert "<script>" not in refused.text.partition("</head>")[2]
    assert refusals(visitor) == [reason]
    assert people(visitor) == []
    assert visitor.account.status_code == 303


def test_an_answer_that_was_not_asked_for_is_refused(visitor, provider):
    back = provider.sign_in(visitor.begin())
    somebody = Visitor(visitor.client.application)
    assert somebody.come(back).status_code == 401, "another browser"
    assert visitor.come(back + "x").status_code == 401, "another state"
    assert visitor.come(back).status_code == 401, "the attempt is used up"
    assert refusals(visitor) == ["wrong_state"] * 3
    assert visitor.enters(provider).status_code == 303
    assert provider.asked.count("/keys") == 1, "no code was exchanged before"


def test_whoever_stays_away_too_long_begins_again(visitor, provider):
    """By the database's clock: the cookie ends with the browser's, which is its own."""
    back = provider.sign_in(visitor.begin())
    ring = visitor.pipeline.parts.ring
    attempts = Attempts(ring, os.urandom)
    kept = visitor.client.get_cookie("ascw_sso").value
    attempt = attempts._opened(kept)
    late = attempts.seal(attempt._replace(until=time.time() - 1))
    visitor.client.set_cookie("ascw_sso", late)
    assert visitor.come(back).status_code == 401
    assert refusals(visitor) == ["too_late"]


def test_an_answer_of_another_provider_is_refused(visitor, provider):
    """RFC 9207: the one who answers says who it is."""
    back = provider.sign_in(visitor.begin())
    assert visitor.come(f"{back}&iss=https://evil.example").status_code == 401
    assert refusals(visitor) == ["wrong_issuer"]


def test_the_providers_own_refusal_is_told(visitor, provider):
    url = visitor.begin()
    state = re.search(r"state=([^&]+)", url)[1]
    refused = visitor.client.get(
        f"/admin/sso/callback?state={state}&error=access_denied"
    )
    assert refused.status_code == 401
    assert "access_denied" in refused.text
    assert refusals(visitor) == ["provider_refused"]


def test_a_provider_that_is_away_is_said_so(visitor, provider):
    back = provider.sign_in(visitor.begin())
    provider.close()
    late = visitor.come(back)
    assert late.status_code == 503
    assert "The provider does not answer" in late.text
    assert refusals(visitor) == ["provider_away"]


def test_a_provider_that_is_away_from_the_start_is_said_so(provider, make_visitor):
    provider.close()
    visitor = make_visitor(provider.issuer)
    assert visitor.client.get("/admin/sso/").status_code == 503
    assert visitor.client.get("/admin/login").status_code == 200, "passwords work"
    assert refusals(visitor) == ["provider_away"]


def test_a_provider_that_calls_itself_otherwise_is_not_asked(provider, make_visitor):
    provider.metadata["issuer"] = "https://evil.example"
    visitor = make_visitor(provider.issuer)
    assert visitor.client.get("/admin/sso/").status_code == 401
    assert refusals(visitor) == ["wrong_issuer"]


def test_whoever_tries_without_end_has_to_wait(visitor):
    """Else anybody could fill the audit log."""
    asked = [visitor.client.get("/admin/sso/callback?state=x") for _ in range(25)]
    assert asked[-1].status_code == 429
    assert int(asked[-1].headers["Retry-After"]) > 0
    assert len(refusals(visitor)) < 25
    assert visitor.client.get("/admin/login").status_code == 200


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/x"])
def test_the_way_back_is_ours(visitor, provider, target):
    assert visitor.enters(provider, target).location == "/admin/"


def test_without_a_provider_there_is_no_single_sign_on(pipeline):
    client = create_app(pipeline.services, pipeline.settings).test_client()
    assert client.get("/admin/sso/").status_code == 404
    assert client.get("/admin/sso/callback").status_code == 404
    assert "Sign in with" not in client.get("/admin/login").text
