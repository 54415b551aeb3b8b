"""Changing one's own password: whoever found an open session gets no further by it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import structlog

from ascwebhooks.domain import ids
from ascwebhooks.domain.ids import Kind
from ascwebhooks.errors import InvalidInput
from ascwebhooks.services import passwords, throttling
from ascwebhooks.services.people import People
from ascwebhooks.services.throttling import Throttling
from ascwebhooks.storage.accounts import Person
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()


class OwnPasswords:
    """The use case of one's own password."""

    def __init__(self, uow: Callable[[], UnitOfWork], people: People) -> None:
        """Take what opens a transaction, and the use cases of people."""
        self._uow = uow
        self._people = people
        self._throttling = Throttling(uow)

    def change(
        self,
        person_id: UUID,
        session_id: UUID,
        current: str,
        password: str,
        *,
        address: str,
    ) -> None:
        """Change a password for somebody who knows the present one.

        Nobody guesses faster here than at the login: tries at both doors count
        together, and each wrong one is in the audit log.

        Args:
            person_id: Whose.
            session_id: The session in which they do so; their others end.
            current: The present one.
            password: The new one.
            address: Where the request comes from.

        Raises:
            InvalidInput: If the present one is wrong, or the new one no good.
            TooManyAttempts: If too many tries failed; the password was not looked at.
        """
        person = self._people.get(person_id)
        tried = {"login": person.login, "address": address}
        self._throttling.count(tried)
        if not passwords.fits(person.password_hash, current):
            self._note_refusal(person)
            raise InvalidInput("this is not your present password.", field="current")
        with self._uow() as uow:
            throttling.forgive(uow, tried)
            uow.commit()
        self._people.set_password(person_id, password, keep=session_id)

    def _note_refusal(self, person: Person) -> None:
        with self._uow() as uow:
            uow.audit.record(
                "user.password_refused", Kind.USER, person.id, login=person.login
            )
            uow.commit()
        log.info("person_password_refused", user_id=ids.show(Kind.USER, person.id))
