"""Which guardrail raised an error, told by where the error comes from.

A guardrail of one's own may raise whatever it likes and leave no word in LiteLLM's
record, which then says "not_run".  The traceback knows: one of its frames is a method
of an object that is a guardrail.
"""

from __future__ import annotations

from typing import NamedTuple

from ascwebhooks.integrations import allowed

_MOST_FRAMES = 200


class Raised(NamedTuple):
    """A guardrail that raised; ``on_purpose`` if it refused, else it broke."""

    name: str
    on_purpose: bool


def raised_by(error: object) -> Raised | None:
    """Return which guardrail raised an error; None if none did."""
    if not isinstance(error, BaseException):
        return None
    name = _named(error)
    trace, left = error.__traceback__, _MOST_FRAMES
    while name is None and trace is not None and left:
        name = _named(trace.tb_frame.f_locals.get("self"))
        trace, left = trace.tb_next, left - 1
    return None if name is None else Raised(name, _refuses(error))


def _named(owner: object) -> str | None:
    # In the instance's own dict: nothing of a stranger's is run for this.
    given = getattr(owner, "__dict__", {}).get("guardrail_name")
    return allowed.identifier(given)


def _refuses(error: BaseException) -> bool:
    """Return whether it is an answer to the client and no accident."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return 400 <= status < 500
    return type(error).__module__.partition(".")[0] in ("litellm", "fastapi")
