"""Reads the log of a server in the test's own process, and restores the logs of a process."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

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


def events_of(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """What servers in this process have logged so far, at the level of `caplog`."""
    ours = [each for each in caplog.records if each.name.split(".")[0] == "relevo_server"]
    messages: list[Any] = [each.msg for each in ours]
    return [dict(each) for each in messages]
