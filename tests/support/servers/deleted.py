"""gRPC servers that are deleted before they were stopped."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

import pytest

_DELETED = "__dealloc__ called on running server"


@contextmanager
def deleted_servers() -> Generator[list[int]]:
    """The states of servers that are deleted in the `with` block before they were stopped.

    grpcio logs them at DEBUG level, with the server as an argument, while it deletes the server: a
    log record that is kept holds freed memory (seen with 1.85.1). So they are kept out of the log.
    """
    log = logging.getLogger("grpc._cython.cygrpc")
    states: list[int] = []
    debug = log.debug

    def debug_others(message: object, *values: object) -> None:
        if str(message).startswith(_DELETED):
            _, state = values
            assert isinstance(state, int)
            states.append(state)
        else:
            debug(message, *values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "debug", debug_others)
        yield states
