"""Reading a request's body, up to a limit and no further."""

from __future__ import annotations

from flask import Request

from ascwebhooks.errors import PayloadTooLarge

#: What is not a batch of events is small.
MAX_BODY_BYTES = 256 * 1024


def read(request: Request, limit_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Return the body.

    One byte more than allowed is asked for: werkzeug cuts a body that is sent in
    chunks, without a length, at the limit and says nothing.

    Raises:
        PayloadTooLarge: If it is longer than the limit.
    """
    request.max_content_length = limit_bytes + 1
    body = request.get_data(cache=False)
    if len(body) > limit_bytes:
        raise PayloadTooLarge(f"the body is larger than {limit_bytes} bytes.")
    return body
