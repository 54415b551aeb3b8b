"""API keys: how they look, what is kept of them, what each role may do."""

from __future__ import annotations

import base64
import hashlib
from enum import StrEnum

PREFIX = "ascw_"
SHOWN_CHARACTERS = 12


class Role(StrEnum):
    """What a key is for."""

    PUBLISHER = "publisher"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class Permission(StrEnum):
    """What a request needs."""

    PUBLISH = "publish"
    READ = "read"
    OPERATE = "operate"
    ADMINISTER = "administer"


ALLOWED: dict[Role, frozenset[Permission]] = {
    Role.PUBLISHER: frozenset({Permission.PUBLISH}),
    Role.VIEWER: frozenset({Permission.READ}),
    Role.OPERATOR: frozenset({Permission.READ, Permission.OPERATE}),
    Role.ADMIN: frozenset(Permission),
}


def format_key(random: bytes) -> str:
    """Return the key as its holder gets it, once.

    Args:
        random: 32 random bytes.
    """
    return PREFIX + base64.urlsafe_b64encode(random).rstrip(b"=").decode()


def shown(key: str) -> str:
    """Return the part of a key by which people recognise it."""
    return key[:SHOWN_CHARACTERS]


def digest(key: str) -> bytes:
    """Return what is kept of a key: 256 random bits need no slow hash."""
    return hashlib.sha256(key.encode()).digest()
