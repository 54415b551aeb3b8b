"""From the body of a request to the bytes of each event in it.

Whether an event is valid is decided where events from the stream are judged
too; here it is only found where each one begins and ends.
"""

from __future__ import annotations

import json
import re

import msgspec

from ascwebhooks.errors import PayloadTooLarge, UnreadableBody

MAX_EVENTS = 1_000
MAX_BYTES = 5 * 1024 * 1024

_BLANKS = b" \t\r\n"
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)

_one = msgspec.json.Decoder(msgspec.Raw)
_many = msgspec.json.Decoder(list[msgspec.Raw])


def one(body: bytes) -> list[bytes]:
    """Return the event that a body is, as it came.

    Raises:
        UnreadableBody: If it is not a JSON object.
    """
    if not body.lstrip(_BLANKS).startswith(b"{"):
        raise UnreadableBody("the body is not a CloudEvent, a JSON object.")
    return [value(body)]


def value(body: bytes) -> bytes:
    """Return the one JSON value that a body is, as it came.

    Nothing else can be in it: it may be put into an object as it is.

    Raises:
        UnreadableBody: If it is not one JSON value.
    """
    text = body.strip(_BLANKS)
    if not text:
        raise UnreadableBody("the body is empty.")
    try:
        _one.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        if len(_split(b"[%b]" % text)) != 1:
            raise UnreadableBody("the body is not JSON.") from error
    return text


def many(body: bytes) -> list[bytes]:
    """Return the bytes of each event in a batch, as they came.

    Raises:
        UnreadableBody: If it is not a JSON array.
        PayloadTooLarge: If there are more than 1,000.
    """
    text = body.strip(_BLANKS)
    if not (text.startswith(b"[") and text.endswith(b"]")):
        raise UnreadableBody("the body is not a batch of CloudEvents, a JSON array.")
    try:
        found = [bytes(each) for each in _many.decode(text)]
    except (msgspec.DecodeError, RecursionError):
        found = _split(text)
    if len(found) > MAX_EVENTS:
        raise PayloadTooLarge(f"{len(found)} events; at most {MAX_EVENTS} in a batch.")
    return found


def _split(text: bytes) -> list[bytes]:
    """Return the elements of an array by its brackets alone.

    For the batch that has in it what a strict decoder refuses as a whole: an
    event that is too deep, NaN, half a surrogate pair.  That event is to be
    rejected, and the others are not.

    Raises:
        UnreadableBody: If it is not JSON even then.
    """
    _check_syntax(text)
    depth, start, found = 0, 1, []
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in (b"[", b"{"):
            depth += 1
        elif mark in (b"]", b"}"):
            depth -= 1
        if depth == 0 or (depth == 1 and mark == b","):
            found.append(text[start : token.start()].strip(_BLANKS))
            start = token.end()
        if depth == 0:
            break
    if depth or text[start:]:
        raise UnreadableBody("the body is not JSON: its brackets do not match.")
    return found


def _check_syntax(text: bytes) -> None:
    try:
        json.loads(text.decode(errors="replace"), parse_int=str)
    except RecursionError:
        # Too deep to tell: then the brackets have to do.
        return
    except ValueError as error:
        raise UnreadableBody(f"the body is not JSON: {error}."[:300]) from error
