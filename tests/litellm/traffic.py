"""The fixed mix of 240 calls that a proxy is sent, and some that end in other ways."""

from __future__ import annotations

import json
import random
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

CALLS = 240
KEYS = (
    "sk-northwind-support",
    "sk-northwind-eng",
    "sk-contoso-clinic",
    "sk-contoso-labs",
)
MIX = (
    *("support-assistant",) * 8,
    *("copilot",) * 8,
    *("experiments-eu",) * 4,
    *("flaky",) * 2,
    "throttled",
    "toolong",
)
TEXTS = (
    *("summarise this ticket", "write a test", "translate to French") * 6,
    "my ssn is 123-45-6789",
    "mail me at a@example.com",
)
#: What none of our tables may hold.
PRIVATE = (
    *TEXTS,
    "the merger",
    "the weather",
    "EMAIL_REDACTED",
    "a@example.com",
    "ben@example.com",
    "The refund was issued",
    "def f(): return 1",
    "Bonjour.",
    "not about that",
    "unknown key",
    "mock rate limit",
    "Traceback",
    "site-packages",
    "Python-urllib",
)


class Call(NamedTuple):
    """One request to the proxy."""

    key: str
    body: dict[str, Any]


def mix() -> Iterator[Call]:
    """Return the 240 calls, the same each time."""
    dice = random.Random(7)
    for number in range(CALLS):
        tags = [
            f"feature:{dice.choice(['search', 'chat', 'extract'])}",
            f"bu:{dice.choice(['retail', 'claims'])}",
        ]
        body: dict[str, Any] = {
            "model": dice.choice(MIX),
            "messages": [{"role": "user", "content": dice.choice(TEXTS)}],
            "user": f"end-user-{dice.randrange(9)}",
            "metadata": {"tags": tags},
        }
        if dice.random() < 0.3:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        yield Call(dice.choice(KEYS) if number % 60 else "sk-unknown", body)


def others() -> Iterator[Call]:
    """Return calls that no other model answers, and that somebody's own rules end."""
    for model, text in (
        ("doomed", "write a test"),
        ("copilot", "tell me of the merger"),
        ("copilot", "tell me of the weather"),
    ):
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        yield Call(KEYS[0], body)


def send(url: str, call: Call) -> int:
    """Send a call and read the whole answer; return its status."""
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        json.dumps(call.body).encode(),
        {"Authorization": f"Bearer {call.key}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            error.read()
        return error.code


def drive(url: str) -> Counter[int]:
    """Send them all, one after the other; return how many had which status."""
    return Counter(send(url, each) for each in (*mix(), *others()))
