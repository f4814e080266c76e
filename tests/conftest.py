"""Fixtures that tests of several kinds share."""

import logging
import os
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.calls import Stub
from support.network.ports import ReservedPort
from support.redis.client import RedisClient
from support.redis.cluster import RedisCluster
from support.redis.process import RedisProcess, describe
from support.rings import marks
from support.rings.guard import no_processes
from support.servers.deleted import deleted_servers
from support.servers.serving import stub_of
from support.servers.settings import settings_on

if TYPE_CHECKING:
    from support.telemetry.recorded import Spans

_REDIS = "RELEVO_TEST_REDIS"

# An example takes as long as it takes: a busy machine makes no property false.
hypothesis_settings.register_profile(
    "relevo", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.register_profile(
    "quick", hypothesis_settings.get_profile("relevo"), max_examples=10
)
hypothesis_settings.load_profile("relevo")


def pytest_report_header() -> str:
    """Say which Redis it is, and again at the end: a long run's beginning is far away."""
    return f"redis: {describe()}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which Redis it was."""
    terminalreporter.write_line(pytest_report_header())


@pytest.hookimpl(tryfirst=True)  # before pytest selects by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its rings."""
    marks.mark(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """See that a quick test starts no process."""
    with no_processes() if marks.must_not_start_processes(item) else nullcontext():
        return (yield)


def _is_ours(record: logging.LogRecord) -> bool:
    """All loops share gRPC's queue: who takes an event of a closed loop logs that."""
    raised = record.exc_info and record.exc_info[1]
    return not (
        record.getMessage().startswith("Exception in callback PollerCompletionQueue._handle_events")
        and isinstance(raised, RuntimeError)
        and str(raised) == "Event loop is closed"
    )


@pytest.fixture(scope="session", autouse=True)
def no_late_events() -> Iterator[None]:
    """What an earlier test's loop leaves in gRPC's queue is in no other test's log."""
    log = logging.getLogger("asyncio")
    log.addFilter(_is_ours)
    yield
    log.removeFilter(_is_ours)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own RELEVO_… variables change what is tested."""
    for name in os.environ:
        if name.startswith("RELEVO_") and name != _REDIS:
            monkeypatch.delenv(name)


@pytest.fixture
def port() -> Iterator[int]:
    """A port of the test's own, on which servers may come, go and come again."""
    with ReservedPort() as reserved:
        yield reserved.number


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real Redis: of RELEVO_TEST_REDIS, else one that is started and stopped here."""
    given = os.environ.get(_REDIS)
    if given:
        yield given
    else:
        with RedisProcess() as process:
            yield process.url


@pytest.fixture
def redis(redis_url: str) -> Iterator[RedisClient]:
    """The test's own client of this Redis, with all rights."""
    with RedisClient(redis_url) as client:
        yield client


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """A real Redis Cluster of three nodes, started and stopped here."""
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture(
    params=[pytest.param(each, marks=getattr(pytest.mark, each)) for each in ("memory", "redis")]
)
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of each backend in turn."""
    return "memory://" if request.param == "memory" else request.getfixturevalue("redis_url")


@pytest.fixture
def settings(store_url: str) -> Iterator[Settings]:
    """Settings of a server whose keys in Redis are the test's own, and end with it."""
    own = settings_on(store_url)
    yield own
    if store_url != "memory://":
        with RedisClient(store_url) as client:
            client.forget(own.store_prefix)


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[Server]:
    """A server within this process, on a real port."""
    async with Server(settings) as running:
        yield running


@pytest.fixture
def spans() -> "Spans":
    """The spans of this process, without those of earlier tests."""
    from support.telemetry import recorded  # noqa: PLC0415 - skips the test without the SDK

    spans = recorded.spans()
    spans.clear()
    return spans


@pytest.fixture
async def stub(server: Server) -> "AsyncIterator[Stub]":
    """The generated stub on a real channel to the server."""
    async with stub_of(server.address) as stub:
        yield stub


@pytest.fixture(scope="session", autouse=True)
def no_deleted_servers() -> Iterator[None]:
    """No log keeps a server that gRPC is deleting: to free such a record crashes the process.

    gRPC logs the server itself if it was not stopped, whenever the garbage is collected.
    """
    with deleted_servers():
        yield
