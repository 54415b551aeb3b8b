"""What a mapping may fill in: the catalogue's fields, and what each takes.

Free text is none of them, so no mapping can let a prompt or an answer through.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ascwebhooks.domain.event_fields import FIELDS
from ascwebhooks.integrations import allowed

_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII
)

Reader = Callable[[Any], Any]


def rfc3339(value: Any) -> str | None:
    """Return a time in UTC with milliseconds; None if it is no RFC 3339."""
    if not isinstance(value, str) or not _RFC3339.match(value):
        return None
    try:
        when = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def boolean(value: Any) -> bool | None:
    """Return a truth value; None if it is none."""
    return value if isinstance(value, bool) else None


#: How a value may be read: ``as`` in a mapping.
READERS: dict[str, Reader] = {
    "identifier": allowed.identifier,
    "model": allowed.model,
    "code": allowed.code,
    "route": allowed.route,
    "tags": allowed.tags,
    "count": allowed.count,
    "number": allowed.number,
    "money": allowed.money,
    "status": allowed.http_status,
    "boolean": boolean,
    "rfc3339": rfc3339,
    "unix_s": allowed.moment,
    "unix_ms": lambda value: allowed.moment(value, 1e-3),
    "unix_us": lambda value: allowed.moment(value, 1e-6),
    "unix_ns": lambda value: allowed.moment(value, 1e-9),
}
TIMES = frozenset({"rfc3339", "unix_s", "unix_ms", "unix_us", "unix_ns"})

_EXCEPTIONS = {
    "gen_ai.request.model": "model",
    "gen_ai.response.model": "model",
    "fallback_from": "model",
    "from_model": "model",
    "to_model": "model",
    "model": "model",
    "gen_ai.operation.name": "code",
    "gen_ai.provider.name": "code",
    "error.type": "code",
    "normalized_error": "code",
    "route": "route",
    "http_status": "status",
    "last_status": "status",
    "currency": "code",
}


def _usual(schema: dict[str, Any]) -> str | None:
    """Return how a field of this schema is read; None if it is an object."""
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if schema.get("format") == "date-time":
        return "rfc3339"
    by_type = {
        "integer": "count",
        "boolean": "boolean",
        "array": "tags",
        "object": None,
        "number": "money" if "string" in kinds else "number",
        "string": "identifier",
    }
    return next(by_type[kind] for kind in by_type if kind in kinds)


def _targets() -> dict[str, str]:
    found = {name: _usual(schema) for name, schema in FIELDS.items()}
    for name, schema in FIELDS["scope"]["properties"].items():
        found[f"scope.{name}"] = _usual(schema)
    found |= {"cost.amount": "money", "cost.currency": "code", **_EXCEPTIONS}
    return {name: kind for name, kind in found.items() if kind is not None}


#: By the name of a field: how it is read unless the mapping says otherwise.
TARGETS: dict[str, str] = _targets()
