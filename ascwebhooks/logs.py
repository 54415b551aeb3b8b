"""Logs: structlog, one JSON object a line on standard error; never a payload."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

import msgspec
import structlog

log = structlog.get_logger()


def configure(level: str, log_format: str) -> None:
    """Set up logging for this process.

    A delivery is a line, so a line must be cheap: msgspec writes it as bytes.

    Args:
        level: ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``.
        log_format: ``json``, or ``console`` for people.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    people = log_format == "console"
    structlog.configure(
        processors=[*shared, _console() if people else _bytes()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr)
        if people
        else structlog.BytesLoggerFactory(file=cast(BinaryIO, _Unfailing())),
        cache_logger_on_first_use=True,
    )
    last = _console() if people else _text()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                last,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


def info_all(event: str, lines: Iterable[dict[str, object]]) -> None:
    """Log many lines of one kind: what ``log.info`` would, by one write.

    A line for each delivery was 8 % of what a delivery cost.

    Args:
        event: What happened, in the past tense.
        lines: The rest of each line.
    """
    config = structlog.get_config()
    if not isinstance(config["logger_factory"], structlog.BytesLoggerFactory):
        for line in lines:
            log.info(event, **line)
        return
    if not log.is_enabled_for(logging.INFO):
        return
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    tail = {"event": event, "level": "info", "timestamp": now}
    text = b"".join([_encode(line | tail) + b"\n" for line in lines])
    _Unfailing().write(text)
    _Unfailing().flush()


class _Unfailing:
    """Standard error, but that a full disk or a closed pipe raises nothing.

    A line that cannot be written is lost; the thread that wanted to say something
    goes on with its work.
    """

    def write(self, data: bytes) -> int:
        with suppress(OSError, ValueError):
            return sys.stderr.buffer.write(data)
        return len(data)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.buffer.flush()


def _console() -> Any:
    # structlog's own choice shows the values of local variables, secrets among them.
    return structlog.dev.ConsoleRenderer(
        exception_formatter=structlog.dev.plain_traceback
    )


def _bytes() -> Any:
    return structlog.processors.JSONRenderer(serializer=_encode)


def _text() -> Any:
    return structlog.processors.JSONRenderer(
        serializer=lambda value, **_: _encode(value).decode()
    )


def _encode(value: Any, **_: Any) -> bytes:
    return msgspec.json.encode(value, enc_hook=repr)
