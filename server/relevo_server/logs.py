"""Structured logs: one event a line, on stderr, and never a context's value."""

import logging
import sys
import traceback
from typing import Literal

import structlog


def configure(level: str, style: Literal["json", "console"]) -> None:
    """Set up structlog for the process."""
    renderer = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def where(error: BaseException) -> str:
    """The type of an error and the lines it passed through.

    Not its text: that may quote what it stumbled over.
    """
    frames = traceback.extract_tb(error.__traceback__)
    lines = " > ".join(f"{frame.name}:{frame.lineno}" for frame in frames)
    return f"{type(error).__name__} in {lines}"
