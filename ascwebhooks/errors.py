"""Every error a caller of this package can see.

AscWebhooksError
├── InvalidInput              the request is wrong; the caller can fix it
│   ├── IdempotencyKeyReused
│   ├── PayloadTooLarge
│   ├── StaleForm
│   ├── TargetRejected
│   ├── UnreadableBody
│   └── UnreadableHeader
├── NotAuthenticated          no key or session, or one that is not in force
├── PortalLinkOver            a portal link is unknown, used or too old
├── SignOnRefused             single sign-on did not let somebody in
├── TooManyAttempts           too many tries failed; later it may work
├── NotPermitted              the key's role or tenant does not allow it
├── NotFound                  unknown, or another tenant's: the same answer
├── Conflict                  the request is right, the state is not
│   ├── IdempotencyAnswerLost
│   └── IdempotencyInProgress
├── PreconditionFailed        it is no longer what the caller has seen
├── AuditBroken               an entry of the audit log was changed or removed
├── Unavailable               a part this needs is away; the same call may work later
│   └── SearchTooLong         a list would take too long to find; narrow it
└── SettingsInvalid           a setting is missing or wrong; the process does not start
    └── MappingInvalid        a mapping's file is wrong

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


class StaleForm(InvalidInput):
    """A form does not prove that it comes from a page of the session it is sent in."""

    code = "stale_form"


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


class PortalLinkOver(AscWebhooksError):
    """A portal link is unknown, has been used, or is too old."""

    code = "portal_link_over"


class SignOnRefused(AscWebhooksError):
    """Single sign-on did not let somebody in; ``reason`` is one of ``Refusal``."""

    code = "sign_on_refused"

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, reason=reason)
        self.reason = reason


class TooManyAttempts(AscWebhooksError):
    """Too many logins failed; ``retry_after_s`` says how long to wait."""

    code = "too_many_attempts"


class NotPermitted(AscWebhooksError):
    """The API key's role does not allow this."""

    code = "not_permitted"


class NotFound(AscWebhooksError):
    """There is no such thing, or it belongs to another tenant."""

    code = "not_found"


class Conflict(AscWebhooksError):
    """The request is right, but the state of things does not allow it."""

    code = "conflict"


class IdempotencyKeyReused(InvalidInput):
    """An ``Idempotency-Key`` came with another request before."""

    code = "idempotency_key_reused"


class IdempotencyInProgress(Conflict):
    """The request that came first with this ``Idempotency-Key`` is not answered yet."""

    code = "idempotency_in_progress"


class IdempotencyAnswerLost(Conflict):
    """The request was carried out, and what it was answered with is not known."""

    code = "idempotency_answer_lost"


class PreconditionFailed(AscWebhooksError):
    """What is to be changed is no longer what the caller has seen."""

    code = "precondition_failed"


class AuditBroken(AscWebhooksError):
    """An entry of the audit log was changed or removed."""

    code = "audit_broken"


class Unavailable(AscWebhooksError):
    """A part that this needs is away; the same call may succeed later."""

    code = "unavailable"


class SearchTooLong(Unavailable):
    """What is looked for is too rare among too many; a narrower search may find it."""

    code = "search_too_long"


class SettingsInvalid(AscWebhooksError):
    """A setting is missing or wrong."""

    code = "settings_invalid"


class MappingInvalid(SettingsInvalid):
    """A mapping's file is wrong; the message has the file, the line and the key."""

    code = "mapping_invalid"
