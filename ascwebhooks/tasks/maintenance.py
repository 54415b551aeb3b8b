"""What beat asks for."""

from __future__ import annotations

from ascwebhooks.tasks.app import ServiceTask, task


@task()
def ring_retries(self: ServiceTask) -> None:
    """Ring the endpoints whose retries have just fallen due."""
    self.services.maintenance.ring_retries()


@task()
def sweep(self: ServiceTask) -> None:
    """Ring whatever is due and served by nobody."""
    self.services.maintenance.sweep()


@task()
def end_the_rest(self: ServiceTask) -> None:
    """Dead-letter what is pending at endpoints that take no part any more."""
    self.services.endpoint_states.end_the_rest()


@task()
def keep_partitions(self: ServiceTask) -> None:
    """Make the days ahead and drop those past retention."""
    self.services.maintenance.keep_partitions()


@task()
def forget(self: ServiceTask) -> None:
    """Delete dedupe keys and rejected events that are past their time."""
    self.services.maintenance.forget()


@task()
def walk_replays(self: ServiceTask) -> None:
    """Reopen what running replays come to next."""
    self.services.walking.walk()


@task()
def sum_up(self: ServiceTask) -> None:
    """Sum up for tenants what was recorded of their endpoints."""
    self.services.statistics.sum_up()


@task()
def sum_up_hours(self: ServiceTask) -> None:
    """Sum up minutes to hours, and forget old ones."""
    self.services.statistics.sum_up_hours()


@task()
def sample_gauges(self: ServiceTask) -> None:
    """Write down how everything stands, once a minute."""
    self.services.gauge_samples.sample()


@task()
def keep_gauge_samples(self: ServiceTask) -> None:
    """Put minutes of samples together to hours, and forget old ones."""
    self.services.gauge_samples.keep()


@task()
def evaluate_rules(self: ServiceTask) -> None:
    """Open, repeat and resolve the incidents that are due."""
    self.services.incidents.evaluate()


@task()
def keep_usage(self: ServiceTask) -> None:
    """Move old minutes of usage into hours, and forget what is older still."""
    self.services.usage.keep()


@task()
def tell_notices(self: ServiceTask) -> None:
    """Make events of what happened to endpoints and deliveries."""
    self.services.notices.tell()


@task()
def disable_failing(self: ServiceTask) -> None:
    """Disable the endpoints that have failed for days."""
    self.services.endpoint_states.disable_failing()


@task()
def turn_budgets(self: ServiceTask) -> None:
    """Tell of budgets' periods that began and of limits that will be passed."""
    self.services.budget_turns.turn()
