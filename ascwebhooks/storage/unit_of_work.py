"""A transaction, and the repositories that work within it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

import structlog
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from ascwebhooks.domain.audit import SYSTEM, Actor
from ascwebhooks.errors import SearchTooLong, Unavailable
from ascwebhooks.storage.audit import AuditRepository
from ascwebhooks.storage.budget_spending import BudgetSpendRepository
from ascwebhooks.storage.budgets import BudgetRepository
from ascwebhooks.storage.claims import ClaimRepository
from ascwebhooks.storage.data_keys import DataKeyRepository
from ascwebhooks.storage.dead_letters import DeadLetterRepository
from ascwebhooks.storage.deliveries import DeliveryRepository
from ascwebhooks.storage.endpoints import EndpointRepository
from ascwebhooks.storage.events import EventRepository
from ascwebhooks.storage.gauge_samples import GaugeSampleRepository
from ascwebhooks.storage.gauges import GaugeRepository
from ascwebhooks.storage.idempotency import IdempotencyRepository
from ascwebhooks.storage.incidents import IncidentRepository
from ascwebhooks.storage.keys import ApiKeyRepository
from ascwebhooks.storage.mailboxes import MailboxRepository
from ascwebhooks.storage.notices import NoticeRepository
from ascwebhooks.storage.people import PersonRepository
from ascwebhooks.storage.portal_links import PortalLinkRepository
from ascwebhooks.storage.rejected_events import RejectedEventRepository
from ascwebhooks.storage.replay_results import ReplayResultRepository
from ascwebhooks.storage.replays import ReplayRepository
from ascwebhooks.storage.rollups import RollupRepository
from ascwebhooks.storage.rules import RuleRepository
from ascwebhooks.storage.sessions import SessionRepository
from ascwebhooks.storage.standings import StandingRepository
from ascwebhooks.storage.subscriptions import SubscriptionRepository
from ascwebhooks.storage.tenants import TenantRepository
from ascwebhooks.storage.throttles import ThrottleRepository
from ascwebhooks.storage.usage import UsageRepository
from ascwebhooks.storage.violations import ViolationRepository

log = structlog.get_logger()

_STATEMENT_STOPPED = "57014"

Sessions = Callable[[], Session]


def make_sessions(engine: Engine) -> Sessions:
    """Return what opens sessions; their rows stay readable after the commit."""
    return sessionmaker(engine, expire_on_commit=False)


class UnitOfWork:
    """A transaction that rolls back unless ``commit`` is called.

    ::

        with self._uow() as uow:
            uow.subscriptions.add(subscription)
            uow.after_commit(lambda: self._rings.ring(ids))
            uow.commit()

    Raises:
        Unavailable: From within the block, when the database is away.
        SearchTooLong: See ``search_within``.
    """

    def __init__(
        self,
        sessions: Sessions,
        before_commit: Callable[[Session], None] = lambda _: None,
        noticed: Callable[[], None] = lambda: None,
        actor: Callable[[], Actor] = lambda: SYSTEM,
    ) -> None:
        """Take the parts.

        Args:
            sessions: Opens the session.
            before_commit: Has the last word in each transaction.
            noticed: Called after a commit that left notices; returns at once.
            actor: Returns who acts, for the audit log.
        """
        self._sessions = sessions
        self._before_commit = before_commit
        self._noticed = noticed
        self._actor = actor
        self._hooks: list[Callable[[], None]] = []
        self._is_bounded = False

    def __enter__(self) -> Self:
        self._session = session = self._sessions()
        self.tenants = TenantRepository(session)
        self.endpoints = EndpointRepository(session)
        self.subscriptions = SubscriptionRepository(session)
        self.events = EventRepository(session)
        self.deliveries = DeliveryRepository(session)
        self.claims = ClaimRepository(session)
        self.mailboxes = MailboxRepository(session)
        self.notices = NoticeRepository(session)
        self.rejected_events = RejectedEventRepository(session)
        self.keys = ApiKeyRepository(session)
        self.data_keys = DataKeyRepository(session)
        self.replays = ReplayRepository(session)
        self.replay_results = ReplayResultRepository(session)
        self.dead_letters = DeadLetterRepository(session)
        self.gauges = GaugeRepository(session)
        self.gauge_samples = GaugeSampleRepository(session)
        self.rollups = RollupRepository(session)
        self.standings = StandingRepository(session)
        self.idempotency = IdempotencyRepository(session)
        self.people = PersonRepository(session)
        self.sessions = SessionRepository(session)
        self.portal_links = PortalLinkRepository(session)
        self.throttles = ThrottleRepository(session)
        self.budgets = BudgetRepository(session)
        self.budget_spending = BudgetSpendRepository(session)
        self.usage = UsageRepository(session)
        self.violations = ViolationRepository(session)
        self.rules = RuleRepository(session)
        self.incidents = IncidentRepository(session)
        self.audit = AuditRepository(session, self._actor)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            # Closing a session rolls back whatever was not committed.
            self._session.close()
        except DBAPIError as lost:
            if not is_away(lost):
                raise
            raise Unavailable("the database is away; try again.") from lost
        if self._is_bounded and _was_stopped(error):
            raise SearchTooLong(
                "there is too much to look through for this; narrow it by time or to"
                " an endpoint."
            ) from error
        if is_away(error):
            raise Unavailable("the database is away; try again.") from error

    def now(self) -> datetime:
        """Return PostgreSQL's clock: the one that due times and ids are made by."""
        row = self._session.execute(text("SELECT clock_timestamp()"))
        moment: datetime = row.scalar_one()
        return moment

    def forgo_durability(self) -> None:
        """Let this transaction's commit return before it is on disk.

        For leases alone: one that a crash of the server takes back is found
        missing by its holder, like any other that was lost.
        """
        self._session.execute(text("SET LOCAL synchronous_commit = off"))

    def search_within(self, limit: timedelta) -> None:
        """Let each statement from here on take so long, and the block fail if it does.

        Raises:
            SearchTooLong: From within the block.
        """
        ms = max(1, limit // timedelta(milliseconds=1))
        self._session.execute(text(f"SET LOCAL statement_timeout = {ms}"))
        self._is_bounded = True

    def flush(self) -> None:
        """Send what was added, so that a conflict is seen here."""
        self._session.flush()

    def after_commit(self, hook: Callable[[], None]) -> None:
        """Run ``hook`` after the commit, and not at all if there is none."""
        self._hooks.append(hook)

    def commit(self) -> None:
        """Commit, then run the hooks; a hook that fails is logged, not raised.

        What was recorded for the audit log is committed with the rest.

        The data is safe by then, and whatever a hook would have started the
        sweeper starts later.
        """
        self._before_commit(self._session)
        self.audit.write()
        self._session.commit()
        hooks, self._hooks = self._hooks, []
        if self.notices.added:
            hooks.append(self._noticed)
        for hook in hooks:
            try:
                hook()
            except Exception:
                log.exception("after_commit_failed")


def _was_stopped(error: BaseException | None) -> bool:
    state = getattr(error.orig, "pgcode", None) if isinstance(error, DBAPIError) else ""
    return state == _STATEMENT_STOPPED


def is_away(error: BaseException | None) -> bool:
    """Return whether an error says that the database cannot be reached now.

    Besides a lost connection: a server that starts or stops, has no connection
    left, or gave up on a lock or a deadlock, or a day whose partitions nobody has
    made yet.  The same call may succeed later.
    """
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "pgcode", None) or ""
    return (
        error.connection_invalidated
        or state[:2] in {"08", "53", "57"}
        or state in {"40P01", "40001", "55P03"}
        or (state == "23514" and "no partition of relation" in str(error.orig))
        or (not state and type(error.orig).__name__ in _AWAY)
    )


_AWAY = {"OperationalError", "InterfaceError"}


def is_bad_data(error: BaseException) -> bool:
    """Return whether the database refused a value, rather than the whole call."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "pgcode", None) or ""
        return type(error.orig).__name__ == "DataError" or state.startswith("22")
    # psycopg2 refuses this before it reaches the server.
    return isinstance(error, ValueError) and "NUL" in str(error)
