"""From a file of YAML to a mapping; whatever is wrong is named by line and key."""

from __future__ import annotations

import re
from decimal import Decimal, DecimalException
from typing import Any

from ascwebhooks.domain import mapping_paths, yaml_files
from ascwebhooks.domain.mapping_paths import Path
from ascwebhooks.domain.mapping_targets import READERS, TARGETS, TIMES
from ascwebhooks.domain.mappings import Choice, Condition, Mapping, Rule, Scalar
from ascwebhooks.domain.yaml_files import BadFile, Node
from ascwebhooks.errors import MappingInvalid

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}\Z")
#: Names that the API has routes of its own for.
TAKEN = frozenset({"litellm"})

_KEYS = frozenset(
    {
        "reads",
        "items",
        "only",
        "id",
        "type",
        "source",
        "tenant",
        "time",
        "subject",
        "traceparent",
        "data",
    }
)
_RULE_KEYS = frozenset({"from", "value", "default", "as", "times", "values"})
_READS = ("json", "otlp")
_TYPE = re.compile(r"[!-)+-~]{1,128}\Z")
_NUMBERS = frozenset({"number", "count", "money"})


def load(name: str, text: str, *, file: str) -> Mapping:
    """Return the mapping that a file describes.

    Args:
        name: By which it will be asked for.
        text: What the file says.
        file: How the file is called in a message.

    Raises:
        MappingInvalid: If it is wrong; the message has file, line and key.
    """
    try:
        if not NAME.match(name) or name in TAKEN:
            raise BadFile(
                1, "", f"{name!r} is no name for a mapping; a-z, 0-9 and '-' make one."
            )
        return _mapping(name, yaml_files.read(text))
    except BadFile as error:
        raise MappingInvalid(f"{file}, {error}") from error


def _mapping(name: str, root: Node) -> Mapping:
    keys = _object(root, _KEYS)
    for each in ("id", "type", "source", "tenant"):
        if each not in keys:
            raise BadFile(root.line, each, "it is missing.")
    attributes: dict[str, Rule] = {
        each: _rule(keys[each], "rfc3339" if each == "time" else "identifier")
        for each in ("source", "tenant", "time", "subject", "traceparent")
        if each in keys
    }
    if attributes["source"].default is None:
        raise _bad(keys["source"], "give a value, or a default beside 'from'.")
    if "time" in keys and attributes["time"].kind not in TIMES:
        raise _bad(keys["time"], f"'as' is one of {', '.join(sorted(TIMES))}.")
    return Mapping(
        name=name,
        reads=_one_of(keys.get("reads"), _READS),
        items=_path(keys["items"]) if "items" in keys else None,
        only=tuple(_condition(each) for each in _list(keys.get("only"))),
        id=tuple(_path(each) for each in _list(keys["id"])),
        choices=tuple(_choice(each) for each in _list(keys["type"])),
        attributes=attributes,
        data=_data(keys.get("data")),
    )


def _data(node: Node | None) -> dict[str, Rule]:
    if node is None:
        return {}
    rules = {}
    for name, each in _object(node, None).items():
        if name not in TARGETS:
            raise _bad(each, "the catalogue has no such field, so nothing goes there.")
        rules[name] = _rule(each, TARGETS[name])
    if "cost.amount" in rules and "cost.currency" not in rules:
        raise _bad(node, "cost.amount takes a cost.currency, such as {value: USD}.")
    return rules


def _rule(node: Node, usual: str) -> Rule:
    if not isinstance(node.value, dict):
        return Rule(tuple(_path(each) for each in _list(node)), usual)
    keys = _object(node, _RULE_KEYS)
    if "value" in keys:
        if len(keys) > 1:
            raise _bad(node, "'value' stands alone.")
        return Rule((), usual, default=_scalar(keys["value"]))
    if "from" not in keys:
        raise _bad(node, "give 'from', a path, or 'value', a constant.")
    kind = _one_of(keys.get("as"), (usual, *sorted(READERS)))
    return Rule(
        tuple(_path(each) for each in _list(keys["from"])),
        kind,
        _times(keys.get("times"), kind),
        _values(keys.get("values")),
        _scalar(keys["default"]) if "default" in keys else None,
    )


def _times(node: Node | None, kind: str) -> Decimal | None:
    if node is None:
        return None
    if kind not in _NUMBERS:
        raise _bad(node, f"only a number can be multiplied, and this is a {kind}.")
    try:
        factor = Decimal(str(_scalar(node)))
    except DecimalException as error:
        raise _bad(node, "it is no number.") from error
    if not factor.is_finite():
        raise _bad(node, "it is no number.")
    return factor


def _values(node: Node | None) -> dict[str, Scalar] | None:
    if node is None:
        return None
    return {name: _scalar(each) for name, each in _object(node, None).items()}


def _choice(node: Node) -> Choice:
    if not isinstance(node.value, dict):
        return Choice(_type(node))
    keys = _object(node, frozenset({"is", "if", "in"}))
    if "is" not in keys:
        raise _bad(node, "give 'is', a type of event.")
    if "if" not in keys:
        return Choice(_type(keys["is"]))
    return Choice(_type(keys["is"]), _held(keys["if"], keys.get("in")))


def _condition(node: Node) -> Condition:
    if not isinstance(node.value, dict):
        return Condition(_path(node))
    keys = _object(node, frozenset({"from", "in"}))
    if "from" not in keys:
        raise _bad(node, "give 'from', a path.")
    return _held(keys["from"], keys.get("in"))


def _held(path: Node, wanted: Node | None) -> Condition:
    words = None if wanted is None else {str(_scalar(w)) for w in _list(wanted)}
    return Condition(_path(path), None if words is None else frozenset(words))


def _type(node: Node) -> str:
    if not isinstance(node.value, str) or not _TYPE.match(node.value):
        raise _bad(node, "a type of event is visible ASCII without '*'.")
    return node.value


def _path(node: Node) -> Path:
    if not isinstance(node.value, str):
        raise _bad(node, "a path is a text.")
    try:
        return mapping_paths.parse(node.value)
    except ValueError as error:
        raise _bad(node, str(error)) from error


def _scalar(node: Node) -> Scalar:
    if not isinstance(node.value, str | int | float | bool):
        raise _bad(node, "it is a text, a number, true or false.")
    return node.value


def _one_of(node: Node | None, words: tuple[str, ...]) -> str:
    """Return one of some words, the first of them if none is given."""
    if node is None:
        return words[0]
    if node.value not in words:
        raise _bad(node, f"it is one of {', '.join(dict.fromkeys(words))}.")
    return str(node.value)


def _list(node: Node | None) -> list[Node]:
    """Return what a list holds; one thing alone is a list of it."""
    if node is None:
        return []
    found = node.value if isinstance(node.value, list) else [node]
    if not found:
        raise _bad(node, "it is empty.")
    return found


def _object(node: Node, known: frozenset[str] | None) -> dict[str, Node]:
    if not isinstance(node.value, dict):
        raise _bad(node, "it has keys and values.")
    for name, each in node.value.items():
        if known is not None and name not in known:
            raise _bad(each, f"it is not known here; {', '.join(sorted(known))} are.")
    found: dict[str, Any] = node.value
    return found


def _bad(node: Node, problem: str) -> BadFile:
    return BadFile(node.line, node.key, problem)
