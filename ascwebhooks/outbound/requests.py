"""What is sent: a request, and the job that stands for one attempt at it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
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


class MalformedRequestError(Exception):
    """A request that could be read as two, or as none; it is not sent."""


@dataclass(frozen=True)
class Destination:
    """What all requests to an endpoint have in common.

    ``url`` was parsed and normalised by ``domain.urls``, ``host`` (IPv6 without
    brackets) and ``port`` are the ones in it.  ``headers`` are ``name: value``
    lines.  ``timeout`` is one deadline for everything from resolving to the last
    byte.  ``pool`` is whom the resolver's fairness counts for: the tenant.
    ``allow_http`` is the setting of now: the URL may be from before.
    """

    url: str
    host: str
    port: int
    headers: Sequence[str]
    timeout: timedelta
    pool: str
    allow_http: bool = True

    @cached_property
    def wire_headers(self) -> list[str]:
        """The header lines as libcurl wants them, looked at once for all requests.

        Raises:
            MalformedRequestError: If the URL or a header could split a request, or if
                the request would be readable by all on its way, and may not be.
        """
        if not _URL.fullmatch(self.url):
            raise MalformedRequestError("the URL is malformed")
        if not self.allow_http and not self.url.startswith("https:"):
            raise MalformedRequestError(
                "plain http is switched off here: give the endpoint an https URL, or"
                " set ASCWEBHOOKS_ALLOW_HTTP"
            )
        return _wire_lines(self.headers)


class Request(msgspec.Struct, frozen=True):
    """One POST, complete but for the address it goes to.

    ``headers`` are the ``name: value`` lines that it has of its own.
    """

    to: Destination
    headers: Sequence[str]
    body: bytes


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
    lines = [*request.to.wire_headers, *_wire_lines(request.headers)]
    if len(request.body) >= _EXPECT_BYTES:
        lines.append("Expect:")
    return lines


def _wire_lines(lines: Sequence[str]) -> list[str]:
    text = "\n".join([*lines, ""])
    if text.count("\n") != len(lines):
        raise MalformedRequestError("a header holds a line break")
    if _PLAIN.fullmatch(text):
        return [*lines]
    if not _LINES.fullmatch(text):
        raise MalformedRequestError("a header is malformed")
    return [_spell_empty(line) for line in lines]


def _spell_empty(line: str) -> str:
    # libcurl takes "name:" for "do not send this header".
    name, _, value = line.partition(":")
    return line if value.strip(" \t") else f"{name};"
