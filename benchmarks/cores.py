"""Binds the processes of the benchmarks to cores.

The server under load has one core to itself; the load generator and Redis share the
others. So a throughput is that of one core, and neither the load generator nor Redis
takes CPU from the server. gRPC's own threads share the server's core with Python:
otherwise a server that does little in Python would look better by the second core that
they use.

If a process cannot be bound to a core (not on Linux, or with only one core), the system
decides.
"""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager


class Cores:
    """Binds processes that are started to the server's core or to the others."""

    def __init__(self, *, bind: bool) -> None:
        self._server: set[int] = set()
        self._rest: set[int] = set()
        if bind and sys.platform == "linux":
            first, *rest = sorted(os.sched_getaffinity(0))
            if rest:
                self._server, self._rest = {first}, set(rest)
                os.sched_setaffinity(0, self._rest)

    def __str__(self) -> str:
        if not self._server:
            return "servers, load generator and Redis share all cores"
        server, rest = (", ".join(map(str, sorted(c))) for c in (self._server, self._rest))
        return f"the server under load on core {server}; load generator and Redis on {rest}"

    @contextmanager
    def of_server(self) -> Generator[None, None, None]:
        """Bind the processes that are started within to the server's core."""
        if not self._server or sys.platform != "linux":
            yield
            return
        os.sched_setaffinity(0, self._server)
        try:
            yield
        finally:
            os.sched_setaffinity(0, self._rest)

    @contextmanager
    def unbound(self) -> Generator[None, None, None]:
        """Let the processes that are started within run on all cores, and this one too."""
        if not self._server or sys.platform != "linux":
            yield
            return
        os.sched_setaffinity(0, self._server | self._rest)
        try:
            yield
        finally:
            os.sched_setaffinity(0, self._rest)
