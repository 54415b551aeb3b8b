"""What people may do, what they may be called, and how long a failure costs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascwebhooks.domain.keys import ALLOWED, Permission, Role
from ascwebhooks.domain.people import (
    ROLES,
    Grant,
    Grants,
    check_grants,
    check_password,
    normal_login,
    wait_after,
)
from ascwebhooks.errors import InvalidInput

grants = st.lists(
    st.builds(Grant, st.sampled_from(ROLES), st.sampled_from([None, "a", "b"]))
).map(Grants)


@given(grants, st.sampled_from(Permission), st.sampled_from([None, "a", "b", "c"]))
def test_somebody_may_what_one_of_their_roles_there_allows(held, permission, place):
    there = [role for role, tenant_id in held if tenant_id in (None, place)]
    assert held.may(permission, place) == any(permission in ALLOWED[r] for r in there)


@given(grants, st.sampled_from(Permission))
def test_the_tenants_listed_are_those_where_it_is_allowed(held, permission):
    listed = held.tenants(permission)
    everywhere = held.may(permission, None)
    assert (listed is None) == everywhere
    if listed is not None:
        allowed = [each for each in ("a", "b", "c") if held.may(permission, each)]
        assert listed == allowed


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [Grant(Role.PUBLISHER)],
        [Grant(Role.VIEWER, "a"), Grant(Role.ADMIN, "a")],
        [Grant(Role.VIEWER), Grant(Role.ADMIN)],
    ],
)
def test_grants_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InvalidInput):
        check_grants(wrong)


@pytest.mark.parametrize("text", ["Ann", " ann ", "Ann@Example.COM", "a.b_c+d%e-f@g"])
def test_a_login_is_kept_in_lower_case(text):
    assert normal_login(text) == text.strip().lower()


@pytest.mark.parametrize("text", ["", "-a", "a b", "a\0", "ﬀ", "ä@b", "a" * 128, "a\n"])
def test_what_is_no_login_is_refused(text):
    if text == "a\n":
        assert normal_login(text) == "a"
        return
    with pytest.raises(InvalidInput):
        normal_login(text)


@pytest.mark.parametrize(
    "password", ["short", "aaaaaaaaaaaaaaaa", "my-name-is-ann", "x" * 257]
)
def test_a_password_that_is_easily_guessed_is_refused(password):
    with pytest.raises(InvalidInput):
        check_password(password, "ann")


@pytest.mark.parametrize(
    ("failures", "of", "seconds"),
    [
        (4, "login", 0),
        (5, "login", 5),
        (6, "login", 10),
        (11, "login", 300),
        (10_000, "login", 300),
        (19, "address", 0),
        (20, "address", 5),
    ],
)
def test_failures_beyond_a_few_cost_ever_more_time(failures, of, seconds):
    assert wait_after(failures, of) == timedelta(seconds=seconds)
