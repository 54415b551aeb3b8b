"""Why events are not accepted, in words, and what to do about it."""

from __future__ import annotations

import json
from typing import NamedTuple


class Advice(NamedTuple):
    """What is wrong, and what mends it."""

    title: str
    remedy: str


_SIZE = "Send a reference to the data instead of the data, or split the event."
_JSON = "Mend the JSON below, or where the gateway writes it."
ADVICE: dict[str, Advice] = {
    "unknown_tenant": Advice(
        "There is no tenant of that id",
        "Create the tenant and resubmit, or mend tenantid below.",
    ),
    "id_conflict": Advice(
        "Another event has this source and id",
        "An id is used once in a source. If both are meant, give this one an id of"
        " its own; if it came twice, delete it.",
    ),
    "event_too_large": Advice("The event is too large", _SIZE),
    "data_too_large": Advice("Its data is too large", _SIZE),
    "not_utf8": Advice("It is not UTF-8", "Have the gateway send UTF-8."),
    "not_json": Advice("It is not JSON", _JSON),
    "not_an_object": Advice("It is not a JSON object", _JSON),
    "not_a_number": Advice(
        "NaN and Infinity are not JSON", "Use null or a string for them."
    ),
    "number_too_long": Advice(
        "An integer in it has thousands of digits", "Send it as a string."
    ),
    "too_deep": Advice("It is nested too deep", "Flatten its data."),
    "too_many_keys": Advice(
        "An object in it has too many keys", "Use a list, or split the event."
    ),
    "duplicate_key": Advice(
        "A key stands twice in an object",
        "Receivers would not agree on which counts: keep one of them.",
    ),
    "missing_attribute": Advice(
        "A required attribute is missing",
        "Every event has specversion, id, source, type and tenantid: add what is"
        " missing.",
    ),
    "invalid_attribute": Advice(
        "An attribute has a value that it cannot have", "Mend the attribute."
    ),
    "unsupported_specversion": Advice(
        "It is of another version of CloudEvents", 'Set specversion to "1.0".'
    ),
    "data_base64_unsupported": Advice(
        "Its data is binary", "Send JSON in data instead of data_base64."
    ),
    "unsupported_datacontenttype": Advice(
        "Its data is not JSON", "Send JSON, and say so or leave datacontenttype out."
    ),
    "nul_character": Advice("A text in it holds NUL", "Remove \\u0000."),
    "lone_surrogate": Advice(
        "A text in it holds half a character",
        "Somebody cut a text within a surrogate pair: mend or shorten it.",
    ),
    "not_mapped": Advice(
        "A gateway's record could not be made an event",
        "What came is not kept, for it may hold prompts. Look at the mapping, or at"
        " what the gateway sends there.",
    ),
    "unknown_type": Advice(
        "The catalogue has no event of this type",
        "This tenant is strict. Mend the type, or let the tenant take other types"
        " (strict: off), then resubmit.",
    ),
    "schema_mismatch": Advice(
        "Its data does not fit the schema of its type",
        "This tenant is strict. Mend the data where the gateway writes it, or below;"
        " GET /event-types has the schemas.",
    ),
    "database_refused": Advice(
        "The database refused it",
        "This should not happen: tell whoever runs the platform, with its id.",
    ),
}
_OTHER = Advice("It was not accepted", "Mend the event and resubmit it.")


def advice(code: str) -> Advice:
    """Return what a code of a rejection means."""
    return ADVICE.get(code, _OTHER)


class Fault(NamedTuple):
    """Where JSON cannot be read.

    Args:
        line: From 1.
        column: From 1.
        before: What stands before it in its line, at most 60 characters.
        after: What stands there and behind it, at most 60.
    """

    line: int
    column: int
    before: str
    after: str


def find_fault(text: str) -> Fault | None:
    """Return where ``text`` stops being JSON; None if it is JSON."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        line = text[text.rfind("\n", 0, error.pos) + 1 :].partition("\n")[0]
        at = error.colno - 1
        shown = line[max(0, at - 60) : at], line[at : at + 60]
        return Fault(error.lineno, error.colno, *shown)
    except (ValueError, RecursionError):
        return None
    return None
