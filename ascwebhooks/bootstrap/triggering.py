"""What works out triggers: from signals to derived events."""

from __future__ import annotations

import os
from functools import cached_property
from importlib import resources

from ascwebhooks.bootstrap.foundations import Foundations
from ascwebhooks.domain.mappings import Mapping
from ascwebhooks.services import gateways
from ascwebhooks.services.batches import Writing
from ascwebhooks.services.budgets import Budgets
from ascwebhooks.services.charging import Charging
from ascwebhooks.services.deriving import Deriving
from ascwebhooks.services.incidents import Incidents
from ascwebhooks.services.observers import RuleObserver, UsageObserver
from ascwebhooks.services.rules import Rules
from ascwebhooks.services.triggers import Triggers
from ascwebhooks.services.usage import Usage
from ascwebhooks.settings import Settings


class Triggering(Foundations):
    """Its parts in one process, each made when it is first asked for."""

    def __init__(self, settings: Settings) -> None:
        """Check what nothing works without.

        Raises:
            SettingsInvalid: If a setting is missing, or a mapping is wrong.
        """
        super().__init__(settings)
        own = resources.files("ascwebhooks.domain").joinpath("otel.yaml").read_text()
        self.mappings: dict[str, Mapping] = gateways.load(settings.mappings_dir, own)

    @cached_property
    def writing(self) -> Writing:
        """What accepting writes with, and what looks at signals on the way."""
        rules = RuleObserver(os.urandom, defaults=self.settings.default_rules)
        return Writing(
            self.sealing,
            os.urandom,
            Triggers([Charging(), UsageObserver(), rules]),
            keep_signals=self.settings.keep_signals == "all",
        )

    @cached_property
    def deriving(self) -> Deriving:
        """What accepts derived events in a transaction of the caller's."""
        return Deriving(self.writing, ring=self.rings.ring, metrics=self.metrics)

    @cached_property
    def budgets(self) -> Budgets:
        """Budgets, and what they come to."""
        return Budgets(self.uow, self.deriving, os.urandom)

    def rules(self) -> Rules:
        """Return what changes rules."""
        return Rules(self.uow, os.urandom, defaults=self.settings.default_rules)

    def incidents(self) -> Incidents:
        """Return what opens and resolves incidents."""
        return Incidents(
            self.uow,
            self.deriving.derive,
            os.urandom,
            defaults=self.settings.default_rules,
        )

    def usage(self) -> Usage:
        """Return what was used, over time."""
        return Usage(self.uow, incidents_kept=self.retention)
