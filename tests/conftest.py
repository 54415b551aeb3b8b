"""Fixtures that every kind of test may use."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

pytest_plugins = [
    "tests.integration.engines",
    "tests.integration.pipeline",
    "tests.integration.apis",
    "tests.integration.commands",
    "tests.integration.visitors",
]

# A shell that starts a job in the background has it ignore Ctrl-C, and so would every
# process that a test starts and stops by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says more about what else the machine does.
settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("untimed")
