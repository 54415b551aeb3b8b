"""Gunicorn, started from within: one process of threads behind its arbiter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication


class _Server(BaseApplication):
    def __init__(self, make_app: Callable[[], Flask], options: dict[str, Any]) -> None:
        self._make_app = make_app
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self._make_app()


def serve(make_app: Callable[[], Flask], bind: str) -> None:
    """Serve until told to stop.

    Args:
        make_app: Called in each worker process, after the fork.
        bind: ``host:port``.
    """
    options = {
        "bind": bind,
        "worker_class": "gthread",
        "workers": 1,
        "threads": 8,
        "graceful_timeout": 20,
        "timeout": 60,
        "accesslog": None,
        "loglevel": "warning",
        "proc_name": "ascwebhooks-web",
    }
    _Server(make_app, options).run()
