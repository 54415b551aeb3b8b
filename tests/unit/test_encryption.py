from __future__ import annotations

from uuid import UUID

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain.encryption import (
    CannotOpen,
    KeyRing,
    associated_data,
    seal,
    unseal,
)

KEY, OTHER_KEY = bytes(32), bytes([1]) * 32
NONCE = bytes(12)
ROW, OTHER_ROW = UUID(int=1), UUID(int=2)
HERE = associated_data("acme", "event", ROW)

plains = st.binary(max_size=200)


@given(plains, st.binary(min_size=12, max_size=12))
def test_what_was_sealed_opens(plain, nonce):
    cipher = AESGCM(KEY)

    sealed = seal(cipher, nonce, plain, HERE)

    assert unseal(cipher, sealed, HERE) == plain
    assert sealed[:12] == nonce
    assert len(sealed) == 12 + len(plain) + 16


def test_nothing_of_it_can_be_read():
    sealed = seal(AESGCM(KEY), NONCE, b"planted payload", HERE)

    assert b"planted" not in sealed


@pytest.mark.parametrize(
    "there",
    [
        pytest.param(associated_data("acme", "event", OTHER_ROW), id="another row"),
        pytest.param(associated_data("globex", "event", ROW), id="another tenant"),
        pytest.param(associated_data("acme", "attempt", ROW), id="another table"),
        pytest.param(b"", id="nowhere"),
    ],
)
def test_moved_to_another_row_it_does_not_open(there):
    """Whoever can write to the database cannot swap rows."""
    sealed = seal(AESGCM(KEY), NONCE, b"plain", HERE)

    with pytest.raises(CannotOpen):
        unseal(AESGCM(KEY), sealed, there)


@given(
    st.text(max_size=5), st.text(max_size=5), st.text(max_size=5), st.text(max_size=5)
)
def test_no_two_places_share_their_associated_data(tenant, table, tenant2, table2):
    """Tenants and tables hold no NUL; so the border between them cannot move."""
    if any("\0" in each for each in (tenant, table, tenant2, table2)):
        return
    try:
        same = associated_data(tenant, table, ROW) == associated_data(
            tenant2, table2, ROW
        )
    except UnicodeEncodeError:
        return
    assert same == ((tenant, table) == (tenant2, table2))


def test_another_key_does_not_open_it():
    with pytest.raises(CannotOpen):
        unseal(AESGCM(OTHER_KEY), seal(AESGCM(KEY), NONCE, b"plain", HERE), HERE)


@given(plains, st.data())
def test_a_changed_bit_anywhere_is_noticed(plain, data):
    sealed = bytearray(seal(AESGCM(KEY), NONCE, plain, HERE))
    at = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[at // 8] ^= 1 << at % 8

    with pytest.raises(CannotOpen):
        unseal(AESGCM(KEY), bytes(sealed), HERE)


@given(st.binary(max_size=40))
def test_whatever_does_not_open_says_so(rubbish):
    """Also what is too short to hold a nonce."""
    with pytest.raises(CannotOpen):
        unseal(AESGCM(KEY), rubbish, HERE)


def test_the_first_key_wraps_and_all_unwrap():
    """Rotation: the new key comes first, the old one stays until all is re-wrapped."""
    old = KeyRing([("2025", KEY)])
    both = KeyRing([("2026", OTHER_KEY), ("2025", KEY)])
    wrapped_before = old.wrap(b"d" * 32, NONCE, b"acme")
    wrapped_after = both.wrap(b"e" * 32, NONCE, b"acme")

    assert both.current == "2026"
    assert both.unwrap("2025", wrapped_before, b"acme") == b"d" * 32
    assert both.unwrap("2026", wrapped_after, b"acme") == b"e" * 32
    with pytest.raises(CannotOpen):
        old.unwrap("2025", wrapped_after, b"acme")


def test_a_key_that_the_ring_lacks_is_named():
    wrapped = KeyRing([("2025", KEY)]).wrap(b"d" * 32, NONCE, b"acme")

    with pytest.raises(CannotOpen, match="'2025'"):
        KeyRing([("2026", OTHER_KEY)]).unwrap("2025", wrapped, b"acme")


def test_a_key_under_the_right_name_but_another_one_does_not_unwrap():
    wrapped = KeyRing([("2025", KEY)]).wrap(b"d" * 32, NONCE, b"acme")

    with pytest.raises(CannotOpen):
        KeyRing([("2025", OTHER_KEY)]).unwrap("2025", wrapped, b"acme")


def test_a_data_key_is_bound_to_its_tenant_and_day():
    ring = KeyRing([("2025", KEY)])
    wrapped = ring.wrap(b"d" * 32, NONCE, b"acme\x002026-11-23")

    with pytest.raises(CannotOpen):
        ring.unwrap("2025", wrapped, b"acme\x002026-11-24")


def test_an_empty_ring_is_refused():
    with pytest.raises(ValueError, match="needs a key"):
        KeyRing([])
