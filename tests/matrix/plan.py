"""The plan of the matrix: the only place that decides which tests run on what.

The whole matrix runs every test of the rings below, except those that need the tools of
`make check`. A sample runs the tests whose results can
differ on another server or another Python, and leaves out the server and the Python that
`make test` uses on this machine: `.ci/run` runs both.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from matrix.pythons import supported
from matrix.servers import SERVERS

OF_SERVERS = ("actions", "admin", "faults", "near_cache", "platform", "store")
"""The rings whose tests use a server."""
OF_PYTHONS = (
    *("actions", "asgi", "cli", "client", "contract", "near_cache"),
    *("probe", "propagation", "store", "telemetry"),
)
"""The rings of clients and commands, and the store's, which uses Python's own TLS."""
SERVER_OF_PYTHONS = "redis-8.2"
"""The server for the tests of a Python."""

NEED_CHECKERS = ("contract/test_twins.py",)
"""Files whose tests run ruff, which the environments of the other Pythons do not have."""
NO_SERVER_IN_IT = (
    *("near_cache/test_ageing.py", "near_cache/test_simulation.py"),  # without I/O
    "near_cache/test_threads.py",  # on stores in memory
    *("faults/test_ports.py", "faults/test_proxy.py"),  # tests of the tests' own support
    *("faults/test_near_cache.py", "faults/test_near_cache_away.py"),  # between clients and
    *("faults/test_blocking_near_cache.py", "faults/test_near_cache_load.py"),  # Relevo's servers
    *("faults/test_deaf_watcher.py", "faults/test_stopping.py", "faults/test_coherence.py"),
    *("store/test_redis_tls.py", "store/test_settings.py"),  # before Redis gets any command
    "platform/test_measured.py",  # figures; the other files have the platform's work
)
"""Files whose tests no server can change. A sample leaves them out."""
NO_PYTHON_IN_IT = (
    "near_cache/test_simulation.py",  # without I/O
    "actions/test_standing_still.py",  # what Redis counts, while processes are stopped
)
"""Files whose tests no Python can change. A sample leaves them out."""


@dataclass(frozen=True)
class Leg:
    """The tests of a ring on one server with one Python: one run of pytest."""

    of: str
    """The server or the Python under test: "redis-7.0", "python-3.12"."""
    ring: str
    """A folder below tests/."""
    server: str
    python: str
    without: tuple[str, ...] = ()
    """Files that are left out."""
    marks: str = "not long"
    """The tests, as an expression for pytest's -m."""

    @property
    def name(self) -> str:
        """The name of the leg."""
        return f"{self.of} {self.ring}"


def legs(own_python: str) -> Iterator[Leg]:
    """All legs of the whole matrix."""
    for version in supported():
        for ring in OF_PYTHONS:
            yield Leg(f"python-{version}", ring, SERVER_OF_PYTHONS, version, NEED_CHECKERS)
    for server in SERVERS:
        for ring in OF_SERVERS:
            yield Leg(server, ring, server, own_python)


def sample(own_python: str, own_server: str) -> Iterator[Leg]:
    """All legs of a sample."""
    for leg in legs(own_python):
        if leg.of == leg.server != own_server:
            yield replace(leg, without=NO_SERVER_IN_IT, marks="not long and not memory")
        if leg.of != leg.server and leg.python != own_python:
            without = (*leg.without, *NO_PYTHON_IN_IT)
            yield replace(leg, without=without, marks="not long and not redis")
