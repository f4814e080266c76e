"""The plan of the matrix: the only place that decides which tests run on what.

The whole matrix runs every test of the rings below, except those that need the tools of
`make check`. A sample runs the tests whose results can
differ on another server or another Python, and leaves out the server and the Python that
`make test` uses on this machine: `.ci/run` runs both.

As in `make test`, tests that promise a time run last, with less beside them: each server and
each Python has one leg of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from matrix.pythons import supported
from matrix.servers import SERVERS

OF_SERVERS = ("faults", "platform", "store", "near_cache", "actions", "admin")
"""The rings whose tests use a server, the longest first: it is not the last one to end."""
OF_PYTHONS = (
    *("store", "propagation", "near_cache", "client", "actions", "probe", "telemetry"),
    *("asgi", "cli", "contract", "turns"),
)
"""The rings of clients and commands, and the store's, which uses Python's own TLS."""
SERVER_OF_PYTHONS = "redis-8.2"
"""The server for the tests of a Python."""

NEED_CHECKERS = ("contract/test_twins.py",)
"""Files whose tests run ruff, which the environments of the other Pythons do not have."""
NO_SERVER_IN_IT = (
    *("faults/test_ports.py", "faults/test_proxy.py"),  # tests of the tests' own support
    *("faults/test_near_cache.py", "faults/test_near_cache_away.py"),  # between clients and
    *("faults/test_blocking_near_cache.py", "faults/test_near_cache_load.py"),  # Relevo's servers
    *("faults/test_deaf_watcher.py", "faults/test_stopping.py", "faults/test_coherence.py"),
    "faults/test_told_in_time.py",  # while Redis is silent, or refuses connections
    *("store/test_redis_tls.py", "store/test_settings.py"),  # before Redis gets any command
    "platform/test_measured.py",  # figures; the other files have the platform's work
)
"""Files whose tests no server can change, although they start one. A sample leaves them out."""
NO_PYTHON_IN_IT = (
    *("near_cache/test_simulation.py", "near_cache/test_rider_simulation.py"),  # without I/O
    "store/test_server_cache_simulation.py",  # without I/O
    "actions/test_standing_still.py",  # what Redis counts, while processes are stopped
)
"""Files whose tests no Python can change. A sample leaves them out."""
BETWEEN = {"redis-7.0": "store", "python-3.12": "client"}
"""What stands between two others, and the only ring of it in a sample: it shows that all is there
that it takes. What holds on the oldest and on the newest holds here too, unless `make test-matrix`
shows the contrary."""

BESIDE_OTHERS = "not long and not timing and not browser"
"""The tests that other tests may run beside, as an expression for pytest's -m."""
TIMING = "timing and not long and not browser"
"""The tests that promise a time."""


@dataclass(frozen=True)
class Leg:
    """The tests of rings on one server with one Python: one run of pytest."""

    of: str
    """The server or the Python under test: "redis-7.0", "python-3.12"."""
    rings: tuple[str, ...]
    """Folders below tests/."""
    server: str
    python: str
    without: tuple[str, ...] = ()
    """Files that are left out."""
    marks: str = BESIDE_OTHERS
    """The tests, as an expression for pytest's -m."""

    @property
    def is_timing(self) -> bool:
        """Whether its tests promise a time."""
        return self.marks.endswith(TIMING)

    @property
    def ring(self) -> str:
        """The name of its ring: its folder, or "timing"."""
        return "timing" if self.is_timing else ", ".join(self.rings)

    @property
    def name(self) -> str:
        """The name of the leg."""
        return f"{self.of} {self.ring}"


def legs(own_python: str) -> Iterator[Leg]:
    """All legs of the whole matrix."""
    for server in SERVERS:
        of_server = Leg(server, OF_SERVERS, server, own_python)
        yield from _legs_of(of_server)
    for version in supported():
        of_python = Leg(f"python-{version}", OF_PYTHONS, SERVER_OF_PYTHONS, version, NEED_CHECKERS)
        yield from _legs_of(of_python)


def _legs_of(leg: Leg) -> Iterator[Leg]:
    """A leg for each ring, and one of all tests that promise a time."""
    for ring in leg.rings:
        yield replace(leg, rings=(ring,))
    yield replace(leg, marks=TIMING)


def sample(own_python: str, own_server: str) -> Iterator[Leg]:
    """All legs of a sample."""
    for leg in legs(own_python):
        if leg.ring != BETWEEN.get(leg.of, leg.ring):
            continue
        if leg.of == leg.server != own_server:
            # A test that starts no process has no server in it.
            marks = f"processes and not memory and {leg.marks}"
            yield replace(leg, without=NO_SERVER_IN_IT, marks=marks)
        if leg.of != leg.server and leg.python != own_python:
            without = (*leg.without, *NO_PYTHON_IN_IT)
            marks = f"not redis and {leg.marks}"
            if not leg.is_timing:
                # What the quick ring leaves out has the same values, in other combinations.
                marks = f"(quick or processes) and {marks}"
            yield replace(leg, without=without, marks=marks)
