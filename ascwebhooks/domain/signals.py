"""Signals: what an event of the gateway's traffic says, read with tolerance.

A gateway may leave out, misspell or mistype whatever it likes: what cannot be read is
None, and a cost that cannot be read says why.  Nothing here is ever refused, and no
sum of money passes through a float.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from ascwebhooks.domain.events import Event

COMPLETED = "request.completed"
_TYPES = frozenset(
    {
        COMPLETED,
        "request.failed",
        "request.blocked",
        "residency.violation_blocked",
        "model.access_denied",
    }
)
#: What ends a request, and has its cost; other violations come beside one of these.
CHARGED = frozenset(
    {COMPLETED, "request.failed", "request.blocked", "policy.violation_blocked"}
)
#: An event that claims to be later than this past its arrival counts as of then.
MOST_AHEAD = timedelta(minutes=5)
#: Before it no gateway was there: its clock was never set.
_FIRST = datetime(2000, 1, 1, tzinfo=UTC)
#: What is longer says nothing that a table of models could show.
_MOST_CHARACTERS = 200
_MOST_TAGS = 100
_CURRENCY = re.compile(r"[A-Z]{3}\Z")
_AMOUNT = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,9})?\Z")
#: The places before and behind the point that a sum may have.
_MOST_PLACES = 40


class CostProblem(StrEnum):
    """Why a cost is not known."""

    MISSING = "missing"
    NOT_A_NUMBER = "not_a_number"
    OUT_OF_RANGE = "out_of_range"
    NO_CURRENCY = "no_currency"


class Scope(NamedTuple):
    """Who a signal is about; what is not known is None."""

    org_id: str | None = None
    business_unit_id: str | None = None
    team_id: str | None = None
    user_id: str | None = None
    project_id: str | None = None
    key_id: str | None = None
    end_user_id: str | None = None
    feature: str | None = None
    tags: tuple[str, ...] = ()


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One request or violation, as the gateway tells it.

    ``cost`` is None with a ``cost_problem``; a negative one is a refund.  ``time`` is
    the event's own, or its arrival if it has none or one that is ahead of it.
    ``first_token_s`` is None unless it means something.
    """

    tenant_id: str
    type: str
    time: datetime
    arrival: datetime
    scope: Scope
    request_id: str | None = None
    trace_id: str | None = None
    route: str | None = None
    provider: str | None = None
    request_model: str | None = None
    response_model: str | None = None
    deployment_id: str | None = None
    region: str | None = None
    cost: Decimal | None = None
    cost_problem: CostProblem | None = None
    currency: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    duration_ms: float | None = None
    first_token_s: float | None = None
    http_status: int | None = None
    error_type: str | None = None
    normalized_error: str | None = None
    fallback_from: str | None = None
    severity: str | None = None
    policy_id: str | None = None
    action: str | None = None
    categories: tuple[str, ...] = ()

    @property
    def model(self) -> str | None:
        """Return the model that answered, or else the one that was asked for."""
        return self.response_model or self.request_model


def is_signal(event_type: str) -> bool:
    """Return whether events of a type are signals."""
    return event_type in _TYPES or event_type.startswith("policy.")


_NULL = msgspec.Raw(b"null")


def _named(name: str) -> Any:
    return msgspec.field(default=None, name=name)


class _Wire(msgspec.Struct):
    """The fields of ``data`` that are looked at, whatever is in them."""

    scope: Any = None
    request_id: Any = None
    trace_id: Any = None
    route: Any = None
    provider: Any = _named("gen_ai.provider.name")
    request_model: Any = _named("gen_ai.request.model")
    response_model: Any = _named("gen_ai.response.model")
    deployment_id: Any = None
    region: Any = None
    cost: msgspec.Raw = _NULL
    input_tokens: Any = _named("gen_ai.usage.input_tokens")
    output_tokens: Any = _named("gen_ai.usage.output_tokens")
    duration_ms: Any = None
    first_token_s: Any = _named("gen_ai.response.time_to_first_chunk")
    http_status: Any = None
    error_type: Any = _named("error.type")
    normalized_error: Any = None
    fallback_from: Any = None
    severity: Any = None
    policy_id: Any = None
    action: Any = None
    categories: Any = None


class _Cost(msgspec.Struct):
    """An amount as it was written."""

    amount: msgspec.Raw = _NULL
    currency: Any = None


class _Priced(msgspec.Struct):
    cost: msgspec.Raw = _NULL


_wire = msgspec.json.Decoder(_Wire)
_priced = msgspec.json.Decoder(_Priced)
_price = msgspec.json.Decoder(_Cost)
_NAMES = {each.encode_name: each.name for each in msgspec.structs.fields(_Wire)}


def read(event: Event, arrival: datetime) -> Signal:
    """Return what an event says.

    Args:
        event: Of a type that is a signal.
        arrival: When it was accepted, by PostgreSQL's clock.
    """
    wire = _read(event.data)
    cost, problem, currency = _cost(wire.cost)
    first_token_s = _number(wire.first_token_s)
    return Signal(
        tenant_id=event.tenant_id,
        type=event.type,
        time=_time(event.time, arrival),
        arrival=arrival,
        scope=_scope(wire.scope),
        request_id=_text(wire.request_id),
        trace_id=_text(wire.trace_id),
        route=_text(wire.route),
        provider=_text(wire.provider),
        request_model=_text(wire.request_model),
        response_model=_text(wire.response_model),
        deployment_id=_text(wire.deployment_id),
        region=_text(wire.region),
        cost=cost,
        cost_problem=problem,
        currency=currency,
        input_tokens=_count(wire.input_tokens),
        output_tokens=_count(wire.output_tokens),
        duration_ms=_number(wire.duration_ms),
        first_token_s=first_token_s if event.type == COMPLETED else None,
        http_status=_status(wire.http_status),
        error_type=_text(wire.error_type),
        normalized_error=_text(wire.normalized_error),
        fallback_from=_text(wire.fallback_from),
        severity=_text(wire.severity),
        policy_id=_text(wire.policy_id),
        action=_text(wire.action),
        categories=_texts(wire.categories),
    )


def _read(data: bytes) -> _Wire:
    try:
        return _wire.decode(data)
    except msgspec.MsgspecError:
        # A number beyond a float's range somewhere, or no object at all.
        whole = json.loads(data)
    if not isinstance(whole, dict):
        return _Wire()
    # What is not looked at is passed over, whatever its number.
    named = {_NAMES[name]: value for name, value in whole.items() if name in _NAMES}
    return _Wire(**named | {"cost": _priced.decode(data).cost})


def _cost(
    given: msgspec.Raw,
) -> tuple[Decimal | None, CostProblem | None, str | None]:
    """Return the amount as written, why there is none, and the currency."""
    raw = bytes(given)
    if raw == b"null":
        return None, CostProblem.MISSING, None
    try:
        found = _price.decode(raw)
    except msgspec.MsgspecError:
        return None, CostProblem.NOT_A_NUMBER, None
    text = found.currency
    currency = text if isinstance(text, str) and _CURRENCY.match(text) else None
    amount = _amount(bytes(found.amount))
    if isinstance(amount, CostProblem):
        return None, amount, currency
    if currency is None:
        return None, CostProblem.NO_CURRENCY, None
    return amount, None, currency


def _amount(raw: bytes) -> Decimal | CostProblem:
    """Return a number, or a number in a string, as it stands in JSON."""
    if raw == b"null":
        return CostProblem.MISSING
    text = raw.strip(b'"').decode(errors="replace")
    if not _AMOUNT.match(text):
        is_long = text.lstrip("-")[:1].isdigit() and len(text) > _MOST_PLACES
        return CostProblem.OUT_OF_RANGE if is_long else CostProblem.NOT_A_NUMBER
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return CostProblem.NOT_A_NUMBER
    exponent = amount.as_tuple().exponent
    assert isinstance(exponent, int)
    if not amount:
        return Decimal(0)
    if amount.adjusted() >= _MOST_PLACES or exponent < -2 * _MOST_PLACES:
        return CostProblem.OUT_OF_RANGE
    return amount


def _time(given: datetime | None, arrival: datetime) -> datetime:
    if given is None or not _FIRST <= given <= arrival + MOST_AHEAD:
        return arrival
    return given.astimezone(UTC)


def _scope(given: Any) -> Scope:
    if not isinstance(given, dict):
        return Scope()
    get = given.get
    return Scope(
        _id(get("org_id")),
        _id(get("business_unit_id")),
        _id(get("team_id")),
        _id(get("user_id")),
        _id(get("project_id")),
        _id(get("key_id")),
        _id(get("end_user_id")),
        _id(get("feature")),
        _ids(get("tags")),
    )


def _id(value: Any) -> str | None:
    """Return an id whole: half of it could be another one's."""
    if type(value) is str:
        return value or None
    return str(value) if type(value) is int else None


def _ids(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        return ()
    found = [_id(each) for each in values[:_MOST_TAGS]]
    return tuple(dict.fromkeys(each for each in found if each is not None))


def _text(value: Any) -> str | None:
    found = _id(value)
    return None if found is None else found[:_MOST_CHARACTERS]


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(each[:_MOST_CHARACTERS] for each in _ids(values))


def _number(value: Any) -> float | None:
    """Return a number that a duration can be, or None."""
    if type(value) is not float and type(value) is not int:
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) and found >= 0 else None


def _count(value: Any) -> int:
    """Return a number of tokens; 0 for what is none."""
    found = _number(value)
    return int(found) if found is not None and found < 2**53 else 0


def _status(value: Any) -> int | None:
    return value if type(value) is int and 100 <= value <= 999 else None
