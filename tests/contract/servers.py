"""The product's own web server on the loopback address, for clients of all kinds.

No worker runs beside it, so nothing is ever delivered, whatever clients create.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ascwebhooks import bootstrap, settings
from ascwebhooks.domain.keys import Role
from ascwebhooks.embedded import ports
from ascwebhooks.embedded.processes import Program, spawn, stop
from ascwebhooks.services.container import Services
from tests.waiting import wait_until

_MAIN = "from ascwebhooks.bootstrap import main; main()"


class Server:
    """``ascwebhooks web`` as a process, and the services to look behind it."""

    def __init__(self, url: str, services: Services, log: Path) -> None:
        self.url = url
        self.services = services
        self._log = log

    @property
    def document_url(self) -> str:
        return f"{self.url}/api/v1/openapi.json"

    def key(self, role: Role, tenant_id: str | None = None) -> str:
        """Return a new key, the platform's unless a tenant is named."""
        return self.services.keys.create(role, tenant_id=tenant_id)[1]

    def answered(self) -> Counter[int]:
        """Return how often each status was answered, below /api."""
        lines = [each for each in self._lines() if "request_served" in each]
        return Counter(json.loads(each)["status"] for each in lines)

    def faults(self) -> list[str]:
        """Return the lines in which the server logged what nobody foresaw."""
        return [each for each in self._lines() if "request_failed" in each]

    def _lines(self) -> list[str]:
        return self._log.read_text().splitlines()


@contextmanager
def serving(database_url: str, redis_url: str, folder: Path) -> Iterator[Server]:
    """A server on these engines, with settings as they are by default."""
    bind = f"{ports.HOST}:{ports.choose()}"
    env = {
        **os.environ,
        "ASCWEBHOOKS_DATABASE_URL": database_url,
        "ASCWEBHOOKS_REDIS_URL": redis_url,
        "ASCWEBHOOKS_ENCRYPTION_KEYS": "k1:" + base64.b64encode(bytes(32)).decode(),
        "ASCWEBHOOKS_HOME_DIR": str(folder),
        "ASCWEBHOOKS_BIND": bind,
    }
    services = bootstrap.build(settings.read(env))
    log = folder / "web.log"
    with log.open("wb") as output:
        argv = (sys.executable, "-c", _MAIN, "web")
        process = spawn(Program(name="web", argv=argv, env=env), output)
    try:
        wait_until(lambda: ports.answers(bind, "/readyz"), 30, "the server is ready")
        yield Server(f"http://{bind}", services, log)
    finally:
        stop(process, signal.SIGTERM, 30)
        services.close()
