"""Replays."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask.views import MethodView
from marshmallow import Schema, fields, validate

from ascwebhooks.domain import ids
from ascwebhooks.domain.deliveries import DeadReason, Status
from ascwebhooks.domain.ids import Kind
from ascwebhooks.domain.keys import Permission
from ascwebhooks.domain.replays import MAX_IDS, REPLAYABLE, ReplayState
from ascwebhooks.services.replay_counts import Counted
from ascwebhooks.services.replays import Progress
from ascwebhooks.web.access import caller, needs, services
from ascwebhooks.web.answers import Answer, With
from ascwebhooks.web.api import blueprints
from ascwebhooks.web.api.fields import Flag, Id, Moment, Text, Whole
from ascwebhooks.web.api.pages import PageQuery, page, page_of

#: 10,000 ids take more than other bodies may have.
_MAX_BODY_BYTES = 1024 * 1024
_ROOT = "/tenants/<tenant_id>/replays"


class _Parser(blueprints.StrictParser):
    max_body_bytes = _MAX_BODY_BYTES


class _Blueprint(blueprints.Blueprint):
    ARGUMENTS_PARSER = _Parser()


blp = _Blueprint(
    "replays", __name__, description="Sending again what had ended, as a whole."
)


class ReplayFilterSchema(Schema):
    """Which deliveries."""

    status = fields.String(
        validate=validate.OneOf([*REPLAYABLE]),
        metadata={
            "default": Status.DEAD_LETTERED.value,
            "description": "`delivered` sends again what had arrived.",
        },
    )
    endpoint_id = Id(Kind.ENDPOINT)
    event_type = Text()
    since = Moment(metadata={"description": "Of events accepted then or later."})
    until = Moment(metadata={"description": "Of events accepted before."})
    dead_reason = fields.String(validate=validate.OneOf([*DeadReason]))
    died_since = Moment(
        metadata={"description": "That became dead letters then or later."}
    )


class NewReplay(Schema):
    """Either the deliveries' ids or a filter."""

    deliveries = fields.List(Id(Kind.DELIVERY), validate=validate.Length(1, MAX_IDS))
    filter = fields.Nested(ReplayFilterSchema)
    rate_per_s = Whole(
        1,
        100_000,
        allow_none=True,
        metadata={"description": "How many fall due in a second, at most."},
    )
    dry_run = Flag(
        load_default=False, metadata={"description": "Count, and make nothing."}
    )


class OutcomeSchema(Answer):
    """What became of the deliveries that the replay reopened, and none after it."""

    pending = fields.Integer()
    delivered = fields.Integer()
    dead_lettered = fields.Integer()
    cancelled = fields.Integer()


class ReplaySchema(Answer):
    """A replay: what had ended by ``cutoff`` is reopened, each delivery once."""

    id = Id(Kind.REPLAY)
    tenant_id = fields.String()
    state = fields.String(metadata={"enum": [*ReplayState]})
    filter = fields.Nested(ReplayFilterSchema, allow_none=True)
    rate_per_s = fields.Integer(allow_none=True)
    cutoff = Moment()
    total = fields.Integer(metadata={"description": "How many deliveries it is about."})
    total_is_exact = fields.Boolean(
        metadata={"description": "False: there are more, and counting goes on."}
    )
    reopened = fields.Integer(metadata={"description": "Made pending so far."})
    skipped = fields.Integer(
        metadata={
            "description": "Not reopened: reopened by others meanwhile, or their"
            " endpoint is disabled, deleted or in a region no longer allowed."
        }
    )
    created_by = fields.String()
    created_at = Moment()
    updated_at = Moment()
    finished_at = Moment(allow_none=True)


class ReplayProgressSchema(ReplaySchema):
    """A replay and what became of what it reopened."""

    outcome = fields.Nested(
        OutcomeSchema,
        allow_none=True,
        metadata={"description": "Null if counting took too long."},
    )


class CreatedReplaySchema(ReplaySchema):
    """A replay that was created."""

    count = fields.Integer(
        metadata={"description": "How many can be reopened as things stand."}
    )
    notes = fields.List(
        fields.String(),
        metadata={"description": "Which will wait and which be skipped, and why."},
    )


class ReplayCountSchema(Answer):
    """What a replay would be about, with `dry_run`."""

    count = fields.Integer(
        metadata={"description": "How many can be reopened as things stand."}
    )
    total = fields.Integer(metadata={"description": "How many deliveries it is about."})
    total_is_exact = fields.Boolean(metadata={"description": "False: there are more."})
    notes = fields.List(
        fields.String(),
        metadata={"description": "Which would wait and which be skipped, and why."},
    )


_CREATED_OR_COUNTED = {
    "description": "The replay; with `dry_run` the count alone.",
    "content": {
        "application/json": {
            "schema": {"anyOf": [CreatedReplaySchema, ReplayCountSchema]}
        }
    },
}


class ReplayQuery(PageQuery):
    """Which replays."""

    state = fields.String(validate=validate.OneOf([*ReplayState]))


@blp.route(_ROOT)
class Replays(MethodView):
    """All of a tenant's replays."""

    @needs(Permission.READ)
    @blp.arguments(ReplayQuery, location="query")
    @blp.response(200, page_of(ReplaySchema))
    def get(self, query: dict[str, Any], tenant_id: str) -> dict[str, Any]:
        """List replays, the newest first."""
        fetch = partial(services().replays.page, tenant_id)
        found = page(query, fetch, id_of=lambda each: each.replay.id)
        return {**found, "items": [_shown(each) for each in found["items"]]}

    @needs(Permission.OPERATE)
    @blp.arguments(NewReplay)
    @blp.response(202, CreatedReplaySchema)
    @blp.doc(responses={202: _CREATED_OR_COUNTED})
    def post(self, body: dict[str, Any], tenant_id: str) -> object:
        """Replay what has ended by now; it goes on in the background."""
        rate = body.pop("rate_per_s", None)
        if body.pop("dry_run"):
            return _counted(services().replays.preview(tenant_id, **body))
        made = services().replays.create(
            tenant_id, rate_per_s=rate, created_by=caller().shown, **body
        )
        assert made.counted is not None
        return _shown(made, **_counted(made.counted))


@blp.route(f"{_ROOT}/<replay_id>")
class Replay(MethodView):
    """One replay."""

    @needs(Permission.READ)
    @blp.response(200, ReplayProgressSchema)
    def get(self, tenant_id: str, replay_id: str) -> With:
        """Get how far a replay is, and what became of what it reopened."""
        return _progress(services().replays.get(tenant_id, _id(replay_id)))


@blp.route(f"{_ROOT}/<replay_id>/pause")
class Pause(MethodView):
    """Reopening no more for now."""

    @needs(Permission.OPERATE)
    @blp.response(200, ReplayProgressSchema)
    def post(self, tenant_id: str, replay_id: str) -> With:
        """Pause a replay; what it has reopened goes out."""
        return _progress(services().replays.pause(tenant_id, _id(replay_id)))


@blp.route(f"{_ROOT}/<replay_id>/resume")
class Resume(MethodView):
    """Going on."""

    @needs(Permission.OPERATE)
    @blp.response(200, ReplayProgressSchema)
    def post(self, tenant_id: str, replay_id: str) -> With:
        """Resume a paused replay from where it was."""
        return _progress(services().replays.resume(tenant_id, _id(replay_id)))


@blp.route(f"{_ROOT}/<replay_id>/cancel")
class Cancel(MethodView):
    """Reopening no more."""

    @needs(Permission.OPERATE)
    @blp.response(200, ReplayProgressSchema)
    def post(self, tenant_id: str, replay_id: str) -> With:
        """Cancel a replay; what it has reopened goes out."""
        return _progress(services().replays.cancel(tenant_id, _id(replay_id)))


def _id(text: str) -> Any:
    return ids.read(Kind.REPLAY, text)


def _shown(progress: Progress, **more: Any) -> With:
    plan = progress.plan
    more = {"total_is_exact": plan.total_is_exact, **more}
    return With(progress.replay, filter=plan.filter, **more)


def _progress(progress: Progress) -> With:
    outcome = progress.outcome
    full = None if outcome is None else {each: outcome.get(each, 0) for each in Status}
    return _shown(progress, outcome=full)


def _counted(counted: Counted) -> dict[str, Any]:
    return {
        "count": counted.count,
        "total": counted.total,
        "total_is_exact": counted.is_exact,
        "notes": counted.notes,
    }
