"""nginx as the receiver: fast enough not to be what is measured."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.request import urlopen

from ascwebhooks.embedded.processes import Program, spawn, stop
from tests.bench.failures import BenchFailed

_MISSING = (
    "the benchmark needs nginx as a receiver, and there is none: "
    "apt-get install nginx-light (Debian, Ubuntu), or put nginx on the PATH."
)
_CONFIG = """
worker_processes 1;
daemon off;
master_process on;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_timeout 600s;
  keepalive_requests 100000000;
  client_max_body_size 2m;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ return 204; }}
    location = /nginx-status {{ stub_status; }}
  }}
}}
"""
_START_TIMEOUT_S = 10.0


class Nginx:
    """A running nginx that answers everything with 204 and counts it."""

    def __init__(self, folder: Path) -> None:
        """Raise BenchFailed if there is no nginx."""
        program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        program = program or shutil.which("nginx")
        if program is None:
            raise BenchFailed(_MISSING)
        self.program = program
        self._folder = folder
        self._port = _free_port()
        self._asked = 0

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        config = self._folder / "nginx.conf"
        config.write_text(_CONFIG.format(folder=self._folder, port=self._port))
        argv = (self.program, "-p", str(self._folder), "-c", str(config))
        with (self._folder / "nginx.log").open("wb") as log:
            self._process = spawn(Program(name="nginx", argv=argv), log)
        self._wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        stop(self._process, signal.SIGTERM, 5)

    @property
    def pid(self) -> int:
        """The master process."""
        return self._process.pid

    def url(self, path: str = "") -> str:
        """Return a URL on it."""
        return f"http://127.0.0.1:{self._port}/{path}"

    def requests(self) -> int:
        """Return how many requests it has answered, not counting this question."""
        with urlopen(self.url("nginx-status"), timeout=5) as answer:
            text = answer.read().decode()
        self._asked += 1
        found = re.search(r"^ (\d+) (\d+) (\d+)", text, re.MULTILINE)
        if found is None:
            raise BenchFailed(f"nginx's status is not understood:\n{text}")
        return int(found[3]) - self._asked

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
                return
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    said = (self._folder / "nginx.log").read_text()
                    raise BenchFailed(f"nginx did not start:\n{said}") from error
                time.sleep(0.02)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
