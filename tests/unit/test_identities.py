"""Whom a provider vouches for, and what their groups grant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain import identities
from ascwebhooks.domain.identities import identity
from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import Grant, normal_login

ISSUER = "https://id.example.com"
MAPPING = (
    ("admins", "admin", None),
    ("viewers", "viewer", None),
    ("ops", "operator", "acme"),
    ("ops-seniors", "admin", "acme"),
    ("ops-guests", "viewer", "acme"),
)


def who(**claims):
    return identity({"iss": ISSUER, "sub": "u-1", **claims}, "groups")


@pytest.mark.parametrize(
    ("groups", "granted"),
    [
        ([], ()),
        (["others", "Admins", "admins "], ()),
        (["admins"], (Grant(Role.ADMIN),)),
        (["viewers", "admins"], (Grant(Role.ADMIN),)),
        (["admins", "viewers"], (Grant(Role.ADMIN),)),
        (["ops-guests", "ops"], (Grant(Role.OPERATOR, "acme"),)),
        (["ops", "ops-seniors", "ops-guests"], (Grant(Role.ADMIN, "acme"),)),
        (["viewers", "ops"], (Grant(Role.VIEWER), Grant(Role.OPERATOR, "acme"))),
    ],
)
def test_groups_grant_the_highest_role_in_each_place(groups, granted):
    assert identities.granted(groups, MAPPING) == granted


@pytest.mark.parametrize(
    ("claim", "groups"),
    [
        (["a", "b"], {"a", "b"}),
        ("a", {"a"}),
        (["a", 7, None, {"b": 1}], {"a"}),
        (None, set()),
        ({"a": True}, set()),
        (7, set()),
    ],
)
def test_groups_are_a_list_or_one_name(claim, groups):
    assert who(groups=claim).groups == groups


@pytest.mark.parametrize(
    ("claims", "login"),
    [
        ({"preferred_username": "Ann"}, "ann"),
        ({"preferred_username": "Ann Example"}, "ann-example"),
        ({"preferred_username": "  ", "email": "Ann@Example.com"}, "ann@example.com"),
        ({"preferred_username": ["ann"]}, "u-1"),
        ({"preferred_username": "安"}, "u-1"),
        ({"preferred_username": "-.@ann"}, "ann"),
        ({"sub": "安"}, "sso"),
    ],
)
def test_a_login_is_what_the_provider_calls_somebody(claims, login):
    assert who(**claims).login == login


@given(st.text(), st.text(), st.text(min_size=1, max_size=255))
def test_whatever_a_provider_says_a_login_is_a_good_one(name, mail, subject):
    if "\0" in subject:
        return
    found = who(preferred_username=name, email=mail, sub=subject)
    assert normal_login(found.login) == found.login
    other = identities.other_login(found)
    assert normal_login(other) == other != found.login
