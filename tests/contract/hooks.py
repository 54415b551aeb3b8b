"""What schemathesis loads: a check of our own, and cases that reach further."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import schemathesis

#: Gunicorn answers a request line of 4,095 bytes itself, before there is an API.
_LONGEST_QUERY = 3_000


@schemathesis.check
def status_is_listed(ctx: Any, response: Any, case: Any) -> None:
    """Fail unless the operation lists the very status that it was answered with.

    Schemathesis's own check is content with ``default``, which every operation has.
    """
    if case.method.upper() != case.operation.method.upper():
        return  # another method was tried, on purpose
    listed = case.operation.definition.raw["responses"]
    assert str(response.status_code) in listed, (
        f"{response.status_code} is not among {', '.join(listed)}"
    )


@schemathesis.hook
def before_call(ctx: Any, case: Any, kwargs: Any) -> None:
    """Leave out a made-up cursor beside other parameters, where all should be taken.

    No list has handed it out, so all that is beside it would never be looked at.
    """
    positive = case.meta is not None and case.meta.generation.mode.is_positive
    if positive and case.query and "cursor" in case.query and len(case.query) > 1:
        del case.query["cursor"]


@schemathesis.hook
def filter_case(ctx: Any, case: Any) -> bool:
    """Leave out what the HTTP server would not hand on."""
    return len(urlencode(case.query or {}, doseq=True)) <= _LONGEST_QUERY
