"""From the body of a request to a gateway's records; nothing of it is ever quoted."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from ascwebhooks.domain.mapping_paths import Path
from ascwebhooks.errors import PayloadTooLarge, UnreadableBody

MAX_RECORDS = 1_000
#: Records carry prompts and answers, which do not go further than this.
MAX_BYTES = 32 * 1024 * 1024

_BLANKS = b" \t\r\n"


class Unreadable:
    """A record that is not JSON, among others that are."""


#: Numbers as they were written, and NaN, which Python's gateways write, as it is.
_decode = json.JSONDecoder(parse_float=Decimal).decode


def read(body: bytes, items: Path | None = None) -> list[Any]:
    """Return the records in a body: a list of them, one, or one in each line.

    Args:
        body: JSON, or JSON Lines.
        items: Where in the body the list stands; None: it is the body.

    Raises:
        UnreadableBody: If it is neither.
        PayloadTooLarge: If there are more than 1,000.
    """
    found = _records(body) if items is None else items.find(value(body))
    if found is None:
        raise UnreadableBody("the body has no records where the mapping looks.")
    records = found if isinstance(found, list) else [found]
    if len(records) > MAX_RECORDS:
        raise PayloadTooLarge(f"{len(records)} records; at most {MAX_RECORDS}.")
    return records


def value(body: bytes) -> Any:
    """Return the one JSON value that a body is.

    Raises:
        UnreadableBody: If it is none.
    """
    try:
        return _decode(body.decode())
    except (ValueError, RecursionError) as error:
        raise UnreadableBody("the body is not JSON.") from error


def _records(body: bytes) -> Any:
    try:
        return value(body)
    except UnreadableBody:
        lines = [line for line in body.strip(_BLANKS).splitlines() if line.strip()]
        if len(lines) < 2:
            raise
    return [_line(each) for each in lines]


def _line(line: bytes) -> Any:
    try:
        return value(line)
    except UnreadableBody:
        return Unreadable()
