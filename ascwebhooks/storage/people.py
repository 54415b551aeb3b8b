"""Statements about people."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ascwebhooks.storage.accounts import Person, PersonRole


class PersonRepository:
    """People, with their roles."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, person: Person) -> bool:
        """Add a person; return False if the login is taken."""
        self._session.add(person)
        try:
            self._session.flush()
        except IntegrityError:
            return False
        return True

    def find(self, person_id: UUID, *, lock: bool = False) -> Person | None:
        """Return the person, or None."""
        return self._session.get(Person, person_id, with_for_update=lock or None)

    def by_login(self, login: str) -> Person | None:
        """Return the person with this login, in lower case."""
        return self._session.scalars(
            select(Person).where(Person.login == login)
        ).one_or_none()

    def by_identity(self, issuer: str, subject: str) -> Person | None:
        """Return the person that a provider knows by this subject; held if found."""
        return self._session.scalars(
            select(Person)
            .where(Person.sso_issuer == issuer, Person.sso_subject == subject)
            .with_for_update()
        ).one_or_none()

    def lock_identity(self, issuer: str, subject: str) -> None:
        """Wait for whoever looks for, or adds, the same person at this moment."""
        self._session.execute(
            select(
                func.pg_advisory_xact_lock(
                    func.hashtextextended(f"{issuer} {subject}", 0)
                )
            )
        )

    def page(self, *, after: str | None, limit: int | None) -> Sequence[Person]:
        """Return people in order of their logins, those after ``after``."""
        query = select(Person).order_by(Person.login).limit(limit)
        if after is not None:
            query = query.where(Person.login > after)
        return self._session.scalars(query).all()

    def count(self) -> int:
        """Return how many there are."""
        return self._session.execute(
            select(func.count()).select_from(Person)
        ).scalar_one()

    def lock_all_with(self, role: str, state: str) -> Sequence[UUID]:
        """Return who has this role for all tenants, and hold them until the commit.

        In the order of ids: two transactions that do so wait for each other.
        """
        return self._session.scalars(
            select(Person.id)
            .where(
                Person.state == state,
                Person.id.in_(
                    select(PersonRole.person_id).where(
                        PersonRole.role == role, PersonRole.tenant_id.is_(None)
                    )
                ),
            )
            .order_by(Person.id)
            .with_for_update()
        ).all()
