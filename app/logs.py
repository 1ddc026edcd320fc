"""The log: structlog, one JSON line an event on standard output, or lines for people.

Nothing that holds a key can be written: `Bundle`, `Held` and their like have no text form, and
tracebacks are written without the values of variables.
"""

import io
import logging
import sys
from math import inf
from typing import Any

import orjson
import structlog

from app.audit import Event, category

_QUIET = (
    *("azure", "aiohttp", "msal", "httpx", "httpcore", "uvicorn", "asyncio"),
    *("procrastinate", "psycopg"),
)
_AGAIN_AND_AGAIN = "psycopg.pool"  # with PostgreSQL away, twice a second; only it says why
_MINUTE_S = 60.0


class _OnceAMinute(logging.Filter):
    """Lets a logger say each of its sentences once a minute, whatever the values in it."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this one is written."""
        sentence = str(record.msg)
        if abs(record.created - self._said.get(sentence, -inf)) < _MINUTE_S:  # a clock may go back
            return False
        self._said[sentence] = record.created
        return True


class _StandardOutput(io.StringIO):
    """Standard output as it is when something is written, not as it was at the start."""

    def write(self, text: str, /) -> int:
        """Write *text*."""
        return sys.stdout.write(text)

    def flush(self) -> None:
        """Flush what was written."""
        sys.stdout.flush()


def configure(*, style: str, level: str) -> None:
    """Set the log up for the process: *style* is `json` or `console`, *level* a level's name."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendered: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_dumps)]
        if style == "json"
        else [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    )
    structlog.configure(
        processors=[*shared, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=_StandardOutput()),
    )
    _configure_libraries(shared, rendered, number)


def told(event: Event) -> None:
    """Write an audit event as one line, beside the stored one, whatever the level is."""
    line: Any = {
        "event": event.action.value,
        "audit_id": event.id,
        "actor": event.actor.name,
        "event_category": category(event.action).value,
        "resource_type": event.resource_type,
        "resource_id": event.resource_id,
        "request_id": event.request_id,
        "trace_id": event.trace_id,
        **event.details,
    }
    # A logger made for each event would cost as much as the whole line.
    for processor in structlog.get_config()["processors"]:
        line = processor(None, "info", line)
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _configure_libraries(shared: list[Any], rendered: list[Any], level: int) -> None:
    """What the libraries log goes the same way; the chatty ones only when something is wrong.

    The Azure SDK can log bodies at DEBUG, and a body holds a key, so it never gets there.
    """
    handler = logging.StreamHandler(_StandardOutput())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.getLogger(_AGAIN_AND_AGAIN).filters = [_OnceAMinute()]


def _dumps(value: Any, **options: Any) -> str:  # noqa: ANN401 - structlog's signature
    return orjson.dumps(value, default=options.get("default")).decode()
