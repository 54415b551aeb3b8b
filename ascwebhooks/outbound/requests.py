"""What is sent: a request, and the job that stands for one attempt at it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from ascwebhooks.domain.deliveries import Outcome

#: What a line that is sent may hold.  libcurl would send CR and LF as they are.
_LINES = re.compile(r"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\x20-\x7e\t]*\n)*")
_URL = re.compile(r"https?://[\x21-\x7e]+")

#: libcurl takes "name:" for "do not send this header" and "name;" for an empty one.
_EMPTY_VALUE = re.compile(r":[ \t]*\n")

#: From this size on libcurl would ask for "100 Continue" first.
_EXPECT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One POST, complete but for the address it goes to.

    ``url`` was parsed and normalised by ``domain.urls``, ``host`` (IPv6 without
    brackets) and ``port`` are the ones in it.  ``headers`` are ``name: value``
    lines.  ``timeout`` is one deadline for everything from resolving to the last
    byte.  ``pool`` is whom the resolver's fairness counts for: the tenant.
    """

    url: str
    host: str
    port: int
    headers: list[str]
    body: bytes
    timeout: timedelta
    pool: str


class Job(Protocol):
    """One attempt that is to be made; both methods run in the loop's thread."""

    def prepare(self) -> Request:
        """Return the request; called just before it goes out: sign here."""
        ...

    def done(self, outcome: Outcome) -> None:
        """Take note of what came of it; must be quick and must not raise."""
        ...


def wire_headers(request: Request) -> list[str]:
    """Return the header lines as libcurl wants them.

    The fields were validated when the endpoint was saved; this is the second
    lock on the same door.

    Raises:
        ValueError: If the URL or a header holds what could split the request.
    """
    lines = request.headers
    text = "\n".join(lines) + "\n" if lines else ""
    if not _LINES.fullmatch(text) or text.count("\n") != len(lines):
        raise ValueError("a header line is malformed")
    if not _URL.fullmatch(request.url):
        raise ValueError("the URL is malformed")
    if _EMPTY_VALUE.search(text):
        lines = [_spell_empty(line) for line in lines]
    if len(request.body) >= _EXPECT_BYTES:
        lines = [*lines, "Expect:"]
    return lines


def _spell_empty(line: str) -> str:
    name, _, value = line.partition(":")
    return line if value.strip(" \t") else f"{name};"
