"""Delivery's one task."""

from __future__ import annotations

from uuid import UUID

from ascwebhooks.tasks.app import ServiceTask, task


@task()
def turn(self: ServiceTask, endpoint_ids: list[str]) -> None:
    """Serve these endpoints' mailboxes; running it twice, or never, is harmless."""
    self.turns.take([UUID(each) for each in endpoint_ids])
