"""How fields with a fixed choice are described: each choice once, under its name."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from apispec import APISpec
from marshmallow import fields

from ascwebhooks.domain.budgets import Basis, Enforcement, ScopeType
from ascwebhooks.domain.deliveries import Status
from ascwebhooks.domain.explanations import Result
from ascwebhooks.domain.formats import Format
from ascwebhooks.domain.keys import Role
from ascwebhooks.domain.signing import Scheme

#: Names that tell more than those of the code, which stand in a module of their own.
_NAMES: dict[type[StrEnum], str] = {
    Status: "DeliveryStatus",
    Basis: "AlertBasis",
    Enforcement: "BudgetEnforcement",
    ScopeType: "BudgetScopeType",
    Result: "ExplanationOutcome",
    Format: "EndpointFormat",
    Role: "KeyRole",
    Scheme: "SignatureScheme",
}


def describe(spec: APISpec, field: fields.Field[Any], found: dict[str, Any]) -> None:
    """Let a field's description refer to its choice, if it is a whole enumeration.

    Args:
        spec: Where the choice is described.
        field: The field.
        found: Its description, changed in place.
    """
    kind = _kind(field, found)
    if kind is None:
        return
    name = _NAMES.get(kind, kind.__name__)
    if name not in spec.components.schemas:
        choice = {"type": "string", "enum": [each.value for each in kind]}
        spec.components.schema(name, choice)
    refer = {"$ref": f"#/components/schemas/{name}"}
    nullable = None in found.pop("enum")
    found.pop("type", None)
    if nullable:
        found["anyOf"] = [refer, {"type": "null"}]
    elif found:
        found["allOf"] = [refer]
    else:
        found.update(refer)


def _kind(field: fields.Field[Any], found: dict[str, Any]) -> type[StrEnum] | None:
    members = [each for each in found.get("enum", ()) if each is not None]
    if isinstance(field, fields.Enum):
        kind = field.enum
    else:
        kind = type(members[0]) if members else str
    if issubclass(kind, StrEnum) and set(members) == set(kind):
        return kind
    return None
