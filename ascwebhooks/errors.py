"""Every error a caller of this package can see.

AscWebhooksError
├── InvalidInput              the request is wrong; the caller can fix it
│   ├── PayloadTooLarge
│   ├── TargetRejected
│   ├── UnreadableBody
│   └── UnreadableHeader
├── NotAuthenticated          no key, or one that is unknown, expired or revoked
├── NotPermitted              the key's role or tenant does not allow it
├── NotFound                  unknown, or another tenant's: the same answer
├── Conflict                  the request is right, the state is not
├── Unavailable               a part this needs is away; the same call may work later
└── SettingsInvalid           a setting is missing or wrong; the process does not start

A receiver that answers 500, or does not answer, is not an error here: it is an
``Outcome`` value (see ``domain.deliveries``), because it is the expected case.
"""

from __future__ import annotations

from typing import ClassVar


class AscWebhooksError(Exception):
    """Base class; ``code`` is part of the public API and never changes."""

    code: ClassVar[str] = "internal"

    def __init__(self, message: str, **context: object) -> None:
        super().__init__(message)
        self.context = context


class InvalidInput(AscWebhooksError):
    """The caller sent something this service will never accept."""

    code = "invalid_input"


class PayloadTooLarge(InvalidInput):
    """The request or the event is larger than the limit."""

    code = "payload_too_large"


class TargetRejected(InvalidInput):
    """The endpoint URL, or an address it resolves to, is not allowed."""

    code = "target_rejected"


class UnreadableBody(InvalidInput):
    """The body is not what its content type says, so nothing in it can be read."""

    code = "unreadable_body"


class UnreadableHeader(InvalidInput):
    """A header that carries an attribute of an event cannot be decoded."""

    code = "unreadable_header"


class NotAuthenticated(AscWebhooksError):
    """There is no API key, or it is unknown, expired or revoked."""

    code = "not_authenticated"


class NotPermitted(AscWebhooksError):
    """The API key's role does not allow this."""

    code = "not_permitted"


class NotFound(AscWebhooksError):
    """There is no such thing, or it belongs to another tenant."""

    code = "not_found"


class Conflict(AscWebhooksError):
    """The request is right, but the state of things does not allow it."""

    code = "conflict"


class Unavailable(AscWebhooksError):
    """A part that this needs is away; the same call may succeed later."""

    code = "unavailable"


class SettingsInvalid(AscWebhooksError):
    """A setting is missing or wrong."""

    code = "settings_invalid"
