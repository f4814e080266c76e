"""SIGKILL of the server amid many Puts: every entry is whole or absent."""

import asyncio
import signal
from itertools import count

import pytest
from grpc import StatusCode, aio
from relevo.v1.context_pb2 import ExecutionContext
from relevo.v1.store_pb2 import PutRequest
from relevo_server import revisions
from relevo_server.keys import Key
from relevo_server.storage import Storage, open_storage
from relevo_server.storage.events import Event
from support.clients.calls import TIMEOUT, Stub, context, key
from support.redis.client import RedisClient
from support.redis.process import RedisProcess
from support.servers.process import RelevoProcess, relevo_serve
from support.servers.serving import stub_of

WRITERS = 200
PARTITIONS = 4


def context_of(name: str) -> ExecutionContext:
    """A context that identifies itself, at its beginning and at its end."""
    return context(context_id=name, llm_config={"a": "x" * 20_000}, rate_limits={"z": name})


async def put_until_killed(
    stub: Stub, server: RelevoProcess, kill_at: int
) -> dict[Key, int | None]:
    """Put from many writers at once, and kill the server after this many acknowledgements.

    Returns every key with the acknowledged revision, or None.
    """
    attempts: dict[Key, int | None] = {}
    acknowledged = 0

    async def write(i: int) -> None:
        nonlocal acknowledged
        for j in count():
            named = Key("conversation", f"t{i % 7}", f"c{i}-{j}")
            attempts[named] = None
            request = PutRequest(
                key=key(named.id, tenant=named.tenant_id), context=context_of(named.id)
            )
            try:
                attempts[named] = (await stub.Put(request, timeout=TIMEOUT)).revision
            except aio.AioRpcError as error:
                assert error.code() is StatusCode.UNAVAILABLE  # noqa: PT017
                return
            acknowledged += 1
            if acknowledged == kill_at:
                server.signal(signal.SIGKILL)

    await asyncio.gather(*(write(i) for i in range(WRITERS)))
    return attempts


async def events_of(storage: Storage) -> list[Event]:
    """The events of all partitions."""
    return [
        event
        for partition in range(PARTITIONS)
        for event in (await storage.tail(partition, 0, 100_000)).events
    ]


@pytest.mark.parametrize("kill_at", [1, 50, 200, 400])
async def test_whole_with_its_event_or_absent_without(
    redis: RedisProcess, client: RedisClient, kill_at: int
) -> None:
    """Each entry is whole, with its time to live and its event, or leaves no trace.

    Every acknowledged Put is present.
    """
    with relevo_serve("--store", redis.url, "--partitions", str(PARTITIONS)) as server:
        async with stub_of(server.address) as stub:
            attempts = await put_until_killed(stub, server, kill_at)
        assert server.wait() == -signal.SIGKILL
    storage = open_storage(redis.url, partitions=PARTITIONS)
    events = await events_of(storage)
    await storage.close()
    found: dict[Key, int] = {}
    for named, acknowledged in attempts.items():
        name = f"{{relevo:{storage.partition_of(named.tenant_id)}}}:entry:{named}"
        entry = client("HGETALL", name)
        if entry:
            assert entry.keys() == {b"version", b"created", b"ttl", b"context", b"mark"}
            assert entry[b"ttl"] == b"1800000"
            assert entry[b"created"] == entry[b"version"]
            assert ExecutionContext.FromString(entry[b"context"]) == context_of(named.id)
            assert 0 < client("PTTL", name) <= 1_800_000
            found[named] = revisions.from_log_id(entry[b"version"])
        if acknowledged is not None:
            assert found[named] == acknowledged
    assert {event.key: event.revision for event in events} == found
    assert len(events) == len(found)
    # The kill was amid the Puts: some were acknowledged, and many were in flight.
    assert kill_at <= sum(revision is not None for revision in attempts.values())
    assert sum(revision is None for revision in attempts.values()) == WRITERS
