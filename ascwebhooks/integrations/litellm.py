"""A callback for LiteLLM that publishes what happens there as events.

In LiteLLM's configuration, with ``ASCWEBHOOKS_REDIS_URL`` in its environment::

    litellm_settings:
      callbacks: [ascwebhooks.integrations.litellm.callback]

``callback`` is made when LiteLLM asks for it.  For other terms make one yourself, in a
file beside LiteLLM's configuration, and name that::

    from ascwebhooks.integrations.litellm import Callback, Terms

    callback = Callback("redis://127.0.0.1:6379/0", terms=Terms(tenant_by="team"))

It needs ``redis`` and LiteLLM.  It runs in the proxy's event loop: nothing here waits
for anything, and nothing is ever raised into a request.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from ascwebhooks.client import Publisher
from ascwebhooks.integrations import allowed, litellm_events, litellm_routes
from ascwebhooks.integrations.allowed import NotMapped
from ascwebhooks.integrations.guardrails import raised_by
from ascwebhooks.integrations.litellm_events import Aside
from ascwebhooks.integrations.litellm_routes import Way
from ascwebhooks.integrations.litellm_terms import Event, Terms, Who, who
from ascwebhooks.integrations.recent import Recent

try:
    from litellm.integrations.custom_logger import CustomLogger
except ImportError:
    # Whoever has no LiteLLM can still hand over what one recorded.
    CustomLogger = object

__all__ = ["Callback", "Terms"]

log = logging.getLogger(__name__)

_PREFIX = "ASCWEBHOOKS_"
#: For so many calls it is known what was told of them; then the oldest is forgotten.
_REMEMBERED_CALLS = 10_000
_WARN_EVERY_S = 10.0


class Callback(CustomLogger):
    """Hands LiteLLM's callbacks to a Publisher.

    Args:
        redis_url: Of the Redis or Valkey that ascwebhooks reads from.
        terms: Whose calls are, and what the source is called.
        publisher: Instead of one that is made for ``redis_url``.
        stream: The stream's key.

    Raises:
        ValueError: If there is neither a URL of Redis nor a publisher.
    """

    def __init__(
        self,
        redis_url: str | None = None,
        *,
        terms: Terms | None = None,
        publisher: Publisher | None = None,
        stream: str = "asc:events",
    ) -> None:
        super().__init__()
        # So LiteLLM blanks prompts and answers before it hands us a record.
        self.turn_off_message_logging = True
        if publisher is None:
            if not redis_url:
                raise ValueError(
                    f"set {_PREFIX}REDIS_URL to the Redis or Valkey that ascwebhooks"
                    " reads events from."
                )
            publisher = Publisher(redis_url, stream=stream)
        self._publisher = publisher
        self._terms = terms or Terms()
        self._told: Recent[bool] = Recent(_REMEMBERED_CALLS)
        self._callers: Recent[Who] = Recent(_REMEMBERED_CALLS)
        self._ways: Recent[Way] = Recent(_REMEMBERED_CALLS)
        self._quiet_until = 0.0
        self.failed = 0

    def close(self, timeout_s: float | None = None) -> None:
        """Write what is buffered and end; without it the end of the process does."""
        self._publisher.close(timeout_s)

    def log_success_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Take a call that was answered."""
        self._safely(self._ended, kwargs)

    def log_failure_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Take a call that failed."""
        self._safely(self._ended, kwargs)

    async def async_log_success_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Take a call that was answered."""
        self._safely(self._ended, kwargs)

    async def async_log_failure_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """Take a call that failed."""
        self._safely(self._ended, kwargs)

    async def log_success_fallback_event(
        self, original_model_group: Any, kwargs: Any, original_exception: Any
    ) -> None:
        """Take a call that another model answered."""
        self._safely(
            self._fell,
            original_model_group,
            kwargs,
            original_exception,
            answered=True,
        )

    async def log_failure_fallback_event(
        self, original_model_group: Any, kwargs: Any, original_exception: Any
    ) -> None:
        """Take a call that another model did not answer either; a third one may."""
        self._safely(
            self._fell,
            original_model_group,
            kwargs,
            original_exception,
            answered=False,
        )

    async def async_post_call_failure_hook(
        self,
        request_data: Any,
        original_exception: Any,
        user_api_key_dict: Any,
        traceback_str: Any = None,
    ) -> None:
        """Take a call that the proxy answers with an error."""
        self._safely(self._refused, request_data, original_exception, user_api_key_dict)

    def _ended(self, kwargs: Mapping[str, Any]) -> None:
        payload = kwargs.get("standard_logging_object")
        if not isinstance(payload, Mapping):
            return
        call_id = allowed.identifier(payload.get("litellm_call_id"))
        failed = payload.get("status") == "failure"
        if failed and call_id and self._told.get(f"{call_id}:hook"):
            return
        raised = raised_by(kwargs.get("exception")) if failed else None
        known = self._ways.get(call_id or "")
        aside = Aside(
            guardrail=raised.name if raised and raised.on_purpose else None,
            broken=raised.name if raised and not raised.on_purpose else None,
            **litellm_routes.before(kwargs, None if failed else known),
        )
        found = litellm_events.events(payload, self._terms, aside)
        if call_id and failed:
            self._told.put(call_id, True)
            self._callers.put(call_id, litellm_events.whose(payload))
        self._publish(found)

    def _fell(
        self, from_model: Any, kwargs: Mapping[str, Any], error: Any, *, answered: bool
    ) -> None:
        way = litellm_routes.way(from_model, kwargs, error)
        if way is None:
            return
        self._ways.put(way.call_id, way)
        if answered:
            caller = self._caller(way.call_id, litellm_routes.whose(kwargs))
            self._publish([litellm_routes.triggered(self._terms, caller, way)])

    def _refused(
        self, request: Mapping[str, Any], error: BaseException, key: Any
    ) -> None:
        call_id = allowed.identifier(request.get("litellm_call_id"))
        if call_id is None or request.get("model") is None:
            return
        caller = self._caller(call_id, _caller_of(key, request))
        way = self._ways.get(call_id)
        if way is not None:
            self._publish([litellm_routes.exhausted(self._terms, caller, way)])
        if self._told.get(call_id):
            return
        # LiteLLM keeps no record of what it does not expect, and so no more comes.
        self._told.put(f"{call_id}:hook", True)
        raised = raised_by(error)
        self._publish(
            [
                litellm_routes.failed(
                    self._terms,
                    caller,
                    call_id=call_id,
                    model=request.get("model"),
                    route=getattr(key, "request_route", None),
                    error=error,
                    guardrail=raised.name if raised else None,
                )
            ]
        )

    def _caller(self, call_id: str, said: Who) -> Who:
        if said.org_id is None and said.team_id is None:
            return self._callers.get(call_id) or said
        return said

    def _publish(self, events: list[Event]) -> None:
        """Publish events, each once: LiteLLM tells of some twice."""
        for event in events:
            if self._told.get(event["id"]) is None:
                self._told.put(event["id"], True)
                self._publisher.publish(event)

    def _safely(self, take: Callable[..., None], *given: Any, **more: Any) -> None:
        try:
            take(*given, **more)
        except NotMapped as error:
            self._warn(str(error))
        except Exception as error:  # noqa: BLE001  (a request must not fail for it)
            # Its text may hold what is in the record.
            self._warn(type(error).__name__)

    def _warn(self, problem: str) -> None:
        self.failed += 1
        if time.monotonic() < self._quiet_until:
            return
        self._quiet_until = time.monotonic() + _WARN_EVERY_S
        log.warning("%d calls were not told of so far; %s", self.failed, problem)


def _caller_of(key: Any, request: Mapping[str, Any]) -> Who:
    """Return whom the key of a request belongs to."""
    names = ("org_id", "team_id", "user_id", "project_id", "end_user_id")
    said = {f"user_api_key_{each}": getattr(key, each, None) for each in names}
    said["user_api_key_hash"] = getattr(key, "api_key", None)
    metadata = litellm_routes.metadata_of(request)
    return who(said, end_user=request.get("user"), tags=metadata.get("tags"))


def from_environment(environ: Mapping[str, str]) -> Callback:
    """Return a callback as the gateway's environment says.

    Raises:
        ValueError: If a setting is missing or wrong.
    """

    def given(name: str, default: str) -> str:
        return environ.get(_PREFIX + name) or default

    terms = Terms(
        source=given("LITELLM_SOURCE", Terms.source),
        tenant=given("LITELLM_TENANT", "") or None,
        tenant_by=given("LITELLM_TENANT_BY", Terms.tenant_by),
    )
    stream = given("STREAM", "asc:events")
    return Callback(given("REDIS_URL", ""), terms=terms, stream=stream)


def __getattr__(name: str) -> Any:
    """Make ``callback`` when it is first asked for."""
    if name != "callback":
        raise AttributeError(name)
    made = globals()[name] = from_environment(os.environ)
    return made
