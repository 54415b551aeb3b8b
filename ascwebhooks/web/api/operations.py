"""What every operation's description says without being told: its name, its refusals.

Client generators make functions of the names, and types of what each status has.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from apispec import BasePlugin

from ascwebhooks.domain.keys import ALLOWED, Permission, Role
from ascwebhooks.web.access import API_PREFIX

_TENANTS = "/tenants/{tenant_id}"
_VERBS = {"get": "get", "post": "create", "patch": "update", "delete": "delete"}
_CHANGES = frozenset({"post", "patch", "delete"})
_NOT_MODIFIED = {"description": "It is still what `If-None-Match` names; no body."}


class Operations(BasePlugin):
    """Names operations, and describes with which statuses they may refuse."""

    def operation_helper(
        self,
        path: str | None = None,
        operations: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Complete the operations of a path."""
        for method, operation in (operations or {}).items():
            operation.setdefault("operationId", name(method, path or ""))
            operation["description"] = _description(operation)
            described = operation.get("responses", {})
            responses = {str(status): each for status, each in described.items()}
            for status in _refusals(method, operation):
                responses.setdefault(str(status.value), status.name)
            if "If-None-Match" in _headers(operation):
                responses.setdefault("304", _NOT_MODIFIED)
            operation["responses"] = dict(sorted(responses.items()))


def name(method: str, path: str) -> str:
    """Return what an operation is called: ``list_endpoints``, ``pause_endpoint``.

    Args:
        method: In lower case.
        path: As OpenAPI spells it, below ``/api/v1``.
    """
    below = path.removeprefix(API_PREFIX)
    if below.startswith(_TENANTS + "/"):
        below = below.removeprefix(_TENANTS)
    parts = [each.replace("-", "_") for each in below.strip("/").split("/")]
    nouns, *rest = parts
    item = bool(rest) and rest[0].startswith("{")
    noun = _singular(nouns) if item or (method == "post" and not rest) else nouns
    action = next((each for each in rest if not each.startswith("{")), None)
    if action is not None:
        verb, _, object_ = action.partition("_")
        return "_".join(filter(None, (verb, noun, object_)))
    verb = "list" if method == "get" and not item else _VERBS[method]
    return f"{verb}_{noun}"


def _singular(noun: str) -> str:
    return re.sub(r"ies\Z", "y", noun) if noun.endswith("ies") else noun[:-1]


def _description(operation: dict[str, Any]) -> str:
    """Return what an operation's docstring says below its summary, and who may."""
    needed = Permission(operation["x-permission"])
    roles = (f"`{role}`" for role in Role if needed in ALLOWED[role])
    who = f"For keys with the role {' or '.join(roles)}."
    return "\n\n".join(filter(None, (operation.get("description"), who)))


def _refusals(method: str, operation: dict[str, Any]) -> list[HTTPStatus]:
    # 404 is also what a tenant's key gets that names another tenant in a body.
    found = [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND]
    headers = _headers(operation)
    if method in _CHANGES:
        found.append(HTTPStatus.CONFLICT)
    if "If-Match" in headers:
        found.append(HTTPStatus.PRECONDITION_FAILED)
    if "Idempotency-Key" in headers:
        found.append(HTTPStatus.UNPROCESSABLE_ENTITY)
    if "requestBody" in operation:
        found += [
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
        ]
    return found


def _headers(operation: dict[str, Any]) -> set[str]:
    parameters = operation.get("parameters", [])
    return {each["name"] for each in parameters if each.get("in") == "header"}
