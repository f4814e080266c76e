"""Leases among real processes, when holders, servers and Redis fail: all get one entry."""

import signal
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.python_process import PythonProcess, python_process
from support.redis.process import RedisProcess
from support.servers.process import RelevoProcess
from support.servers.two_servers import two_servers
from support.waiting import until

LEASE_TTL = 2.0
SLACK = 1.0
"""Seconds by which a busy machine may be late."""


class Factories:
    """The state of all processes' factories: their calls, and the permission to return."""

    def __init__(self, directory: Path) -> None:
        self._calls = directory / "calls"
        self._gate = directory / "gate"
        self._calls.touch()

    @property
    def calls(self) -> list[str]:
        """The names of the processes whose factories were called, in order."""
        return self._calls.read_text().split()

    def let_return(self) -> None:
        """Let the factories return."""
        self._gate.touch()

    @contextmanager
    def process(
        self, target: str, name: str, callers: int = 1
    ) -> Generator[PythonProcess, None, None]:
        """A process that needs the entry."""
        arguments = (target, name, str(callers), str(self._calls), str(self._gate))
        with python_process("support.clients.creator", *arguments) as process:
            until(lambda: process.lines, within=60, what=f"{name} begins")
            yield process


@pytest.fixture
def factories(tmp_path: Path) -> Factories:
    """The factories of the processes."""
    return Factories(tmp_path)


@pytest.fixture
def flags() -> tuple[str, ...]:
    """Short leases."""
    return ("--lease-ttl", str(LEASE_TTL))


def until_called(process: PythonProcess) -> None:
    """Wait until this process's factory was called."""
    until(lambda: "called" in process.lines, what="the factory is called")


def results(process: PythonProcess, *, within: float = 15.0) -> list[tuple[int, str]]:
    """The final results of its callers: versions and users."""
    assert process.wait(within) == 0
    return [(line[0], line[1]) for line in process.lines if line not in ("begun", "called")]


@pytest.mark.timing
def test_a_holder_that_is_killed(process: RelevoProcess, factories: Factories) -> None:
    """If a holder is killed, another process creates the entry after the lease, with one call."""
    with factories.process(process.address, "one") as one:
        until_called(one)
        given = time.monotonic()
        one.signal(signal.SIGKILL)
        with factories.process(process.address, "two", 20) as two:
            begun = time.monotonic()
            until_called(two)
            seconds = time.monotonic() - max(begun, given + LEASE_TTL)
            factories.let_return()
            assert [user for _, user in results(two)] == ["two"]
    assert factories.calls == ["one", "two"]
    print(f"taken over {seconds:.2f} s after the lease was over")
    assert seconds < SLACK


def test_a_holder_that_stands_still(process: RelevoProcess, factories: Factories) -> None:
    """The late Put of a stopped holder is refused, and it returns the other's entry (S4)."""
    with factories.process(process.address, "one") as one:
        until_called(one)
        one.signal(signal.SIGSTOP)
        with factories.process(process.address, "two") as two:
            until_called(two)
            factories.let_return()
            entries = results(two)
        one.signal(signal.SIGCONT)
        assert results(one) == entries
    assert [user for _, user in entries] == ["two"]
    assert factories.calls == ["one", "two"]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_server_on_which_others_wait(redis: RedisProcess, factories: Factories, how: str) -> None:
    """If their server is killed, waiting callers move to another; no second factory is called."""
    with two_servers(redis) as servers, ExitStack() as stack:
        one = stack.enter_context(factories.process(servers.target(1), "one"))
        until_called(one)
        others = [
            stack.enter_context(factories.process(servers.target(0), f"other {i}", 20))
            for i in range(2)
        ]
        time.sleep(0.5)  # they wait now; nothing shows it, as their calls have no answer yet
        servers.stop(servers.ports[0]) if how == "stop" else servers.kill(servers.ports[0])
        begun = time.monotonic()
        factories.let_return()
        entries = results(one)
        for other in others:
            assert results(other) == entries
        print(f"all have it {time.monotonic() - begun:.2f} s after the server was gone")
    assert factories.calls == ["one"]


def test_redis_that_loses_the_lease(
    process: RelevoProcess, redis: RedisProcess, factories: Factories
) -> None:
    """A holder whose lease Redis lost is refused, or creates the entry again; all get one entry."""
    with ExitStack() as stack:
        one = stack.enter_context(factories.process(process.address, "one"))
        until_called(one)
        two = stack.enter_context(factories.process(process.address, "two", 20))
        redis.stop()
        redis.start()
        begun = time.monotonic()
        factories.let_return()
        entries = results(one)
        assert len(entries) == 1
        assert results(two) == entries
        print(f"all have it {time.monotonic() - begun:.2f} s after Redis was back")


def test_many_processes(process: RelevoProcess, factories: Factories) -> None:
    """All callers of all processes share one factory call."""
    factories.let_return()
    with ExitStack() as stack:
        begun = time.monotonic()
        creators = [
            stack.enter_context(factories.process(process.address, f"p{i}", 50)) for i in range(4)
        ]
        entries = {entry for creator in creators for entry in results(creator)}
        print(f"{len(creators)} processes have it after {time.monotonic() - begun:.2f} s")
    assert len(entries) == 1
    assert len(factories.calls) == 1
