"""Sessions: logging in and out, and who a browser's request comes from."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from ascwebhooks.domain import ids
from ascwebhooks.domain.audit import Actor, ActorKind
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import Grant, Grants, PersonState
from ascwebhooks.errors import NotAuthenticated
from ascwebhooks.services import passwords, throttling
from ascwebhooks.services.people import grants_of
from ascwebhooks.services.throttling import Throttling
from ascwebhooks.storage.accounts import BrowserSession, Person, PortalLink
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

TOKEN_BYTES = 32
_SEEN_GRAIN = timedelta(minutes=1)
_PASSWORD = "password"  # noqa: S105 - how somebody logged in
#: Begins the tokens of portal sessions, so that an ended one is told from others.
PORTAL_PREFIX = "portal."
_WRONG = "the login or the password is wrong."


@dataclass(frozen=True)
class Visitor:
    """Who a session belongs to, and what they may do now.

    Args:
        session_id: Of the session.
        csrf: What its forms prove themselves by.
        kind: A person, or the holder of a portal link.
        id: Theirs, as people see it.
        name: Theirs.
        login: A person's.
        person_id: A person's.
        grants: What they may do where, as of this request.
        has_notices: Whether there are messages for the next page.
        sso: Whether an identity provider vouched for them.
    """

    session_id: UUID
    csrf: bytes
    kind: ActorKind
    id: str
    name: str
    login: str
    person_id: UUID | None
    grants: Grants
    has_notices: bool
    sso: bool = False


class Sessions:
    """Use cases of sessions."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        entropy: Callable[[int], bytes],
        *,
        idle: timedelta,
        longest: timedelta,
    ) -> None:
        """Take the parts.

        Args:
            uow: Opens a transaction.
            entropy: Returns random bytes.
            idle: After so long without a request a session has ended.
            longest: After so long it has ended in any case.
        """
        self._uow = uow
        self._entropy = entropy
        self._idle = idle
        self._longest = longest
        self._throttling = Throttling(uow)

    def log_in(
        self,
        login: str,
        password: str,
        *,
        address: str,
        request_id: str = "",
        former: str | None = None,
    ) -> str:
        """Return the token of a new session.

        A try counts as a failure until it has succeeded, so that many at once do not
        get past the limit.

        Args:
            login: Whose.
            password: What they typed.
            address: Where the request comes from.
            request_id: The request's, for the audit log.
            former: The token of a session of this browser, which ends.

        Raises:
            NotAuthenticated: If they do not fit, or the person is disabled.
            TooManyAttempts: If too many tries failed; the password was not looked at.
        """
        login = login.strip().lower()
        tried = {"login": login, "address": address}
        self._throttling.count(tried)
        with self._uow() as uow:
            person = uow.people.by_login(login)
        fits = passwords.fits(person.password_hash if person else None, password)
        if not fits or person is None or person.state != PersonState.ACTIVE:
            self._note_failure(person, address, request_id)
            raise NotAuthenticated(_WRONG)
        again = passwords.hashed(password) if self._is_dated(person) else None
        with self._uow() as uow:
            throttling.forgive(uow, tried)
            token = self.open(
                uow, person.id, address=address, request_id=request_id, rehashed=again
            )
            if former is not None:
                self.end(uow, former)
            uow.commit()
        log.info("person_logged_in", user_id=ids.show(Kind.USER, person.id))
        return token

    def open(
        self,
        uow: UnitOfWork,
        person_id: UUID,
        *,
        address: str,
        request_id: str,
        how: str = _PASSWORD,
        rehashed: str | None = None,
    ) -> str:
        """Open a session of somebody whose word was good, within a transaction.

        Returns:
            Its token; what is kept of it is a digest.

        Raises:
            NotAuthenticated: If they have been disabled meanwhile.
        """
        person = uow.people.find(person_id, lock=True)
        if person is None or person.state != PersonState.ACTIVE:
            raise NotAuthenticated(_WRONG)
        now = uow.now()
        person.last_login_at = now
        person.password_hash = rehashed or person.password_hash
        token = base64.urlsafe_b64encode(self._entropy(TOKEN_BYTES)).decode()
        row = self._new(token, now)
        row.person_id = person_id
        row.sso = how != _PASSWORD
        uow.sessions.add(row)
        actor = _actor(person, address, request_id)
        uow.audit.record("session.opened", Kind.USER, person_id, actor=actor, how=how)
        return token

    def open_portal(self, uow: UnitOfWork, link: PortalLink, lasts: timedelta) -> str:
        """Open a session of a link's holder, within a transaction; return its token."""
        now = uow.now()
        random = base64.urlsafe_b64encode(self._entropy(TOKEN_BYTES)).decode()
        token = PORTAL_PREFIX + random
        row = self._new(token, now)
        row.portal_tenant_id, row.portal_link_id = link.tenant_id, link.id
        row.expires_at = now + lasts
        uow.sessions.add(row)
        return token

    def recognise(self, token: str) -> Visitor:
        """Return whose session a token is of.

        Raises:
            NotAuthenticated: If it is unknown or has ended.
        """
        with self._uow() as uow:
            now = uow.now()
            row = uow.sessions.by_digest(_digest(token))
            if row is None or self._has_ended(row, now):
                raise NotAuthenticated("the session has ended.")
            visitor = _visitor(uow, row)
            if row.last_seen_at < now - _SEEN_GRAIN:
                uow.sessions.seen(row.id, now, _SEEN_GRAIN)
                uow.commit()
            return visitor

    def log_out(self, token: str) -> None:
        """End a session; one that has ended already is no matter."""
        with self._uow() as uow:
            row = self.end(uow, token)
            if row is not None and row.person_id is not None:
                uow.audit.record("session.closed", Kind.USER, row.person_id)
            elif row is not None and row.portal_link_id is not None:
                uow.audit.record(
                    "session.closed",
                    Kind.PORTAL_LINK,
                    row.portal_link_id,
                    tenant_id=row.portal_tenant_id,
                )
            uow.commit()

    def notify(self, session_id: UUID, kind: str, text: str) -> None:
        """Keep a message for the next page of a session."""
        with self._uow() as uow:
            uow.sessions.notify(session_id, [kind, text])
            uow.commit()

    def take_notices(self, session_id: UUID) -> list[tuple[str, str]]:
        """Return the messages that were kept, once."""
        with self._uow() as uow:
            taken = uow.sessions.take_notices(session_id)
            uow.commit()
        return [(kind, text) for kind, text in taken]

    def _new(self, token: str, now: datetime) -> BrowserSession:
        return BrowserSession(
            id=ids.uuid7(int(now.timestamp() * 1000), self._entropy(10)),
            digest=_digest(token),
            csrf=self._entropy(TOKEN_BYTES),
            created_at=now,
            last_seen_at=now,
            expires_at=now + self._longest,
        )

    def _has_ended(self, row: BrowserSession, now: datetime) -> bool:
        return row.expires_at <= now or row.last_seen_at <= now - self._idle

    def end(self, uow: UnitOfWork, token: str) -> BrowserSession | None:
        """End a session within a transaction; return what it was."""
        row = uow.sessions.by_digest(_digest(token))
        if row is None:
            return None
        uow.sessions.end(row.id)
        return row

    def _note_failure(
        self, person: Person | None, address: str, request_id: str
    ) -> None:
        # What was typed as a login may be a password: only a known one is written.
        log.info("login_failed", known=person is not None)
        if person is None:
            return
        with self._uow() as uow:
            uow.audit.record(
                "session.refused",
                Kind.USER,
                person.id,
                actor=_actor(person, address, request_id),
                state=person.state,
            )
            uow.commit()

    @staticmethod
    def _is_dated(person: Person) -> bool:
        return passwords.is_dated(person.password_hash or "")


def _visitor(uow: UnitOfWork, row: BrowserSession) -> Visitor:
    if row.person_id is None:
        return _portal_visitor(uow, row)
    person = uow.people.find(row.person_id)
    if person is None or person.state != PersonState.ACTIVE:
        raise NotAuthenticated("the session has ended.")
    return Visitor(
        session_id=row.id,
        csrf=bytes(row.csrf),
        kind=ActorKind.PERSON,
        id=ids.show(Kind.USER, person.id),
        name=person.name,
        login=person.login,
        person_id=person.id,
        grants=grants_of(person),
        has_notices=bool(row.notices),
        sso=row.sso,
    )


def _portal_visitor(uow: UnitOfWork, row: BrowserSession) -> Visitor:
    tenant_id, link_id = row.portal_tenant_id, row.portal_link_id
    if tenant_id is None or link_id is None:
        raise NotAuthenticated("the session has ended.")
    link = uow.portal_links.find(tenant_id, link_id)
    tenant = uow.tenants.find(tenant_id)
    if link is None or tenant is None:
        raise NotAuthenticated("the session has ended.")
    return Visitor(
        session_id=row.id,
        csrf=bytes(row.csrf),
        kind=ActorKind.PORTAL,
        id=ids.show(Kind.PORTAL_LINK, link.id),
        name=tenant.name,
        login="",
        person_id=None,
        grants=Grants([Grant(Role(link.role), tenant_id)]),
        has_notices=bool(row.notices),
    )


def _actor(person: Person, address: str, request_id: str) -> Actor:
    shown = ids.show(Kind.USER, person.id)
    return Actor(ActorKind.PERSON, shown, person.login, address, request_id)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
