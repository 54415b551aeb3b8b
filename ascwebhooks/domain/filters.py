"""Filters: CEL expressions over an event, bounded, and never a reason to fail.

A filter that cannot be evaluated on an event does not take it; the error is a short
text without anything of the event's data in it, since it is kept in clear.

Source:
    CONTRACT "Filters"; the CEL language definition, cel.dev.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import cel

from ascwebhooks.domain import bounds, tokens
from ascwebhooks.domain.bounds import Bounds, Refusal
from ascwebhooks.domain.readings import Data
from ascwebhooks.errors import InvalidInput

MAX_CHARACTERS = 1_024
#: What is heavier takes too long to be made the library's own.
MAX_WEIGHT = 20_000
VARIABLES = ("type", "source", "subject", "time", "tenant", "data")
_GETTERS = (
    "Date DayOfMonth DayOfWeek DayOfYear FullYear Hours Milliseconds Minutes Month"
    " Seconds"
)
FUNCTIONS = {
    *("contains", "endsWith", "matches", "size", "startsWith"),
    *("bytes", "double", "duration", "dyn", "int", "string", "timestamp", "uint"),
    *(f"get{each}" for each in _GETTERS.split()),
}
_COMPILED_KEPT = 4_096
_FAULT = re.compile(r"ERROR: <input>:(\d+):(\d+): ([^\n]*)")

Given = TypeVar("Given")
Made = TypeVar("Made")


class Answer(NamedTuple):
    """Whether a filter takes an event; ``error``: why it could not tell."""

    matched: bool
    error: str | None = None


class Failed(Exception):
    """A filter cannot be evaluated; its text may be shown to the tenant."""


class Facts:
    """What the filters of one event see, prepared once and only if one asks."""

    def __init__(
        self,
        *,
        type: str,
        source: str,
        subject: str | None,
        time: datetime,
        tenant: str,
        data: bytes,
    ) -> None:
        """Take an event's attributes, and its data in JSON."""
        self._attributes = {
            "type": type,
            "source": source,
            "subject": subject,
            "time": time,
            "tenant": tenant,
        }
        self.data = Data(data)
        self._context: cel.Context | None = None

    def context(self) -> cel.Context:
        """Return what programs are run on.

        Raises:
            Failed: If the data has what CEL has no value for, such as 1e999, or too
                many values.
        """
        if self._context is None:
            try:
                if self.data.most > MAX_WEIGHT < self.data.weight():
                    raise Failed("the data holds too many values for a filter")
                values = {**self._attributes, "data": self.data.value}
                self._context = cel.Context(values)
            except (ValueError, OverflowError, RecursionError) as error:
                raise Failed("the data holds a value that a filter cannot") from error
        return self._context


class Filter:
    """A filter that was compiled; threads may share it."""

    __slots__ = ("_bounds", "_count", "_program", "text")

    def __init__(self, text: str, program: cel.Program, limits: Bounds) -> None:
        """Take the parts; ``compile`` makes them."""
        self.text = text
        self._program = program
        self._bounds = limits
        self._count = cel.compile(f"size({limits.items})") if limits.items else None

    def answer(self, facts: Facts) -> Answer:
        """Return whether the filter takes an event: only ``true`` does."""
        try:
            context = facts.context()
            problem = self._bounds.problem(facts.data, self._items(context))
            if problem:
                return Answer(False, problem)
            found = _run(self._program, context)
            if isinstance(found, bool):
                return Answer(found)
            return Answer(False, "the filter gives neither true nor false")
        except Failed as error:
            return Answer(False, str(error))

    def _items(self, context: cel.Context) -> int:
        """Return how many items the macro would walk; 0 if it fails before it does."""
        if self._count is None:
            return 0
        try:
            return int(_run(self._count, context))
        except Failed:
            return 0


class Broken:
    """A filter that was stored and is not taken any more: it fails on every event."""

    def __init__(self, text: str) -> None:
        """Keep the text, to be shown."""
        self.text = text

    def answer(self, facts: Facts) -> Answer:
        """Return that it cannot be evaluated."""
        return Answer(False, "this version does not take the filter; change it")


def compile(text: str) -> Filter:
    """Return the filter in ``text``.

    Raises:
        InvalidInput: If it is none, or may cost too much.  Its context has ``field``
            and, where the place of the fault is known, ``line`` and ``column``, from
            1.
    """
    if len(text) > MAX_CHARACTERS:
        raise InvalidInput(
            f"filter has {len(text)} characters; at most {MAX_CHARACTERS:,}.",
            field="filter",
        )
    return _compile(text)


def stored(text: str) -> Filter | Broken:
    """Return a filter that was taken when it was stored."""
    try:
        return compile(text)
    except InvalidInput:
        return Broken(text)


@lru_cache(maxsize=_COMPILED_KEPT)
def _compile(text: str) -> Filter:
    found = tokens.split(text)
    try:
        bounds.check_nesting(found)
        program = _parse(text)
        limits = bounds.check(found)
        _check_names(program, found, limits.variable)
        return Filter(text, program, limits)
    except Refusal as refusal:
        raise _invalid(str(refusal), *tokens.place(text, refusal.offset)) from refusal


def _parse(text: str) -> cel.Program:
    try:
        return _guarded(cel.compile, text)
    except (ValueError, RuntimeError, Failed) as error:
        fault = _FAULT.search(str(error))
        if fault is None:
            raise InvalidInput(
                "filter is no CEL expression.", field="filter"
            ) from error
        line, column, said = fault.groups()
        raise _invalid(_short(said), int(line), int(column)) from error


def _short(said: str) -> str:
    # Every token that could stand there is of no help.
    return re.sub(r" expecting \{.*", "", said)[:200]


def _invalid(said: str, line: int, column: int) -> InvalidInput:
    return InvalidInput(
        f"filter, line {line}, column {column}: {said}.",
        field="filter",
        line=line,
        column=column,
    )


def _check_names(
    program: cel.Program, found: list[tokens.Token], variable: str | None
) -> None:
    if variable in VARIABLES:
        raise Refusal(f"{variable!r} is the event's; call the item otherwise", 0)
    known = {*VARIABLES, variable}
    for name in program.variables():
        if name not in known:
            said = f"{name!r} is unknown; there are {', '.join(VARIABLES)}"
            raise Refusal(said, _where(found, name))
    for name in program.functions():
        if name.isidentifier() and name not in FUNCTIONS:
            raise Refusal(f"there is no function {name!r}", _where(found, name))


def _where(found: list[tokens.Token], name: str) -> int:
    return next((token.offset for token in found if token.text == name), 0)


def _run(program: cel.Program, context: cel.Context) -> Any:
    try:
        return _guarded(program.execute, context)
    except ZeroDivisionError as error:
        raise Failed("division by zero") from error
    except ArithmeticError as error:
        raise Failed("a number is too large") from error
    except KeyError as error:
        raise Failed(_missing(program.source, error)) from error
    except LookupError as error:
        raise Failed("an index is out of bounds") from error
    except TypeError as error:
        raise Failed("the types do not go together, such as text > number") from error
    except (ValueError, RuntimeError) as error:
        raise Failed("a function does not take this value") from error


def _missing(source: str, error: KeyError) -> str:
    # A key that does not stand in the filter's text comes from the data.
    name = str(error.args[0]) if error.args else ""
    spelled = (f".{name}", f'"{name}"', f"'{name}'")
    stands = any(each in source for each in spelled)
    return f"there is no key {name!r}" if stands else "there is no such key"


def _guarded(call: Callable[[Given], Made], argument: Given) -> Made:
    """Call the library; its panics are no ``Exception`` and would end a thread."""
    try:
        return call(argument)
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise Failed("the filter crashed") from error
