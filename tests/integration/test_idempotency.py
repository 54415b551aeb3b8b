"""A creation that is asked for twice is made once, whatever dies in between."""

from __future__ import annotations

import os
import threading

import pytest

from ascwebhooks.domain.keys import Role
from ascwebhooks.errors import IdempotencyAnswerLost, IdempotencyInProgress
from ascwebhooks.services.idempotency import Answer, Asked

TENANT = "acme"
NOWHERE = "http://127.0.0.1:9009/hook"

ENDPOINTS = f"/tenants/{TENANT}/endpoints"
BODY = {"url": NOWHERE, "event_types": ["*"]}
KEYED = {"Idempotency-Key": "order-1"}


def count(pipeline, table="endpoint"):
    return pipeline.one(f"SELECT count(*) FROM {table}")


# From Python 3.12 on, forking beside threads warns; the child only dies.
forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def age(pipeline, interval):
    """Make what is reserved or kept older."""
    pipeline.do(
        f"UPDATE idempotency_key SET created_at = now() - interval '{interval}'"
    )


def test_the_same_request_gets_the_same_answer_with_its_secret(api, pipeline):
    first = api.post(ENDPOINTS, BODY, headers=KEYED)
    again = api.post(ENDPOINTS, BODY, headers=KEYED)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.data == first.data
    assert again.json["secret"].startswith("whsec_")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert count(pipeline) == 1


def test_the_answer_is_sealed(api, pipeline):
    secret = api.post(ENDPOINTS, BODY, headers=KEYED).json["secret"]
    sealed = pipeline.one("SELECT sealed FROM idempotency_key")
    assert secret.encode() not in bytes(sealed)
    assert NOWHERE.encode() not in bytes(sealed)


@pytest.mark.parametrize(
    ("path", "body", "table"),
    [
        ("/tenants", {"id": "globex"}, "tenant WHERE id = 'globex'"),
        ("/keys", {"role": "viewer"}, "api_key WHERE role = 'viewer'"),
        (ENDPOINTS, BODY, "endpoint"),
    ],
)
def test_every_creation_honours_it(api, pipeline, path, body, table):
    first = api.post(path, body, headers=KEYED)
    assert api.post(path, body, headers=KEYED).json == first.json
    assert count(pipeline, table) == 1


def test_a_subscription_and_a_replay_are_made_once(api, pipeline):
    body = {"endpoint_id": api.endpoint(), "event_types": ["a"]}
    for kind, asked in {"subscriptions": body, "replays": {"filter": {}}}.items():
        path = f"/tenants/{TENANT}/{kind}"
        before = len(api.get(path).json["items"])
        first = api.post(path, asked, headers=KEYED)
        assert api.post(path, asked, headers=KEYED).data == first.data
        assert len(api.get(path).json["items"]) == before + 1


def test_a_secret_is_rotated_once_and_shown_again(api, pipeline):
    """Its answer is the only place of the new secret: who lost it asks again."""
    path = f"{ENDPOINTS}/{api.endpoint()}/rotate-secret"
    first = api.post(path, headers=KEYED)
    again = api.post(path, headers=KEYED)
    assert again.json["secret"] == first.json["secret"]
    assert again.headers["idempotent-replayed"] == "true"
    assert count(pipeline, "endpoint_secret") == 2


def test_a_test_event_is_sent_once(api, pipeline):
    path = f"{ENDPOINTS}/{api.endpoint()}/test"
    first = api.post(path, headers=KEYED)
    assert first.status_code == 202
    assert api.post(path, headers=KEYED).json == first.json
    assert count(pipeline, "event") == 1


def test_another_body_with_the_same_key_is_refused(api, pipeline):
    api.post(ENDPOINTS, BODY, headers=KEYED)
    other = api.post(ENDPOINTS, {**BODY, "timeout_s": 3}, headers=KEYED)
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    assert count(pipeline) == 1


def test_the_key_is_of_one_api_key_and_one_path(api, pipeline):
    """Somebody else's same key, or another path's, means another request."""
    api.post(ENDPOINTS, BODY, headers=KEYED)
    other = api.as_(Role.ADMIN, TENANT).post(ENDPOINTS, BODY, headers=KEYED)
    assert "idempotent-replayed" not in other.headers
    assert api.post("/keys", {"role": "viewer"}, headers=KEYED).status_code == 201
    assert count(pipeline) == 2


@pytest.mark.parametrize("key", ["", "a b", "ü", "x" * 256])
def test_a_malformed_key_is_named(api, pipeline, key):
    refused = api.post(
        ENDPOINTS,
        BODY,
        headers={"Idempotency-Key": key},
    )
    assert refused.status_code == 422
    assert "Idempotency-Key" in refused.json["errors"]
    assert count(pipeline) == 0


def test_a_refusal_is_not_kept(api, pipeline):
    """What was wrong can be mended and asked for again under the same key."""
    path = "/tenants/globex/endpoints"
    assert api.post(path, BODY, headers=KEYED).status_code == 404
    assert count(pipeline, "idempotency_key") == 0
    api.post("/tenants", {"id": "globex"})
    assert api.post(path, BODY, headers=KEYED).status_code == 201


@pytest.fixture
def asked(pipeline):
    return Asked("somebody /things", "k", b"digest", TENANT)


@pytest.fixture
def answer(pipeline):
    """Carry out ``make`` under the key ``asked`` has."""
    return pipeline.services.idempotency.answer


def made() -> Answer:
    return Answer(201, (), b"made")


def test_while_the_first_is_being_answered_the_second_is_a_conflict(asked, answer):
    def make() -> Answer:
        with pytest.raises(IdempotencyInProgress):
            answer(asked, made)
        return made()

    assert answer(asked, make) == (made(), False)
    assert answer(asked, made) == (made(), True)


def die_in(make, asked, answer):
    """Answer a request in a process that ends, as by kill -9, once it has made it."""
    process = os.fork()
    if process == 0:
        answer(asked, lambda: (make(), os._exit(9)))
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9


@pytest.fixture
def forked(make_pipeline):
    """A process's services that no connection was opened for before the fork."""
    return make_pipeline()


@forks
def test_what_died_before_its_commit_is_taken_over_after_a_minute(
    pipeline, forked, asked, answer
):
    die_in(lambda: None, asked, forked.services.idempotency.answer)
    age(pipeline, "59 s")
    with pytest.raises(IdempotencyInProgress):
        answer(asked, made)
    age(pipeline, "61 s")
    assert answer(asked, made) == (made(), False)


@forks
def test_what_died_after_its_commit_is_not_made_again(pipeline, forked, asked, answer):
    """The endpoint is there, its secret was never shown: the caller is told so."""
    die_in(forked.endpoint, asked, forked.services.idempotency.answer)
    assert count(pipeline) == 1
    age(pipeline, "1 h")
    with pytest.raises(IdempotencyAnswerLost):
        answer(asked, made)


def test_a_straggler_whose_key_was_taken_over_commits_nothing(pipeline, asked, answer):
    """It stood still for a minute; meanwhile another one made what it is to make."""

    def slow() -> Answer:
        age(pipeline, "61 s")
        assert answer(asked, create) == (made(), False)
        return create()

    def create() -> Answer:
        pipeline.endpoint()
        return made()

    with pytest.raises(IdempotencyInProgress):
        answer(asked, slow)
    assert count(pipeline) == 1
    assert answer(asked, create) == (made(), True)


def test_a_straggler_commits_nothing_while_another_one_is_at_it(
    pipeline, asked, answer
):
    """The one that took over has not committed anything yet."""
    took_over, gate = threading.Event(), threading.Event()
    results = []

    def other() -> Answer:
        took_over.set()
        assert gate.wait(10)
        return made()

    rival = threading.Thread(target=lambda: results.append(answer(asked, other)))

    def slow() -> Answer:
        age(pipeline, "61 s")
        rival.start()
        assert took_over.wait(10)
        pipeline.endpoint()
        return made()

    with pytest.raises(IdempotencyInProgress):
        answer(asked, slow)
    gate.set()
    rival.join(10)
    assert results == [(made(), False)]
    assert count(pipeline) == 0


def test_after_a_day_a_key_is_new_again_and_forgotten(api, pipeline):
    first = api.post(ENDPOINTS, BODY, headers=KEYED)
    age(pipeline, "25 h")
    second = api.post(ENDPOINTS, {**BODY, "timeout_s": 3}, headers=KEYED)
    assert second.json["id"] != first.json["id"]
    pipeline.services.maintenance.forget()
    assert count(pipeline, "idempotency_key") == 1
    age(pipeline, "25 h")
    pipeline.services.maintenance.forget()
    assert count(pipeline, "idempotency_key") == 0


def test_publishing_has_its_own_way_of_knowing_repetitions(api, pipeline, event):
    answered = api.ask(
        "POST",
        "/events",
        data=event(),
        content_type="application/cloudevents+json",
        headers=KEYED,
    )
    assert answered.status_code == 202
    assert count(pipeline, "idempotency_key") == 0
