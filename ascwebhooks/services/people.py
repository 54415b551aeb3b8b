"""People: create, change, give roles and passwords, disable."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

import structlog

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import (
    ROLES,
    Grant,
    Grants,
    PersonState,
    check_grants,
    check_password,
    normal_login,
)
from ascwebhooks.errors import Conflict, InvalidInput, NotFound
from ascwebhooks.services import passwords
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.accounts import Person, PersonRole, RoleSource
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

FIRST_LOGIN = "admin"
_LONGEST_NAME = 200
#: Bytes of a password that is made up here: 120 bits, 20 characters.
_PASSWORD_BYTES = 15


class People:
    """Use cases of people."""

    def __init__(
        self, uow: Callable[[], UnitOfWork], entropy: Callable[[int], bytes]
    ) -> None:
        """Take the source of random bytes."""
        self._uow = uow
        self._entropy = entropy

    def create(
        self,
        login: str,
        *,
        grants: Iterable[Grant],
        name: str = "",
        password: str | None = None,
    ) -> Person:
        """Create a person; without a password they can log in by single sign-on alone.

        Raises:
            InvalidInput: If the login, the password or a role is no good.
            NotFound: If a role is for a tenant that there is not.
            Conflict: If the login is taken.
        """
        login = normal_login(login)
        wanted = check_grants(grants)
        kept = None if password is None else _hashed(password, login)
        with self._uow() as uow:
            person = Person(
                id=self._new_id(uow),
                login=login,
                name=_name(name) or login,
                password_hash=kept,
                state=PersonState.ACTIVE,
                roles=self._roles(uow, wanted),
            )
            if not uow.people.add(person):
                raise Conflict(f"the login {login!r} is taken.", field="login")
            uow.audit.record(
                "user.created",
                Kind.USER,
                person.id,
                login=login,
                roles=shown(wanted),
            )
            uow.commit()
        log.info("person_created", **_names(person))
        return person

    def first_admin(self) -> tuple[Person, str] | None:
        """Create an administrator if there is nobody yet; return the password too."""
        with self._uow() as uow:
            if uow.people.count():
                return None
        password = self.new_password()
        person = self.create(
            FIRST_LOGIN,
            name="First administrator",
            grants=[Grant(Role.ADMIN)],
            password=password,
        )
        return person, password

    def new_password(self) -> str:
        """Return a password that nobody can guess, easy to type and to tell apart."""
        text = base64.b32encode(self._entropy(_PASSWORD_BYTES)).decode().lower()
        return "-".join(text[at : at + 6] for at in range(0, len(text), 6))

    def get(self, person_id: UUID) -> Person:
        """Return a person.

        Raises:
            NotFound: If there is none.
        """
        with self._uow() as uow:
            return _find(uow, person_id)

    def by_login(self, login: str) -> Person:
        """Return the person with a login.

        Raises:
            NotFound: If there is none.
        """
        with self._uow() as uow:
            person = uow.people.by_login(login.strip().lower())
            if person is None:
                raise NotFound(f"there is no user {login[:64]!r}.")
            return person

    def page(
        self, *, after: str | None = None, limit: int | None = None
    ) -> Sequence[Person]:
        """Return people in order of their logins, those after ``after``."""
        with self._uow() as uow:
            return uow.people.page(after=after, limit=limit)

    def change(
        self,
        person_id: UUID,
        *,
        name: str | None = None,
        grants: Iterable[Grant] | None = None,
        state: PersonState | None = None,
        check: Callable[[Person], None] | None = None,
    ) -> Person:
        """Change a name, roles or the state; it counts from the next request on.

        Whoever is disabled is logged out everywhere.  ``check`` is given what is found,
        under the lock of the change, and may raise.

        Raises:
            NotFound: If there is no such person, or a role's tenant.
            InvalidInput: If a role is no good.
            Conflict: If nobody would be left who administers the platform.
        """
        with self._uow() as uow:
            admins = uow.people.lock_all_with(Role.ADMIN, PersonState.ACTIVE)
            person = _find(uow, person_id, lock=True)
            if check is not None:
                check(person)
            wanted = None if grants is None else _wanted(person, list(grants))
            changed = self._apply(uow, person, name, wanted, state)
            if list(admins) == [person_id] and not _administers(person):
                raise Conflict("this is the last administrator of the platform.")
            if changed:
                uow.audit.record("user.changed", Kind.USER, person_id, **changed)
            uow.commit()
        log.info("person_changed", fields=sorted(changed), **_names(person))
        return person

    def set_password(
        self, person_id: UUID, password: str, *, keep: UUID | None = None
    ) -> None:
        """Give a person another password; end their sessions, ``keep`` excepted.

        Raises:
            NotFound: If there is no such person.
            InvalidInput: If the password is too short or easy to guess.
        """
        login = self.get(person_id).login
        kept = _hashed(password, login)
        with self._uow() as uow:
            person = _find(uow, person_id, lock=True)
            person.password_hash = kept
            uow.sessions.end_of(person_id, but=keep)
            uow.audit.record("user.password_set", Kind.USER, person_id, login=login)
            uow.commit()
        log.info("person_password_set", **_names(person))

    def _apply(
        self,
        uow: UnitOfWork,
        person: Person,
        name: str | None,
        wanted: Grants | None,
        state: PersonState | None,
    ) -> dict[str, Any]:
        changed: dict[str, Any] = {}
        if name is not None and _name(name) != person.name:
            person.name = changed["name"] = _name(name) or person.login
        by_hand = grants_by(person, RoleSource.HAND)
        if wanted is not None and wanted != by_hand:
            changed["roles"] = shown(wanted)
            changed["roles_before"] = shown(by_hand)
            for each in [*person.roles]:
                if each.source == RoleSource.HAND:
                    person.roles.remove(each)
            # The old rows go first: a tenant has one role at a time.
            uow.flush()
            person.roles.extend(self._roles(uow, wanted))
        if state is not None and state != person.state:
            person.state = changed["state"] = state.value
            if state is PersonState.DISABLED:
                uow.sessions.end_of(person.id)
        uow.flush()
        return changed

    def _roles(self, uow: UnitOfWork, grants: Grants) -> list[PersonRole]:
        for each in grants:
            if each.tenant_id is not None:
                find_tenant(uow, each.tenant_id)
        return [
            PersonRole(
                id=self._new_id(uow),
                role=each.role,
                tenant_id=each.tenant_id,
                source=RoleSource.HAND,
            )
            for each in grants
        ]

    def _new_id(self, uow: UnitOfWork) -> UUID:
        return ids.uuid7(int(uow.now().timestamp() * 1000), self._entropy(10))


def grants_of(person: Person) -> Grants:
    """Return what a person has been granted, by hand and by groups."""
    granted = {Grant(Role(each.role), each.tenant_id) for each in person.roles}
    return _sorted(granted)


def grants_by(person: Person, source: RoleSource) -> Grants:
    """Return what a person has been granted by hand, or by groups."""
    return _sorted(
        Grant(Role(each.role), each.tenant_id)
        for each in person.roles
        if each.source == source
    )


def _sorted(granted: Iterable[Grant]) -> Grants:
    return Grants(
        sorted(granted, key=lambda each: (each.tenant_id or "", ROLES.index(each.role)))
    )


def _administers(person: Person) -> bool:
    return person.state == PersonState.ACTIVE and any(
        each == Grant(Role.ADMIN) for each in grants_of(person)
    )


def _wanted(person: Person, grants: list[Grant]) -> Grants:
    """Return grants by hand; whoever has some by groups needs none."""
    if not grants and grants_by(person, RoleSource.GROUPS):
        return Grants()
    return check_grants(grants)


def _hashed(password: str, login: str) -> str:
    check_password(password, login)
    return passwords.hashed(password)


def _name(text: str) -> str:
    name = text.strip()
    if len(name) > _LONGEST_NAME or "\0" in name:
        raise InvalidInput(f"at most {_LONGEST_NAME} characters.", field="name")
    return name


def shown(grants: Grants) -> list[str]:
    """Return grants as the audit log has them."""
    return [f"{each.role} in {each.tenant_id or 'all tenants'}" for each in grants]


def _find(uow: UnitOfWork, person_id: UUID, *, lock: bool = False) -> Person:
    person = uow.people.find(person_id, lock=lock)
    if person is None:
        raise NotFound(f"there is no user {ids.show(Kind.USER, person_id)}.")
    return person


def _names(person: Person) -> dict[str, str]:
    return {"user_id": ids.show(Kind.USER, person.id), "login": person.login}
