"""Gunicorn for the web process; where it listens is said on the command line.

``ascwebhooks web`` needs no file: it says the same in ``web/server.py``.
"""

from __future__ import annotations

import os

# Requests wait for PostgreSQL, not for this process: threads are enough, and a
# second process is there for a second core.
worker_class = "gthread"
workers = min(2, os.cpu_count() or 1)
threads = 8

# A deployment waits this long for requests that are being answered.
graceful_timeout = 20
timeout = 60

# The application writes a line for each request; gunicorn's would hold query strings.
accesslog = None
# The application logs JSON by itself; gunicorn speaks up when something is wrong.
loglevel = "warning"
proc_name = "ascwebhooks-web"
