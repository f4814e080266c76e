"""The load generator against real servers: streams, changes, calls, and a server that goes."""

from collections.abc import AsyncIterator, Sequence
from itertools import islice
from typing import Any

import pytest
from pydantic import SecretStr
from relevo.v1.context_pb2 import ContextKey
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.waiting import until_async

from benchmarks import samples
from benchmarks.calls import path
from benchmarks.scale.generator import REQUEST_ID, Generator, Target
from benchmarks.scale.scene import fill, keys_of, puts

# The first test builds the generator.
pytestmark = pytest.mark.timeout(300)

SETTINGS = Settings(listen="127.0.0.1:0", store=SecretStr("memory://"))


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """The address of a server."""
    async with Server(SETTINGS) as server:
        yield server.address


async def become_current(load: Generator, streams: int) -> None:
    """Wait until so many streams are current."""

    async def are() -> bool:
        state: Any = await load.state()
        return bool(state["current"] == state["streams"] == streams)

    await until_async(are, within=60)


async def open_streams(
    load: Generator,
    *addresses: str,
    keys: Sequence[ContextKey],
    streams: int,
    connections: int,
) -> None:
    """Open streams, and wait until all are current."""
    serialized = [key.SerializeToString() for key in keys]
    await load.open(addresses, serialized, streams=streams, connections=connections, pace=1000)
    await become_current(load, streams)


@pytest.mark.parametrize("connections", [30, 3])
async def test_all_watchers_of_a_key_are_told(
    load: Generator, address: str, connections: int
) -> None:
    """Streams on connections of their own or on few ones are current, and hear of each change."""
    await fill(load, address, keys_of(1, 1))
    await open_streams(load, address, keys=keys_of(1, 1), streams=30, connections=connections)
    await load.window()
    target = Target(address, path("Put"), REQUEST_ID)
    told = await load.push(target, puts(keys_of(1, 1))[0], key=0, writes=3, interval=0, within=60)
    assert (told["writes"], told["watchers"]) == (3, 30)
    assert (told["told"], told["untold"]) == (90, 0)
    window = await load.window()
    assert (window["resets"], window["ended"]) == (0, 0)
    assert window["events"] >= 90


async def test_each_key_tells_its_own_watchers(load: Generator, address: str) -> None:
    """Writes at a rate are joined with what the watchers of each key have heard."""
    keys = keys_of(20, 4)
    await fill(load, address, keys)
    await open_streams(load, address, keys=keys, streams=40, connections=4)
    target = Target(address, path("Put"), REQUEST_ID)
    written = await load.write(target, puts(keys), rate=200, seconds=0.5)
    assert (written["failed"], written["told"]["writes"]) == (0, 100)
    assert (written["told"]["watchers"], written["told"]["untold"]) == (2, 0)
    assert written["told"]["told"] == 200


async def test_calls_are_counted(load: Generator, address: str) -> None:
    """Calls in flight are counted with their latencies, and none of them fails."""
    await fill(load, address, samples.entry_keys())
    requests = list(islice(samples.get_requests(), samples.ENTRIES))
    target = Target(address, path("Get"))
    done = await load.load(target, requests, in_flight=5, seconds=0.3, connections=2)
    assert done["calls"] > 0
    assert (done["failed"], done["retried"], done["problem"]) == (0, 0, "")
    assert 0 < done["p50"] <= done["p99"] <= done["max"]


async def test_calls_that_fail_are_counted(load: Generator, address: str) -> None:
    """A call that ends with a status has failed, also if it was made again."""
    missing = list(islice(samples.get_requests(), 1))
    target = Target(address, path("Get"))
    done = await load.load(target, missing, in_flight=1, seconds=0.1, tries=2)
    assert done["failed"] == done["calls"] > 0
    assert "trailers" in done["problem"]


async def test_a_herd_comes_to_the_other_server(load: Generator) -> None:
    """Streams whose server goes are current again on the next address, each after one attempt."""
    async with Server(SETTINGS) as second:
        async with Server(SETTINGS) as first:
            await open_streams(
                load, first.address, second.address, keys=keys_of(3, 3), streams=30, connections=30
            )
            await load.window()
        await become_current(load, 30)
        assert (await load.window())["ended"] >= 30
        assert (await load.state())["open"] == 30


async def test_churn_cuts_connections(load: Generator, address: str) -> None:
    """Streams whose connections are cut come back."""
    await open_streams(load, address, keys=keys_of(3, 3), streams=10, connections=10)
    await load.window()
    await load.churn(rate=100, seconds=0.1)
    ended = 0

    async def are_cut() -> bool:
        nonlocal ended
        ended += (await load.window())["ended"]
        return bool(ended == 10)

    await until_async(are_cut, within=60)
    await become_current(load, 10)


async def test_an_unknown_command_is_an_error(load: Generator) -> None:
    """A command that cannot be done is told as such, and the generator goes on."""
    with pytest.raises(RuntimeError, match="needs a connection, a pace and a key"):
        await load.open([], [], streams=1, connections=0, pace=0)
    assert (await load.state())["streams"] == 0
