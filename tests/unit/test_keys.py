from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain import keys
from ascwebhooks.domain.keys import ALLOWED, Permission, Role


@given(st.binary(min_size=32, max_size=32))
def test_a_key_holds_all_its_chance_in_letters_that_need_no_quoting(random):
    key = keys.format_key(random)

    assert key.startswith("ascw_")
    assert base64.urlsafe_b64decode(key.removeprefix("ascw_") + "=") == random
    assert set(key) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )


def test_what_is_shown_and_what_is_kept_do_not_give_it_away():
    key = keys.format_key(bytes(range(32)))

    assert keys.shown(key) == key[:12]
    assert len(key) - len(keys.shown(key)) >= 32, "190 bits stay hidden"
    assert keys.digest(key) == hashlib.sha256(key.encode()).digest()


@pytest.mark.parametrize(
    ("role", "permissions"),
    [
        (Role.PUBLISHER, {Permission.PUBLISH}),
        (Role.VIEWER, {Permission.READ}),
        (Role.OPERATOR, {Permission.READ, Permission.OPERATE}),
        (
            Role.ADMIN,
            {
                Permission.PUBLISH,
                Permission.READ,
                Permission.OPERATE,
                Permission.ADMINISTER,
            },
        ),
    ],
)
def test_each_role_may_do_what_the_contract_says_and_no_more(role, permissions):
    assert ALLOWED[role] == permissions


def test_every_role_is_in_the_table():
    assert set(ALLOWED) == set(Role)
