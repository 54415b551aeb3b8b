"""YAML with lines: what a file says, and where it says it."""

from __future__ import annotations

from typing import Any, NamedTuple

import yaml


class Node(NamedTuple):
    """A value and the line it stands in, from 1.

    ``value`` is a scalar, a list of nodes, or a dict from keys to nodes.
    """

    value: Any
    line: int
    key: str = ""


class BadFile(Exception):
    """A file is wrong; the message names the line and the key."""

    def __init__(self, line: int, key: str, problem: str) -> None:
        """Put the message together; ``key`` is empty for the file as a whole."""
        super().__init__(f"line {line}{f', {key}' if key else ''}: {problem}")


def read(text: str) -> Node:
    """Return what a file of YAML says.

    Raises:
        BadFile: If it is not YAML, is empty, or says something twice.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        raise BadFile(line, "", f"it is not YAML: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise BadFile(1, "", "it is not YAML.") from error
    if root is None:
        raise BadFile(1, "", "it is empty.")
    try:
        return _node(root, "")
    except RecursionError as error:
        raise BadFile(1, "", "it holds itself.") from error


def _node(node: yaml.Node, key: str) -> Node:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        return Node(_mapping(node, key), line, key)
    if isinstance(node, yaml.SequenceNode):
        items = [_node(each, f"{key}[{at}]") for at, each in enumerate(node.value)]
        return Node(items, line, key)
    loader = yaml.SafeLoader("")
    try:
        value = loader.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise BadFile(line, key, "it cannot be read.") from error
    return Node(value, line, key)


def _mapping(node: yaml.MappingNode, key: str) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for name, value in node.value:
        line = name.start_mark.line + 1
        if not isinstance(name, yaml.ScalarNode):
            raise BadFile(line, key, "a key is a word.")
        inner = f"{key}.{name.value}" if key else str(name.value)
        if name.value in found:
            raise BadFile(line, inner, "it stands twice.")
        found[str(name.value)] = _node(value, inner)
    return found
