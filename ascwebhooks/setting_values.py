"""How the values of settings are written, where it takes more than a word."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import ssl
from typing import Any

import marshmallow as ma
from marshmallow import validate

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class KeyRing(ma.fields.Field[tuple[tuple[str, bytes], ...]]):
    """``id:base64,id:base64``: keys of 32 bytes, the first wraps."""

    def _deserialize(
        self, value: str, *_: Any, **__: Any
    ) -> tuple[tuple[str, bytes], ...]:
        return tuple(self._key(each.strip()) for each in value.split(","))

    def _key(self, text: str) -> tuple[str, bytes]:
        key_id, colon, encoded = text.partition(":")
        if not (colon and key_id):
            raise ma.ValidationError("each key is 'id:base64', separated by commas.")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise ma.ValidationError(f"key {key_id!r} is not base64.") from error
        if len(key) != 32:
            raise ma.ValidationError(
                f"key {key_id!r} has {len(key)} bytes; AES-256 needs 32."
            )
        return key_id, key


class Networks(ma.fields.Field[tuple[Network, ...]]):
    """CIDRs separated by commas."""

    def _deserialize(self, value: str, *_: Any, **__: Any) -> tuple[Network, ...]:
        try:
            return tuple(
                ipaddress.ip_network(each.strip()) for each in value.split(",")
            )
        except ValueError as error:
            raise ma.ValidationError(
                f"{error}; give CIDRs such as 10.1.0.0/16, separated by commas."
            ) from error


def url(schemes: tuple[str, ...]) -> validate.Regexp:
    """Return what checks that a URL begins with one of these."""
    return validate.Regexp(
        rf"(?:{'|'.join(schemes)})://", error=f"the URL starts with {schemes[0]}://."
    )


def count(low: int, high: int) -> ma.fields.Integer:
    """Return the field of a number within bounds."""
    return ma.fields.Integer(validate=validate.Range(low, high))


HOST_AND_PORT = validate.Regexp(r"[^\s:]+:\d+\Z", error="give host:port.")


class Targets(ma.fields.Field[tuple[str, ...]]):
    """``name=host:port``, separated by commas."""

    def _deserialize(self, value: str, *_: Any, **__: Any) -> tuple[str, ...]:
        targets = tuple(each.strip() for each in value.split(","))
        for each in targets:
            if not re.fullmatch(r"[^\s=]+=[^\s:=]+:\d+", each):
                raise ma.ValidationError(
                    f"{each!r}: give targets such as ingest=127.0.0.1:9101, separated"
                    " by commas."
                )
        return targets


def authorities(path: str) -> str:
    """Return the path of a file of certificate authorities.

    Raises:
        ValidationError: If it holds none that can be read: libcurl would say so of
            each request, as if receivers were to blame.
    """
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise ma.ValidationError(
            f"{path}: {error.strerror or error}; give a file of PEM certificates."
        ) from error
    return path


class Origins(ma.fields.Field[tuple[str, ...]]):
    """Origins, separated by commas."""

    def _deserialize(self, value: str, *_: Any, **__: Any) -> tuple[str, ...]:
        origins = tuple(each.strip() for each in value.split(","))
        for each in origins:
            # It goes into a header: nothing in it may end a directive there.
            if not re.fullmatch(r"https?://[A-Za-z0-9.*:-]+", each):
                raise ma.ValidationError(
                    f"{each!r}: give origins such as https://console.example.com,"
                    f" separated by commas."
                )
        return origins


class GroupRoles(ma.fields.Field[tuple[tuple[str, str, str | None], ...]]):
    """``group=role`` or ``group=role@tenant``, separated by commas."""

    def _deserialize(
        self, value: str, *_: Any, **__: Any
    ) -> tuple[tuple[str, str, str | None], ...]:
        return tuple(self._pair(each.strip()) for each in value.split(","))

    def _pair(self, text: str) -> tuple[str, str, str | None]:
        found = _GROUP_ROLE.fullmatch(text)
        if found is None:
            raise ma.ValidationError(
                f"{text!r}: give GROUP=ROLE or GROUP=ROLE@TENANT, separated by commas;"
                " a role is viewer, operator or admin."
            )
        return found["group"].strip(), found["role"], found["tenant"]


_GROUP_ROLE = re.compile(
    r"(?P<group>.*\S.*)=(?P<role>viewer|operator|admin)"
    r"(?:@(?P<tenant>[A-Za-z0-9][A-Za-z0-9._-]{0,63}))?"
)
