"""What is sent: a request, and the job that stands for one attempt at it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Protocol

import msgspec

from ascwebhooks.domain.deliveries import Outcome

#: Lines that can be sent as they are; libcurl would send CR and LF, too.
_PLAIN = re.compile(
    r"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]*[\x21-\x7e][\x20-\x7e\t]*\n)*"
)
#: The same, with values that may be empty.
_LINES = re.compile(r"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\x20-\x7e\t]*\n)*")
_URL = re.compile(r"https?://[\x21-\x7e]+")

#: From this size on libcurl would ask for "100 Continue" first.
_EXPECT_BYTES = 1024 * 1024


class Request(msgspec.Struct, frozen=True):
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


class MalformedRequestError(Exception):
    """A request that could be read as two, or as none; it is not sent."""


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
        MalformedRequestError: If the URL or a header could split the request.
    """
    lines = request.headers
    text = "\n".join(lines) + "\n" if lines else ""
    if text.count("\n") != len(lines):
        raise MalformedRequestError("a header holds a line break")
    if not _PLAIN.fullmatch(text):
        if not _LINES.fullmatch(text):
            raise MalformedRequestError("a header is malformed")
        lines = [_spell_empty(line) for line in lines]
    if not _URL.fullmatch(request.url):
        raise MalformedRequestError("the URL is malformed")
    if len(request.body) >= _EXPECT_BYTES:
        lines = [*lines, "Expect:"]
    return lines


def _spell_empty(line: str) -> str:
    # libcurl takes "name:" for "do not send this header".
    name, _, value = line.partition(":")
    return line if value.strip(" \t") else f"{name};"
