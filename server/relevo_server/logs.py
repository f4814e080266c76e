"""Structured logs: one event a line, never with a context's value.

They go through the standard library's logger "relevo_server", so the host process of an
embedded server decides how they are written. A process that is only a server writes what its
libraries log in the same way.
"""

import json
import logging
import math
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import structlog
from structlog.typing import EventDict

_logger = logging.getLogger("relevo_server")

log: structlog.stdlib.BoundLogger = structlog.wrap_logger(
    _logger,
    processors=[
        structlog.stdlib.filter_by_level,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
)

to_json = json.JSONEncoder(ensure_ascii=False).encode
"""The JSON of an event."""

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING}


def tell(logger: logging.Logger, event: Mapping[str, Any]) -> None:
    """Log an event that has its level and its time already.

    It takes half of the time that `log` takes, for events that come with every write.
    """
    level = _LEVELS[event["level"]]
    if logger.isEnabledFor(level):
        record = logging.LogRecord(logger.name, level, "", 0, event, None, None)
        # What wrap_for_formatter attaches: the message is an event.
        record.__dict__.update(_logger=logger, _name=event["level"])
        logger.handle(record)


class _JsonFormatter(structlog.stdlib.ProcessorFormatter):
    """Writes events as JSON. One without a place in the code came by `tell`, and is complete.

    `names` is added to such an event: it says which process this is.
    """

    def __init__(self, *, names: Mapping[str, Any], **options: Any) -> None:
        self._names = names
        super().__init__(**options)

    def format(self, record: logging.LogRecord) -> str:
        if not record.lineno and isinstance(record.msg, dict):
            return to_json({**record.__dict__["msg"], **self._names})
        return super().format(record)


def configure(level: str, style: Literal["json", "console"], worker: int = 0) -> None:
    """Log to stderr, libraries from WARNING on. For a process that is only a server.

    Each event of one of a server's workers has its number as `worker`.
    """
    names = {"worker": worker} if worker else {}

    def named(_: object, __: str, event: EventDict) -> EventDict:
        event.update(names)
        return event

    renderer = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    options: dict[str, Any] = {
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, named, renderer],
        "foreign_pre_chain": [_of_library],
    }
    handler = logging.StreamHandler()
    handler.setFormatter(
        _JsonFormatter(names=names, **options)
        if style == "json"
        else structlog.stdlib.ProcessorFormatter(**options)
    )
    handler.addFilter(_quotes_no_header)
    _logger.handlers = [handler]
    _logger.propagate = False
    logging.getLogger().handlers = [handler]
    set_level(level)


def set_level(level: str) -> None:
    """Log from this level on, in a process that `configure` was called in."""
    _logger.setLevel(level.upper())
    logging.getLogger().setLevel(max(logging.WARNING, _logger.level))


def _quotes_no_header(record: logging.LogRecord) -> bool:
    """False for gRPC's record of a header that is not UTF-8: it quotes the whole value."""
    return not (record.name.startswith("grpc") and "Invalid encoding on" in str(record.msg))


def _of_library(_: object, __: str, record: EventDict) -> EventDict:
    """A log record of a library, as gRPC or asyncio, as an event.

    Of its text only the first line, and of an exception only where it was raised: the rest may
    quote values.
    """
    raw: logging.LogRecord = record["_record"]
    error = raw.exc_info[1] if raw.exc_info else None
    return {
        **{name: record[name] for name in ("_record", "_from_structlog")},
        "logger": raw.name,
        "message": str(record["event"]).partition("\n")[0],
        **({"where": where(error)} if error else {}),
        "event": "library.message",
        "level": raw.levelname.lower(),
        "timestamp": datetime.fromtimestamp(raw.created, UTC).isoformat().replace("+00:00", "Z"),
    }


def where(error: BaseException) -> str:
    """The type of an error and the lines of its traceback.

    Its text is left out: it may quote a value.
    """
    frames = traceback.extract_tb(error.__traceback__)
    lines = " > ".join(f"{frame.name}:{frame.lineno}" for frame in frames)
    return f"{type(error).__name__} in {lines}"


def cause_of(error: BaseException | None) -> str:
    """The type and the text of an error. Only for errors of connections: they quote no values."""
    return f"{type(error).__name__}: {error}"


class LogThrottle:
    """Counts a recurring event, and limits its log lines to one every `seconds`."""

    def __init__(self, seconds: float = 60.0) -> None:
        self.count = 0
        """The number of times that the event has occurred."""
        self._seconds = seconds
        self._due = -math.inf

    def is_due(self, now: float, times: int = 1) -> bool:
        """Count the event `times` times. Returns whether to log it now."""
        self.count += times
        if now < self._due:
            return False
        self._due = now + self._seconds
        return True
