"""People and their sessions, and the audit log's chain, without pages."""

from __future__ import annotations

import pytest

from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import Grant
from ascwebhooks.errors import NotAuthenticated

PASSWORD = "correct horse battery"


def test_the_first_administrator_is_made_once(pipeline):
    person, password = pipeline.services.people.first_admin()
    assert pipeline.services.people.first_admin() is None
    sessions = pipeline.services.sessions
    token = sessions.log_in("ADMIN", password, address="127.0.0.1")
    assert sessions.recognise(token).login == person.login == "admin"


def test_a_wrong_password_opens_nothing(pipeline):
    grants = [Grant(Role.VIEWER, "acme")]
    pipeline.services.people.create("ann", grants=grants, password=PASSWORD)
    with pytest.raises(NotAuthenticated):
        pipeline.services.sessions.log_in("ann", "wrong", address="127.0.0.1")
