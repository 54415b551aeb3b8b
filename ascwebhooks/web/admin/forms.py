"""Forms: what was typed, read by a schema, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from marshmallow import EXCLUDE, Schema, ValidationError, fields
from werkzeug.datastructures import MultiDict

from ascwebhooks.errors import (
    AscWebhooksError,
    Conflict,
    InvalidInput,
    PreconditionFailed,
    TooManyAttempts,
)
from ascwebhooks.web.errors import status_of

Made = TypeVar("Made")
#: What is told on the form; other errors are pages of their own.
_TOLD = (InvalidInput, Conflict, PreconditionFailed, TooManyAttempts)
#: marshmallow's words for programs, and what people read instead.
_WORDS = {
    fields.Field.default_error_messages["required"]: "Fill this in.",
    fields.Integer.default_error_messages["invalid"]: "A whole number.",
}
#: Where errors stand that are no single field's.
WHOLE = ""


class Form:
    """A form as it is shown: values, and errors by field."""

    def __init__(
        self,
        schema: type[Schema],
        given: MultiDict[str, str] | None = None,
        **initial: Any,
    ) -> None:
        """Take what was sent, or what the fields show at first.

        Args:
            schema: Reads it; its fields have the names of the form's.
            given: ``request.form`` when it was sent.
            initial: Values to begin with.
        """
        self._schema = schema(unknown=EXCLUDE)
        self.values: dict[str, Any] = dict(initial)
        self.errors: dict[str, list[str]] = {}
        #: What else an error of a service says, such as where in a field it is.
        self.context: dict[str, object] = {}
        self.status = HTTPStatus.OK
        if given is not None:
            self.values |= {
                name: given.getlist(name)
                if isinstance(field, fields.List)
                else given.get(name, "")
                for name, field in self._schema.fields.items()
            }

    def submit(self, action: Callable[[dict[str, Any]], Made]) -> Made | None:
        """Return what ``action`` made of the values read; None if that failed.

        Then ``errors`` say what is wrong, and ``status`` is the answer's.

        Args:
            action: Is given the values by name; may raise InvalidInput, Conflict,
                PreconditionFailed or TooManyAttempts.
        """
        try:
            # A field that was left empty was not given.
            read = self._schema.load(
                {k: v for k, v in self.values.items() if v not in ("", [])}
            )
            return action(read)
        except ValidationError as error:
            self.status = HTTPStatus.UNPROCESSABLE_ENTITY
            self._take(error.messages_dict)
        except _TOLD as error:
            self.status = _status(error)
            self.context = error.context
            field = str(error.context.get("field", WHOLE))
            known = field if field in self._schema.fields else WHOLE
            self.errors[known] = [_sentence(str(error))]
        return None

    def _take(self, messages: Mapping[str, Any]) -> None:
        for name, found in messages.items():
            self.errors[str(name)] = [
                _sentence(_WORDS.get(each, each)) for each in _flat(found)
            ]


def _status(error: AscWebhooksError) -> HTTPStatus:
    return status_of(error) or HTTPStatus.INTERNAL_SERVER_ERROR


def _flat(found: Any) -> list[str]:
    if isinstance(found, Mapping):
        return [text for each in found.values() for text in _flat(each)]
    if isinstance(found, list):
        return [text for each in found for text in _flat(each)]
    return [str(found)]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


class Words(fields.Field[list[str]]):
    """Words, separated by commas or white space."""

    def _deserialize(self, value: str, *_: Any, **__: Any) -> list[str]:
        return value.replace(",", " ").split()


class Line(fields.String):
    """One line of text, without the white space around it."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        found = super()._deserialize(value, *args, **kwargs)
        if any(each in found for each in "\0\r\n"):
            raise ValidationError("One line of text.")
        return found.strip()
