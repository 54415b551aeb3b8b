"""What schemathesis loads: a check of our own.

Its own check of statuses is content with ``default``, which every operation has.
"""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.check
def status_is_listed(ctx: Any, response: Any, case: Any) -> None:
    """Fail unless the operation lists the very status that it was answered with."""
    if case.method.upper() != case.operation.method.upper():
        return  # another method was tried, on purpose
    listed = case.operation.definition.raw["responses"]
    assert str(response.status_code) in listed, (
        f"{response.status_code} is not among {', '.join(listed)}"
    )
