"""Sealing: data keys in the database, wrapped by the operator's ring."""

from __future__ import annotations

import os
import threading
from uuid import UUID

import pytest

from ascwebhooks.domain import ids
from ascwebhooks.domain.encryption import CannotOpen, KeyRing
from ascwebhooks.embedded.receiver import Receiver
from ascwebhooks.services.sealing import Sealing

DAY = "2026-11-23"
ROW, OTHER_ROW = UUID(int=1), UUID(int=2)
OLD, NEW = ("2025", bytes(32)), ("2026", bytes([1]) * 32)


@pytest.fixture
def sealing(pipeline):
    """Makes what another process with this ring would have."""

    def make(*ring, entropy=os.urandom) -> Sealing:
        return Sealing(pipeline.uow, KeyRing(ring or [OLD]), entropy)

    return make


def test_what_one_process_seals_another_opens(sealing):
    sealed = sealing().seal("acme", DAY, "event", ROW, b"plain")

    assert sealing().unseal("acme", DAY, "event", ROW, sealed) == b"plain"
    assert b"plain" not in sealed


@pytest.mark.parametrize(
    "there",
    [
        pytest.param(("acme", DAY, "event", OTHER_ROW), id="another row"),
        pytest.param(("acme", DAY, "attempt", ROW), id="another table"),
        pytest.param(("acme", "2026-11-24", "event", ROW), id="another day"),
        pytest.param(("globex", DAY, "event", ROW), id="another tenant"),
    ],
)
def test_moved_it_does_not_open(sealing, there):
    here = sealing()
    sealed = here.seal("acme", DAY, "event", ROW, b"plain")
    here.seal(*there, b"so that there is a key")

    with pytest.raises(CannotOpen):
        here.unseal(*there, sealed)


def test_each_tenant_and_day_has_a_key_of_its_own(sealing, pipeline):
    """Destroying one is deletion that can be proven, of that day and no other."""
    here = sealing()
    kept = here.seal("acme", "2026-11-24", "event", ROW, b"kept")
    gone = here.seal("acme", DAY, "event", ROW, b"gone")

    pipeline.do("DELETE FROM data_key WHERE scope = :day", day=DAY)

    with pytest.raises(CannotOpen, match="destroyed"):
        sealing().unseal("acme", DAY, "event", ROW, gone)
    assert sealing().unseal("acme", "2026-11-24", "event", ROW, kept) == b"kept"
    assert pipeline.one("SELECT count(*) FROM data_key WHERE scope = :d", d=DAY) == 0, (
        "opening makes no new key"
    )


def test_the_keys_in_the_database_are_wrapped(sealing, pipeline):
    given = []

    def entropy(count: int) -> bytes:
        given.append(os.urandom(count))
        return given[-1]

    sealing(entropy=entropy).seal("acme", DAY, "event", ROW, b"plain")

    (wrapped,) = pipeline.rows("SELECT wrapped FROM data_key WHERE scope = :d", d=DAY)
    (key, *_) = [each for each in given if len(each) == 32]
    assert key not in bytes(wrapped.wrapped)


def test_a_rotated_ring_opens_what_was_and_wraps_with_its_first(sealing, pipeline):
    before = sealing(OLD).seal("acme", DAY, "event", ROW, b"before")
    rotated = sealing(NEW, OLD)

    after = rotated.seal("acme", "2026-11-24", "event", ROW, b"after")

    assert rotated.unseal("acme", DAY, "event", ROW, before) == b"before"
    assert sealing(NEW).unseal("acme", "2026-11-24", "event", ROW, after) == b"after"
    keys = pipeline.rows(
        "SELECT scope, ring_key FROM data_key WHERE tenant_id = 'acme'"
    )
    assert {tuple(each) for each in keys} == {(DAY, "2025"), ("2026-11-24", "2026")}


def test_a_ring_without_the_key_names_it(sealing):
    sealed = sealing(OLD).seal("acme", DAY, "event", ROW, b"plain")

    with pytest.raises(CannotOpen, match="'2025'"):
        sealing(NEW).unseal("acme", DAY, "event", ROW, sealed)


def test_a_wrapped_key_moved_to_another_tenant_is_not_used(sealing, pipeline):
    """Or whoever can write to the database would choose what a tenant seals with."""
    sealing().seal("acme", DAY, "event", ROW, b"plain")
    pipeline.do("UPDATE data_key SET tenant_id = 'globex' WHERE scope = :d", d=DAY)

    with pytest.raises(CannotOpen):
        sealing().seal("globex", DAY, "event", ROW, b"plain")


def test_what_is_accepted_is_sealed_with_the_key_of_its_day(pipeline, event):
    (verdict,) = pipeline.accept(event())
    pipeline.accept(event(id="bad", data_base64=""))

    scopes = pipeline.rows("SELECT scope FROM data_key WHERE tenant_id = 'acme'")
    assert {scope for (scope,) in scopes} == {"secrets", str(ids.day(verdict.id))}


def test_processes_that_begin_a_day_at_once_agree_on_one_key(sealing):
    """Whoever comes second takes the key of the first; nothing is sealed with his."""
    starting = threading.Barrier(4)
    found = []

    def seal(row: UUID) -> None:
        mine = sealing()
        starting.wait(10)
        found.append((row, mine.seal("acme", DAY, "event", row, b"plain")))

    threads = [threading.Thread(target=seal, args=(UUID(int=n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert len(found) == 4
    for row, sealed in found:
        assert sealing().unseal("acme", DAY, "event", row, sealed) == b"plain"


def test_equal_content_is_found_and_guessed_content_is_not(sealing):
    """The hash in the table is keyed by tenant: no dictionary helps."""
    here, there = sealing(), sealing()

    assert here.content_hash("acme", b"x") == there.content_hash("acme", b"x")
    assert here.content_hash("acme", b"x") != here.content_hash("globex", b"x")
    assert here.content_hash("acme", b"x") != here.content_hash("acme", b"y")


def test_an_event_of_a_destroyed_day_hinders_no_other(pipeline, make_pipeline):
    """Its attempts fail as internal; what lies beside it in the turn is sent."""
    with Receiver() as receiver:
        pipeline.services.tenants.create("globex")
        acme = pipeline.endpoint(receiver.url)
        globex = pipeline.endpoint(receiver.url, tenant_id="globex")
        lost = pipeline.deliver_one()
        sent = pipeline.deliver_one(tenantid="globex")
        pipeline.do(
            "DELETE FROM data_key WHERE tenant_id = 'acme' AND scope <> 'secrets'"
        )
        # Another process: this one remembers the key.
        make_pipeline().turns().take([acme, globex])

        assert pipeline.after_attempts(sent).status == "delivered"
        row = pipeline.after_attempts(lost)
        assert (row.status, row.last_error) == ("pending", "internal")


def test_an_endpoint_whose_secrets_do_not_open_hinders_no_other(
    pipeline, make_pipeline
):
    with Receiver() as receiver:
        pipeline.services.tenants.create("globex")
        acme = pipeline.endpoint(receiver.url)
        globex = pipeline.endpoint(receiver.url, tenant_id="globex")
        lost = pipeline.deliver_one()
        sent = pipeline.deliver_one(tenantid="globex")
        pipeline.do("UPDATE endpoint_secret SET sealed = '' WHERE tenant_id = 'acme'")
        make_pipeline().turns().take([acme, globex])

        assert pipeline.after_attempts(sent).status == "delivered"
        assert pipeline.delivery(lost).attempt_count == 0
        assert pipeline.mailbox(acme).lease_token is None, "nobody holds it in vain"
