"""Single sign-on: to a provider and back, and what somebody's groups make of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, Protocol
from uuid import UUID

import structlog

from ascwebhooks.domain import ids
from ascwebhooks.domain.encryption import KeyRing
from ascwebhooks.domain.identities import (
    Identity,
    Refusal,
    granted,
    identity,
    other_login,
)
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.people import Grants, PersonState
from ascwebhooks.errors import SignOnRefused
from ascwebhooks.services import throttling
from ascwebhooks.services.attempts import Attempts
from ascwebhooks.services.people import grants_by, shown
from ascwebhooks.services.sessions import Sessions
from ascwebhooks.services.throttling import Throttling
from ascwebhooks.storage.accounts import Person, PersonRole, RoleSource
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

HOW = "single sign-on"
_TRIED = "sign_on:"
_NO_ROLE = (
    "the provider knows you, but none of your groups has a role here. Ask an"
    " administrator."
)
_DISABLED = "an administrator has disabled you here."


class Provider(Protocol):
    """What is asked of a provider (``outbound.identity_provider``)."""

    issuer: str

    def authorization_url(
        self, redirect_uri: str, *, state: str, nonce: str, verifier: str
    ) -> str:
        """Return where a browser goes to sign in."""

    def check_answer(self, answer: Mapping[str, str]) -> None:
        """Raise SignOnRefused unless it is an answer to us."""

    def claims(
        self, code: str, redirect_uri: str, *, nonce: str, verifier: str
    ) -> Mapping[str, object]:
        """Return what the provider says of somebody, verified."""

    def end_session_url(self, back: str) -> str | None:
        """Return where a browser logs out there."""


class Begun(NamedTuple):
    """Where the browser goes, and what it keeps meanwhile."""

    url: str
    kept: str


class Came(NamedTuple):
    """How a browser comes back.

    Args:
        kept: What it was given to keep.
        answer: The provider's, by the query.
        redirect_uri: Where to.
        address: Where the request comes from.
        request_id: The request's.
        former: The token of a session of this browser, which ends.
    """

    kept: str | None
    answer: Mapping[str, str]
    redirect_uri: str
    address: str
    request_id: str
    former: str | None = None


class SingleSignOn:
    """Use cases of single sign-on."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        entropy: Callable[[int], bytes],
        *,
        provider: Provider,
        name: str,
        ring: KeyRing,
        sessions: Sessions,
        groups_claim: str,
        roles: tuple[tuple[str, str, str | None], ...],
    ) -> None:
        """Take the parts.

        Args:
            uow: Opens a transaction.
            entropy: Returns random bytes.
            provider: Who vouches.
            name: What people call it.
            ring: Seals what browsers keep.
            sessions: Where sessions are opened.
            groups_claim: The claim with somebody's groups.
            roles: Group, role and tenant (``domain.identities.granted``).
        """
        self.name = name
        self._uow = uow
        self._entropy = entropy
        self._provider = provider
        self._attempts = Attempts(ring, entropy)
        self._sessions = sessions
        self._groups_claim = groups_claim
        self._roles = roles
        self._throttling = Throttling(uow)

    def begin(self, redirect_uri: str, target: str | None, *, address: str) -> Begun:
        """Return where to sign in, and what proves afterwards that it was asked for.

        Args:
            redirect_uri: Where the provider sends the browser back to.
            target: The page to go to in the end.
            address: Where the request comes from.

        Raises:
            SignOnRefused: If the provider does not answer.
            TooManyAttempts: If too many tries from this address failed.
        """
        self._throttling.count({"address": address}, _TRIED)
        with self._uow() as uow:
            begun = self._attempts.begin(target, uow.now())
        with self._reporting():
            url = self._provider.authorization_url(
                redirect_uri,
                state=begun.state,
                nonce=begun.nonce,
                verifier=begun.verifier,
            )
        with self._uow() as uow:
            uow.throttles.forgive(throttling.key(f"{_TRIED}address", address))
            uow.commit()
        return Begun(url, self._attempts.seal(begun))

    def finish(self, came: Came) -> tuple[str, str | None]:
        """Return the token of a new session, and the page to go to.

        Raises:
            SignOnRefused: If the provider does not vouch, or nobody may enter.
            TooManyAttempts: If too many tries from this address failed.
        """
        self._throttling.count({"address": came.address}, _TRIED)
        with self._reporting():
            with self._uow() as uow:
                now = uow.now()
            begun = self._attempts.resume(came.kept, came.answer.get("state", ""), now)
            self._provider.check_answer(came.answer)
            claims = self._provider.claims(
                came.answer["code"],
                came.redirect_uri,
                nonce=begun.nonce,
                verifier=begun.verifier,
            )
            who = identity(claims, self._groups_claim)
        return self._enter(who, came), begun.target

    def end_session_url(self, back: str) -> str | None:
        """Return where to log out at the provider too; None if it offers nothing."""
        return self._provider.end_session_url(back)

    def _enter(self, who: Identity, came: Came) -> str:
        """Open a session of somebody the provider vouches for, with their roles."""
        with self._uow() as uow:
            grants = self._grants(uow, who)
            person = self._person(uow, who, grants)
            refused = self._refusal(person, grants)
            if person is not None and person.state == PersonState.ACTIVE:
                self._follow(uow, person, grants)
            if refused is not None or person is None:
                reason, told = refused or (Refusal.NO_ROLE, _NO_ROLE)
                self._record(uow, reason, person, told)
                uow.commit()
                raise SignOnRefused(reason, told)
            token = self._sessions.open(
                uow,
                person.id,
                address=came.address,
                request_id=came.request_id,
                how=HOW,
            )
            uow.throttles.forgive(throttling.key(f"{_TRIED}address", came.address))
            if came.former is not None:
                self._sessions.end(uow, came.former)
            uow.commit()
        log.info("person_logged_in", user_id=ids.show(Kind.USER, person.id), how=HOW)
        return token

    def _grants(self, uow: UnitOfWork, who: Identity) -> Grants:
        """Return what groups grant, but for tenants that there are not."""
        return Grants(
            each
            for each in granted(who.groups, self._roles)
            if each.tenant_id is None or uow.tenants.find(each.tenant_id) is not None
        )

    def _person(self, uow: UnitOfWork, who: Identity, grants: Grants) -> Person | None:
        """Return who it is; created at the first login, if a group has a role."""
        # Two first logins of somebody at once: one waits for the other.
        uow.people.lock_identity(who.issuer, who.subject)
        person = uow.people.by_identity(who.issuer, who.subject)
        if person is not None or not grants:
            return person
        taken = uow.people.by_login(who.login) is not None
        person = Person(
            id=self._new_id(uow),
            login=other_login(who) if taken else who.login,
            name=who.name,
            sso_issuer=who.issuer,
            sso_subject=who.subject,
            state=PersonState.ACTIVE,
            roles=[],
        )
        uow.people.add(person)
        uow.audit.record(
            "user.created",
            Kind.USER,
            person.id,
            login=person.login,
            issuer=who.issuer,
            how=HOW,
        )
        return person

    @staticmethod
    def _refusal(person: Person | None, grants: Grants) -> tuple[Refusal, str] | None:
        if person is None:
            return Refusal.NO_ROLE, _NO_ROLE
        if person.state != PersonState.ACTIVE:
            return Refusal.DISABLED, _DISABLED
        if not grants and not grants_by(person, RoleSource.HAND):
            return Refusal.NO_ROLE, _NO_ROLE
        return None

    def _follow(self, uow: UnitOfWork, person: Person, grants: Grants) -> None:
        """Give somebody the roles of their groups; those given by hand stay."""
        before = grants_by(person, RoleSource.GROUPS)
        if before == grants:
            return
        for each in [*person.roles]:
            if each.source == RoleSource.GROUPS:
                person.roles.remove(each)
        # The old rows go first: a group has one role in a place.
        uow.flush()
        person.roles += [
            PersonRole(
                id=self._new_id(uow),
                role=each.role,
                tenant_id=each.tenant_id,
                source=RoleSource.GROUPS,
            )
            for each in grants
        ]
        uow.flush()
        if not person.roles:
            uow.sessions.end_of(person.id)
        uow.audit.record(
            "user.changed",
            Kind.USER,
            person.id,
            login=person.login,
            roles=shown(grants),
            roles_before=shown(before),
            by="groups",
        )

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Have the audit log tell who did not get in, and why."""
        try:
            yield
        except SignOnRefused as error:
            with self._uow() as uow:
                self._record(uow, error.reason, None, str(error))
                uow.commit()
            raise

    def _record(
        self, uow: UnitOfWork, reason: str, person: Person | None, told: str
    ) -> None:
        kind: Kind | str = "identity_provider" if person is None else Kind.USER
        resource = self._provider.issuer if person is None else person.id
        log.info("sign_on_refused", reason=reason)
        uow.audit.record("session.refused", kind, resource, reason=reason, told=told)

    def _new_id(self, uow: UnitOfWork) -> UUID:
        return ids.uuid7(int(uow.now().timestamp() * 1000), self._entropy(10))
