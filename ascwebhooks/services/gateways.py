"""What gateways send in words of their own: read, made events, and accepted.

Only the events go on from here.  A record holds prompts and answers, so what cannot be
made an event is recorded as rejected with the reason, and without the record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ascwebhooks.domain import mapping_files, otlp, records
from ascwebhooks.domain.events import Rejected
from ascwebhooks.domain.mappings import Mapping as FieldMapping
from ascwebhooks.domain.records import Unreadable
from ascwebhooks.errors import MappingInvalid, NotFound, UnreadableBody
from ascwebhooks.integrations.allowed import NotMapped
from ascwebhooks.services.acceptance import Acceptance
from ascwebhooks.services.intakes import Verdict

#: Comes with the package: OpenTelemetry's spans.
OTEL = "otel"
#: How much of a mapping's file is read; far more than one has.
_MOST_FILE_BYTES = 1_000_000

Events = Callable[[Any], Sequence[Mapping[str, Any]]]
_encode = msgspec.json.Encoder().encode


class Judged(NamedTuple):
    """What became of one event, and which record it is of, from 0."""

    record: int
    verdict: Verdict


class Gateways:
    """The way in for records that are not CloudEvents."""

    def __init__(
        self, acceptance: Acceptance, mappings: Mapping[str, FieldMapping]
    ) -> None:
        """Take the parts; ``mappings`` by their names."""
        self._acceptance = acceptance
        self._mappings = mappings

    def mapping(self, name: str) -> FieldMapping:
        """Return a mapping.

        Raises:
            NotFound: If there is none of that name.
        """
        if name not in self._mappings:
            raise NotFound(f"there is no mapping {name[:64]!r}.")
        return self._mappings[name]

    def accept_mapped(
        self, mapping: FieldMapping, body: bytes, tenant_id: str | None
    ) -> list[Judged]:
        """Accept the records in a request's body, as a mapping reads them.

        Raises:
            UnreadableBody: If they cannot be found in it.
            PayloadTooLarge: If there are too many.
        """

        def events(record: Any) -> list[Mapping[str, Any]]:
            event = mapping.event(record, tenant_id)
            return [] if event is None else [event]

        return self.accept(_read(mapping, body), events, tenant_id)

    def accept(
        self, found: Sequence[Any], events: Events, tenant_id: str | None
    ) -> list[Judged]:
        """Accept the events of each record.

        Args:
            found: The records.
            events: What one of them is; raises ``NotMapped`` if it is nothing.
            tenant_id: The only tenant whose events are taken; any if None.

        Returns:
            What became of each event; records that are passed over have none.
        """
        owners: list[int] = []
        raws: list[bytes] = []
        bad: dict[int, Rejected] = {}
        for number, record in enumerate(found):
            try:
                made = [_encode(each) for each in _events(record, events)]
            except NotMapped as error:
                bad[len(raws)] = Rejected("not_mapped", str(error))
                made = [b"{}"]
            raws += made
            owners += [number] * len(made)
        if not raws:
            return []
        verdicts = self._acceptance.accept(
            raws, via="http", tenant_id=tenant_id, known_bad=bad
        )
        return [Judged(*each) for each in zip(owners, verdicts, strict=True)]


def _events(record: Any, events: Events) -> Sequence[Mapping[str, Any]]:
    if isinstance(record, Unreadable):
        raise NotMapped("it is not JSON.")
    return events(record)


def _read(mapping: FieldMapping, body: bytes) -> Sequence[Any]:
    if mapping.reads != "otlp":
        return records.read(body, mapping.items)
    try:
        return otlp.spans(records.value(body))
    except ValueError as error:
        raise UnreadableBody(str(error)) from error


class Tried(NamedTuple):
    """What a mapping makes of one record: an event, a problem, or neither."""

    event: dict[str, Any] | None
    problem: str | None


def try_out(mapping: FieldMapping, body: bytes) -> list[Tried]:
    """Return what a mapping makes of each record in a request's body.

    Raises:
        UnreadableBody: If they cannot be found in it.
        PayloadTooLarge: If there are too many.
    """
    found = []
    for record in _read(mapping, body):
        try:
            made = _events(record, lambda each: [mapping.event(each) or {}])
            found.append(Tried(dict(made[0]) or None, None))
        except NotMapped as error:
            found.append(Tried(None, str(error)))
    return found


def load(folder: Path | None, own: str) -> dict[str, FieldMapping]:
    """Return the mappings there are: OpenTelemetry's, and those in a folder.

    Args:
        folder: Its files ``*.yaml``, each named as its mapping; None: there are none.
        own: The text of the mapping that comes with the package; a file of that name
            in the folder replaces it.

    Raises:
        MappingInvalid: If a file is wrong, or the folder cannot be read.
    """
    found = {OTEL: mapping_files.load(OTEL, own, file=f"{OTEL}.yaml")}
    if folder is None:
        return found
    if not folder.is_dir():
        raise MappingInvalid(f"{folder}: there is no such folder of mappings.")
    for file in sorted(folder.glob("*.yaml")):
        found[file.stem] = load_file(file)
    return found


def load_file(file: Path) -> FieldMapping:
    """Return the mapping in a file.

    Raises:
        MappingInvalid: If it is wrong, or cannot be read.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(_MOST_FILE_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise MappingInvalid(f"{file}: it cannot be read.") from error
    return mapping_files.load(file.stem, text, file=str(file))
