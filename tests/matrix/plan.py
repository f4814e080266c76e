"""What is run where: the one place that decides it.

The whole matrix runs every test of the rings below. A sample runs those that can turn out
otherwise on another server or another Python, and leaves out the server and the Python
that `make test` uses on this machine: `.ci/run` runs both.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from matrix.pythons import supported
from matrix.servers import SERVERS

OF_SERVERS = ("store", "faults", "near_cache", "actions", "platform")
"""The rings that have a server in them."""
OF_PYTHONS = ("client", "propagation", "near_cache", "actions", "asgi", "contract")
"""The rings of the client."""
SERVER_OF_PYTHONS = "redis-8.2"
"""What the tests of a Python use."""

SAMPLE_OF_SERVERS = OF_SERVERS
SAMPLE_OF_PYTHONS = OF_PYTHONS


@dataclass(frozen=True)
class Leg:
    """The tests of some rings, on one server, with one Python."""

    name: str
    server: str
    python: str
    tests: tuple[str, ...]
    """Folders and files below tests/."""
    marks: str = "not long"
    """Which of them, as pytest's -m says it."""


def legs(own_python: str) -> Iterator[Leg]:
    """All legs of the whole matrix."""
    for server in SERVERS:
        yield Leg(server, server, own_python, OF_SERVERS)
    for version in supported():
        yield Leg(f"python-{version}", SERVER_OF_PYTHONS, version, OF_PYTHONS)


def sample(own_python: str, own_server: str) -> Iterator[Leg]:
    """All legs of a sample."""
    for server in SERVERS:
        if server != own_server:
            yield Leg(server, server, own_python, SAMPLE_OF_SERVERS, "not long and not memory")
    for version in supported():
        if version != own_python:
            name = f"python-{version}"
            yield Leg(name, SERVER_OF_PYTHONS, version, SAMPLE_OF_PYTHONS, "not long and not redis")
