"""Reading a request's body, up to a limit and no further."""

from __future__ import annotations

import zlib

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from ascwebhooks.errors import PayloadTooLarge, UnreadableBody

#: What is not a batch of events is small.
MAX_BODY_BYTES = 256 * 1024

_GZIP_WINDOW = 31  # zlib's largest window, with gzip's header


def read(request: Request, limit_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Return the body.

    One byte more than allowed is asked for: werkzeug cuts a body that is sent in
    chunks, without a length, at the limit and says nothing.

    Raises:
        PayloadTooLarge: If it is longer than the limit.
    """
    too_large = PayloadTooLarge(f"the body is larger than {limit_bytes:,} bytes.")
    request.max_content_length = limit_bytes + 1
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge as error:
        raise too_large from error
    if len(body) > limit_bytes:
        raise too_large
    return body


def unpacked(request: Request, limit_bytes: int) -> bytes:
    """Return the body, unpacked if it came packed; the limit is for both.

    Raises:
        PayloadTooLarge: If it is longer than the limit.
        UnreadableBody: If it is not what its encoding says.
        UnsupportedMediaType: If it is packed in another way than gzip.
    """
    body = read(request, limit_bytes)
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "identity":
        return body
    if encoding != "gzip":
        raise UnsupportedMediaType
    unpacker = zlib.decompressobj(_GZIP_WINDOW)
    try:
        found = unpacker.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise UnreadableBody("the body is not gzip's.") from error
    if len(found) > limit_bytes:
        raise PayloadTooLarge(f"the body has more than {limit_bytes} bytes unpacked.")
    if not unpacker.eof:
        raise UnreadableBody("the body is cut off.")
    return found
