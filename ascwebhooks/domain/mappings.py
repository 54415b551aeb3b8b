"""Mappings: from another gateway's records to events, as a file says.

A mapping names which field of a record is which field of an event.  Only fields of
the catalogue can be named, and each is read as what it is (``mapping_targets``).
"""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from ascwebhooks.domain.mapping_paths import Path
from ascwebhooks.domain.mapping_targets import READERS
from ascwebhooks.integrations import allowed
from ascwebhooks.integrations.allowed import NotMapped

Scalar = str | int | float | bool
#: Data's objects; every other name is a field of its own, dots and all.
_OBJECTS = ("scope", "cost")


class Rule(NamedTuple):
    """Where a value comes from, and how it is read.

    Args:
        paths: The first that leads to something counts.
        kind: One of ``mapping_targets.READERS``.
        times: What a number is multiplied by; None: nothing.
        values: Other words for what stands there.
        default: What it is if nothing stands there, or nothing that can be read.
    """

    paths: tuple[Path, ...]
    kind: str
    times: Decimal | None = None
    values: AnyMapping[str, Scalar] | None = None
    default: Scalar | None = None

    def read(self, record: Any) -> Any:
        """Return the value; None if there is none."""
        for path in self.paths:
            value = self._one(path.find(record))
            if value is not None:
                return value
        return self.default

    def _one(self, found: Any) -> Any:
        if found is None:
            return None
        if self.values is not None:
            return self.values.get(str(found))
        if self.times is not None:
            amount = allowed.money(found)
            found = None if amount is None else Decimal(amount) * self.times
        return READERS[self.kind](found)


class Condition(NamedTuple):
    """What has to stand somewhere; anything will do if ``one_of`` is None."""

    path: Path
    one_of: frozenset[str] | None = None

    def holds(self, record: Any) -> bool:
        """Return whether it does."""
        found = self.path.find(record)
        if self.one_of is None:
            return found is not None and found != ""
        return str(found) in self.one_of


class Choice(NamedTuple):
    """A type of event, and when it is that; always if there is no condition."""

    type: str
    condition: Condition | None = None


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """How one kind of gateway's records become events.

    Args:
        name: By which it is asked for.
        reads: How the records lie in a request: ``json`` or ``otlp``.
        items: Where the list of records stands in the request's body.
        only: What a record has to have; others are passed over.
        id: What makes an event's id, joined by ``:``.
        choices: The types of events; the first whose condition holds.
        attributes: ``source``, ``tenant``, ``time``, ``subject``, ``traceparent``.
        data: By the field's name.
    """

    name: str
    reads: str = "json"
    items: Path | None = None
    only: tuple[Condition, ...] = ()
    id: tuple[Path, ...]
    choices: tuple[Choice, ...]
    attributes: AnyMapping[str, Rule]
    data: AnyMapping[str, Rule] = field(default_factory=dict)

    def event(self, record: Any, tenant_id: str | None = None) -> dict[str, Any] | None:
        """Return a record as an event; None if it is passed over.

        Args:
            record: The gateway's.
            tenant_id: Whose it is, whatever the record says; None: as it says.

        Raises:
            NotMapped: If what every event needs is missing in it.
        """
        if not isinstance(record, AnyMapping):
            raise NotMapped("it is not a JSON object.")
        if not all(each.holds(record) for each in self.only):
            return None
        read = {name: rule.read(record) for name, rule in self.attributes.items()}
        tenant = tenant_id or read.get("tenant")
        if tenant is None:
            raise NotMapped("nothing in it says whose it is.")
        event = {
            "specversion": "1.0",
            "id": self._id(record),
            "source": read["source"],
            "type": self._type(record),
            "datacontenttype": "application/json",
            "tenantid": tenant,
            **{
                name: read[name]
                for name in ("time", "subject", "traceparent")
                if read.get(name) is not None
            },
        }
        return event | {"data": self._data(record)}

    def _id(self, record: Any) -> str:
        parts = [allowed.identifier(path.find(record)) for path in self.id]
        for path, part in zip(self.id, parts, strict=True):
            if part is None:
                raise NotMapped(f"{path.text}, which makes the id, is missing.")
        return ":".join(part for part in parts if part is not None)

    def _type(self, record: Any) -> str:
        for choice in self.choices:
            if choice.condition is None or choice.condition.holds(record):
                return choice.type
        raise NotMapped("it is none of the types that the mapping knows.")

    def _data(self, record: Any) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for name, rule in self.data.items():
            value = rule.read(record)
            holder, dot, inner = name.partition(".")
            if value is None:
                continue
            if dot and holder in _OBJECTS:
                data.setdefault(holder, {})[inner] = value
            else:
                data[name] = value
        if "amount" not in data.get("cost", {"amount": None}):
            del data["cost"]
        return data
