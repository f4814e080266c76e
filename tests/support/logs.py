"""Undoes what a command or a server sets up for the logs of a whole process."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

_LOGGERS = (None, "relevo_client", "relevo_server")


@contextmanager
def restored_logs() -> Generator[None, None, None]:
    """Give the loggers back their handlers, levels and propagation at the end."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(each, list(each.handlers), each.level, each.propagate) for each in loggers]
    try:
        yield
    finally:
        for logger, handlers, level, propagates in before:
            logger.handlers, logger.propagate = handlers, propagates
            logger.setLevel(level)
