"""What a real LiteLLM proxy handed to a callback, 240 calls of it, and what to find.

``data/litellm_callbacks.jsonl`` holds each hook's arguments as they were recorded, with
prompts, answers, e-mails and tracebacks.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ascwebhooks.integrations.litellm import Callback

CALLS = 240
RECORDED = Path(__file__).parent / "data" / "litellm_callbacks.jsonl"
#: What none of our tables may hold: prompts, answers, the text of errors, clients.
PRIVATE = (
    "write a test",
    "summarise this ticket",
    "translate to French",
    "my ssn is",
    "123-45-6789",
    "mail me at",
    "EMAIL_REDACTED",
    "a@example.com",
    "The refund was issued",
    "def f(): return 1",
    "Bonjour.",
    "unknown key",
    "mock rate limit",
    "Traceback",
    "site-packages",
    "user_api_key_auth_builder",
    "Python-urllib",
)


def run(work: Coroutine[Any, Any, Any]) -> None:
    """Run it in a thread of its own: a browser's driver keeps a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()


def recorded() -> list[dict[str, Any]]:
    """Return the hooks in the order in which they were called."""
    return [json.loads(line) for line in RECORDED.read_text().splitlines()]


def payloads() -> list[dict[str, Any]]:
    """Return the standard logging payloads alone."""
    return [
        each["payload"] for each in recorded() if each["hook"].startswith("async_log")
    ]


def expected() -> dict[str, dict[str, Any]]:
    """Return the events that were made of them once, by hand, by their ids."""
    own = resources.files("ascwebhooks.embedded").joinpath("sample_events.jsonl")
    found = map(json.loads, own.read_text().splitlines())
    return {each["id"]: each for each in found}


def spend(found: list[dict[str, Any]]) -> Decimal:
    """Return what the payloads cost, as LiteLLM's floats read."""
    return sum((Decimal(repr(each["response_cost"])) for each in found), Decimal())


def replay(callback: Callback) -> None:
    """Call a callback's hooks as the proxy did."""
    run(_replay(callback))


async def _replay(callback: Callback) -> None:
    for each in recorded():
        given = each["payload"]
        match each["hook"]:
            case "log_success_fallback_event":
                await callback.log_success_fallback_event(
                    given["original_model_group"], given, InternalServerError()
                )
            case "async_post_call_failure_hook":
                key = SimpleNamespace(**{k: given[k] for k in ("team_id", "org_id")})
                await callback.async_post_call_failure_hook(given, Exception(), key)
            case hook:
                kwargs = {"standard_logging_object": given}
                await getattr(callback, hook)(kwargs, None, None, None)


class InternalServerError(Exception):
    """As the recorded fallbacks were caused by."""


def leaks(everything: bytes) -> Iterator[str]:
    """Yield what is private and found, as it is or in hexadecimal."""
    for text in PRIVATE:
        if text.encode() in everything or text.encode().hex().encode() in everything:
            yield text
