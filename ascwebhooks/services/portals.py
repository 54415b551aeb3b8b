"""Portal links: a tenant's part of the pages for whoever opens a link, once."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from ascwebhooks.domain import ids
from ascwebhooks.domain.audit import Actor, ActorKind
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.people import ROLES
from ascwebhooks.errors import InvalidInput, PortalLinkOver
from ascwebhooks.services import acting
from ascwebhooks.services.sessions import Sessions
from ascwebhooks.services.tenants import find_tenant
from ascwebhooks.storage.accounts import PortalLink
from ascwebhooks.storage.models import Tenant
from ascwebhooks.storage.unit_of_work import UnitOfWork

log = structlog.get_logger()

LIFE = timedelta(minutes=5)
LONGEST_LIFE = timedelta(hours=1)
_TOKEN_BYTES = 32


class Portals:
    """Use cases of portal links."""

    def __init__(
        self,
        uow: Callable[[], UnitOfWork],
        entropy: Callable[[int], bytes],
        sessions: Sessions,
        *,
        lasts: timedelta,
    ) -> None:
        """Take the parts.

        Args:
            uow: Opens a transaction.
            entropy: Returns random bytes.
            sessions: Where sessions are opened.
            lasts: How long a visit lasts.
        """
        self._uow = uow
        self._entropy = entropy
        self._sessions = sessions
        self._lasts = lasts

    def create_link(
        self, tenant_id: str, *, role: Role = Role.VIEWER, expires_in: timedelta = LIFE
    ) -> tuple[PortalLink, str]:
        """Create a link; return its row and its token, in clear for this once.

        Raises:
            NotFound: If there is no such tenant.
            InvalidInput: If the role is not one of people's, or the time too long.
        """
        if role not in ROLES:
            raise InvalidInput(f"a role is one of {', '.join(ROLES)}.", field="role")
        if not timedelta(0) < expires_in <= LONGEST_LIFE:
            longest = int(LONGEST_LIFE.total_seconds())
            raise InvalidInput(f"1 to {longest} seconds.", field="expires_in_s")
        token = base64.urlsafe_b64encode(self._entropy(_TOKEN_BYTES)).rstrip(b"=")
        with self._uow() as uow:
            find_tenant(uow, tenant_id)
            now = uow.now()
            row = PortalLink(
                tenant_id=tenant_id,
                id=ids.uuid7(int(now.timestamp() * 1000), self._entropy(10)),
                digest=_digest(token.decode()),
                role=role,
                created_by=acting.current().id,
                created_at=now,
                expires_at=now + expires_in,
            )
            uow.portal_links.add(row)
            uow.audit.record(
                "portal_link.created",
                Kind.PORTAL_LINK,
                row.id,
                tenant_id=tenant_id,
                role=role,
                expires_at=row.expires_at,
            )
            uow.commit()
        log.info("portal_link_created", tenant_id=tenant_id, role=role)
        return row, token.decode()

    def look(self, token: str) -> Tenant:
        """Return the tenant that a link opens; looking does not use it up.

        Raises:
            PortalLinkOver: If it is unknown, used or too old.
        """
        with self._uow() as uow:
            row = _check(uow.portal_links.by_digest(_digest(token)), uow.now())
            return find_tenant(uow, row.tenant_id)

    def open(
        self, token: str, *, address: str, request_id: str, former: str | None = None
    ) -> tuple[str, str]:
        """Exchange a link for a session; return the tenant and the session's token.

        Args:
            token: The link's.
            address: Where the request comes from.
            request_id: The request's.
            former: The token of a session of this browser, which ends.

        Raises:
            PortalLinkOver: If it is unknown, used or too old.
            NotFound: If the tenant was deleted meanwhile.
        """
        with self._uow() as uow:
            now = uow.now()
            found = uow.portal_links.by_digest(_digest(token), lock=True)
            row = _check(found, now)
            tenant = find_tenant(uow, row.tenant_id)
            row.used_at = now
            opened = self._sessions.open_portal(uow, row, self._lasts)
            if former is not None:
                self._sessions.end(uow, former)
            shown = ids.show(Kind.PORTAL_LINK, row.id)
            uow.audit.record(
                "session.opened",
                Kind.PORTAL_LINK,
                row.id,
                tenant_id=row.tenant_id,
                actor=Actor(ActorKind.PORTAL, shown, tenant.name, address, request_id),
                how="portal link",
                role=row.role,
            )
            uow.commit()
        log.info("portal_opened", tenant_id=row.tenant_id, link_id=shown)
        return row.tenant_id, opened


def _check(row: PortalLink | None, now: datetime) -> PortalLink:
    if row is None:
        raise PortalLinkOver("this link is not one of ours, or only a part of one.")
    if row.used_at is not None:
        raise PortalLinkOver("this link has been used; each opens once.")
    if row.expires_at <= now:
        raise PortalLinkOver("this link has expired.")
    return row


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
