"""People: what they may do where, their logins and passwords, and throttling."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from ascwebhooks.domain.keys import ALLOWED, Permission, Role
from ascwebhooks.errors import InvalidInput

#: A person is one of these; publishing is for programs.
ROLES = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)
MIN_PASSWORD = 12
MAX_PASSWORD = 256

_LOGIN = re.compile(r"[a-z0-9][a-z0-9._%+@-]{0,126}\Z")
#: So many wrong passwords cost nothing: people mistype.
_FREE_FAILURES = {"login": 5, "address": 20}
_FIRST_WAIT = timedelta(seconds=5)
_LONGEST_WAIT = timedelta(minutes=5)
#: After so long without a failure all is forgotten.
FORGOTTEN_AFTER = timedelta(hours=1)


class PersonState(StrEnum):
    """Whether somebody may log in."""

    ACTIVE = "active"
    DISABLED = "disabled"


class Grant(NamedTuple):
    """A role in one tenant; in all of them if ``tenant_id`` is None."""

    role: Role
    tenant_id: str | None = None


class Grants(tuple[Grant, ...]):
    """All that somebody has been granted."""

    __slots__ = ()

    def may(self, permission: Permission, tenant_id: str | None) -> bool:
        """Return whether they allow this in a tenant, or on the platform (None)."""
        return any(
            permission in ALLOWED[each.role]
            for each in self
            if each.tenant_id is None or each.tenant_id == tenant_id
        )

    def may_anywhere(self, permission: Permission) -> bool:
        """Return whether they allow this in some tenant, or on the platform."""
        return any(permission in ALLOWED[each.role] for each in self)

    def sees(self, tenant_id: str) -> bool:
        """Return whether the tenant exists for whoever has these."""
        return any(each.tenant_id in (None, tenant_id) for each in self)

    @property
    def everywhere(self) -> bool:
        """Whether any of them is for all tenants."""
        return any(each.tenant_id is None for each in self)

    def tenants(self, permission: Permission = Permission.READ) -> list[str] | None:
        """Return in which tenants they allow this; None if in all of them."""
        if self.may(permission, None):
            return None
        allowed = {each.tenant_id for each in self if permission in ALLOWED[each.role]}
        return sorted(each for each in allowed if each is not None)


def check_grants(grants: Iterable[Grant]) -> Grants:
    """Return grants, in order.

    Raises:
        InvalidInput: If there is none, one is not for people, or a tenant has two.
    """
    found = Grants(sorted(set(grants), key=lambda each: each.tenant_id or ""))
    if not found:
        raise InvalidInput("give at least one role.", field="roles")
    if any(each.role not in ROLES for each in found):
        raise InvalidInput(f"a role is one of {', '.join(ROLES)}.", field="roles")
    places = [each.tenant_id for each in found]
    if len(set(places)) < len(places):
        raise InvalidInput("one role for each tenant.", field="roles")
    return found


def normal_login(text: str) -> str:
    """Return a login as it is kept: logins differ in more than their case.

    Raises:
        InvalidInput: If it cannot be one.
    """
    login = text.strip().lower()
    if not _LOGIN.match(login):
        raise InvalidInput(
            "a login is a name or an e-mail address: letters, digits and ._%+@-.",
            field="login",
        )
    return login


def check_password(password: str, login: str) -> None:
    """Raise InvalidInput unless a password is long enough and no login.

    Source:
        NIST SP 800-63B §3.1.1: length counts, composition rules do not help.
    """
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise InvalidInput(
            f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters.",
            field="password",
        )
    if login in password.lower() or len(set(password)) < 5:
        raise InvalidInput("this password is too easy to guess.", field="password")


def wait_after(failures: int, of: str) -> timedelta:
    """Return how long the next login has to wait after so many failures in a row.

    Args:
        failures: How many there were, this one included.
        of: ``login`` or ``address``.
    """
    beyond = failures - _FREE_FAILURES[of]
    if beyond < 0:
        return timedelta(0)
    return min(_FIRST_WAIT * (1 << min(beyond, 10)), _LONGEST_WAIT)
