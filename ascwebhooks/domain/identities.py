"""Single sign-on: whom a provider vouches for, and what their groups grant."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import ROLES, Grant, Grants
from ascwebhooks.errors import SignOnRefused

#: A provider promises subjects of at most so many characters.
_LONGEST_SUBJECT = 255
_LONGEST_NAME = 200
_NO_LOGIN = re.compile(r"[^a-z0-9._%+@-]+")
_MAX_LOGIN = 100


class Refusal(StrEnum):
    """Why somebody did not get in by single sign-on."""

    AWAY = "provider_away"
    PROVIDER = "provider_refused"
    STATE = "wrong_state"
    LATE = "too_late"
    ISSUER = "wrong_issuer"
    AUDIENCE = "wrong_audience"
    NONCE = "wrong_nonce"
    EXPIRED = "token_expired"
    ALGORITHM = "wrong_algorithm"
    KEY = "unknown_key"
    SIGNATURE = "wrong_signature"
    TOKEN = "bad_token"  # noqa: S105 - a reason
    NO_ROLE = "no_role"
    DISABLED = "disabled"


class Identity(NamedTuple):
    """Whom a provider vouches for.

    Args:
        issuer: The provider.
        subject: Who, there: the one thing that never changes.
        login: How they are called there, or something like it.
        name: For people.
        groups: As the provider has them.
    """

    issuer: str
    subject: str
    login: str
    name: str
    groups: frozenset[str]


def identity(claims: Mapping[str, Any], groups_claim: str) -> Identity:
    """Return whom verified claims are about.

    Raises:
        SignOnRefused: If they have no subject.

    Source:
        OpenID Connect Core 1.0 §2 and §5.1; issuer and subject together are the only
        identifier (§5.7).
    """
    subject = claims.get("sub")
    if (
        not isinstance(subject, str)
        or not 0 < len(subject) <= _LONGEST_SUBJECT
        or "\0" in subject
    ):
        raise SignOnRefused(Refusal.TOKEN, "the token names no subject.")
    names = (_text(claims, "preferred_username"), _text(claims, "email"), subject)
    login = next(filter(None, (_login(each) for each in names)), "sso")
    name = _text(claims, "name")[:_LONGEST_NAME].strip() or login
    return Identity(
        str(claims["iss"]), subject, login, name, _groups(claims.get(groups_claim))
    )


def other_login(who: Identity) -> str:
    """Return a login for somebody whose own one is another person's here."""
    whole = f"{who.issuer} {who.subject}".encode()
    return f"{who.login}.{hashlib.sha256(whole).hexdigest()[:8]}"


def granted(
    groups: Iterable[str], mapping: Sequence[tuple[str, str, str | None]]
) -> Grants:
    """Return what groups grant: in each place the highest role of all.

    Args:
        groups: Somebody's.
        mapping: Group, role and tenant; without a tenant it is for all of them.
    """
    theirs = frozenset(groups)
    highest: dict[str | None, Role] = {}
    for group, name, tenant_id in mapping:
        role = Role(name)
        if group in theirs and ROLES.index(role) >= ROLES.index(
            highest.get(tenant_id, role)
        ):
            highest[tenant_id] = role
    return Grants(
        Grant(role, tenant_id)
        for tenant_id, role in sorted(
            highest.items(), key=lambda each: (each[0] is not None, each[0] or "")
        )
    )


def _groups(claim: Any) -> frozenset[str]:
    if isinstance(claim, str):
        return frozenset({claim})
    if not isinstance(claim, list):
        return frozenset()
    return frozenset(each for each in claim if isinstance(each, str))


def _login(text: str) -> str:
    return _NO_LOGIN.sub("-", text.lower()).strip("-._%+@")[:_MAX_LOGIN]


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value.replace("\0", "") if isinstance(value, str) else ""
