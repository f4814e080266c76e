"""Change of the key ring while servers answer calls."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import pytest
from grpc import StatusCode
from relevo.admin.v1.admin_pb2 import RewrapKeysRequest, RewrapKeysResponse
from relevo_server.keys import partition_of
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.storage.encrypted.ring import name_in
from relevo_server.storage.key_records import ID_BYTES
from support.clients.admin import AdminStub, admin_of
from support.clients.calls import TIMEOUT, Stub, context, get, key, put
from support.failures import failure_of
from support.redis.client import RedisClient
from support.servers.key_rings import encrypting, write_ring, write_text
from support.servers.serving import serving, stub_of
from support.waiting import until_async

TENANTS = [f"t{i}" for i in range(6)]
MARK = "s3cret-value"


class Callers:
    """Puts and Gets of all tenants on some servers, without a pause. Use with `async with`."""

    def __init__(self, *stubs: Stub) -> None:
        self._stubs = stubs
        self._tasks: list[asyncio.Task[None]] = []
        self.calls = 0

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(self._call(stub, tenant))
            for stub in self._stubs
            for tenant in TENANTS
        ]
        await self.more()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop, and raise what a call has raised."""
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result

    async def more(self) -> None:
        """Wait until some more calls of each have ended."""
        target = self.calls + 5 * len(self._tasks)

        async def are_done() -> bool:
            assert not any(task.done() for task in self._tasks)
            return self.calls >= target

        await until_async(are_done, what="calls")

    async def _call(self, stub: Stub, tenant: str) -> None:
        while True:
            await put(stub, key(tenant=tenant), context(user_id=MARK))
            assert (await get(stub, key(tenant=tenant))).entry.context.user_id == MARK
            self.calls += 1


async def rewrap(admin: AdminStub, settings: Settings) -> list[RewrapKeysResponse]:
    """Rewrap all partitions."""
    requests = [RewrapKeysRequest(partition=i) for i in range(settings.partitions)]
    return [await admin.RewrapKeys(each, timeout=TIMEOUT) for each in requests]


def ring_keys(redis: RedisClient, settings: Settings) -> Mapping[str, str]:
    """The name of the ring's key that wraps each tenant's data key."""
    found: dict[str, str] = {}
    for tenant in TENANTS:
        partition = partition_of(tenant, settings.partitions)
        wrapped = redis("HGET", f"{{{settings.store_prefix}:{partition}}}:keys", tenant)
        found[tenant] = name_in(wrapped[ID_BYTES:])
    return found


async def test_rotation_under_load(settings: Settings, ring: Path, redis: RedisClient) -> None:
    """From one key ring to the next with no failed call, no restart, and no value written anew.

    Afterwards a server that has the new key alone reads everything.
    """
    settings = settings.model_copy(update={"health_interval": 0.05, "partitions": 8})
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(Server(settings)) for _ in range(2)]
        stubs = [await stack.enter_async_context(stub_of(each.address)) for each in servers]
        admin = await stack.enter_async_context(admin_of(servers[0].address))
        await put(stubs[0], key("kept", tenant="t0"), context(user_id=MARK))
        partition = partition_of("t0", settings.partitions)
        kept = f"{{{settings.store_prefix}:{partition}}}:entry:conversation:t0:kept"
        value = redis("HGET", kept, "context")
        async with Callers(*stubs) as callers:
            assert set(ring_keys(redis, settings).values()) == {"old"}
            write_ring(ring, "old", "new")  # all servers know it before one of them uses it
            await callers.more()
            write_ring(ring, "old", "new", primary="new")
            await callers.more()
            answers = await rewrap(admin, settings)
            assert {each.primary_key for each in answers} == {"new"}
            assert sum(each.key_count for each in answers) == len(TENANTS)
            assert sum(each.rewrapped_count for each in answers) == len(TENANTS)
            assert set(ring_keys(redis, settings).values()) == {"new"}
            write_ring(ring, "new")
            await callers.more()
            again = await rewrap(admin, settings)
            assert sum(each.rewrapped_count for each in again) == 0
            await callers.more()
        assert redis("HGET", kept, "context") == value
    async with serving(settings) as stub:
        assert (await get(stub, key("kept", tenant="t0"))).entry.context.user_id == MARK


async def test_a_key_that_only_others_have(
    settings: Settings, ring: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A server whose ring lacks a tenant's key answers UNAVAILABLE: another server may have it.

    It loads the ring again by itself as soon as it needs a key that it lacks.
    """
    behind = tmp_path / "behind.toml"
    write_ring(behind, "old")
    quiet = {"health_interval": 3600.0}  # no regular look at the file
    async with (
        serving(settings) as first,
        serving(encrypting(settings, behind).model_copy(update=quiet)) as late,
    ):
        write_ring(ring, "old", "new", primary="new")
        await put(first, key(tenant="t0"), context(user_id=MARK))

    async with (
        serving(settings) as first,
        serving(encrypting(settings, behind).model_copy(update=quiet)) as late,
    ):
        await put(first, key(tenant="t1"), context(user_id=MARK))
        failure = await failure_of(get(late, key(tenant="t1")))
        assert (failure.code, failure.reason) == (StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
        assert "encryption.key_missing" in caplog.text
        write_ring(behind, "old", "new")

        async def is_read() -> bool:
            try:
                found = await get(late, key(tenant="t1"))
            except Exception:  # noqa: BLE001 - the ring is loaded once a second
                return False
            return found.entry.context.user_id == MARK

        await until_async(is_read, what="the ring is loaded again")


async def test_a_broken_file_changes_nothing(
    settings: Settings, ring: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A running server whose file becomes unusable keeps the ring that it has, and logs it once."""
    settings = settings.model_copy(update={"health_interval": 0.02})
    async with serving(settings) as stub:
        await put(stub, key(tenant="t0"), context(user_id=MARK))
        write_text(ring, "primary = ")

        async def is_logged() -> bool:
            return "encryption.ring_unusable" in caplog.text

        await until_async(is_logged, what="the log line")
        await put(stub, key(tenant="t5"), context(user_id=MARK))
        for tenant in ("t0", "t5"):
            assert (await get(stub, key(tenant=tenant))).entry.context.user_id == MARK
        lines = [r for r in caplog.records if "encryption.ring_unusable" in r.getMessage()]
        assert len(lines) == 1


async def test_broken_records_are_left_out(
    settings: Settings, ring: Path, redis: RedisClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A rewrap leaves out what it cannot decrypt, says so, and wraps all else."""
    settings = settings.model_copy(update={"partitions": 1})
    names = f"{settings.store_prefix}:layout", f"{{{settings.store_prefix}:0}}:keys"
    async with Server(settings) as server, stub_of(server.address) as stub:
        for tenant in TENANTS:
            await put(stub, key(tenant=tenant), context(user_id=MARK))
        broken = redis("HGET", names[1], "t0")[:-1] + b"?"
        redis("HSET", names[1], "t0", broken)
        redis("HSET", names[0], "ring", redis("HGET", names[0], "ring")[:-1] + b"?")
        write_ring(ring, "old", "new", primary="new")
        async with admin_of(server.address) as admin:
            (answer,) = await rewrap(admin, settings)
        assert (answer.key_count, answer.rewrapped_count) == (len(TENANTS), len(TENANTS) - 1)
        assert redis("HGET", names[1], "t0") == broken
        left_out = [r.getMessage() for r in caplog.records if "key_corrupt" in r.getMessage()]
        assert ["'tenant': ''" in each for each in left_out] == [True, False]
        for tenant in TENANTS[1:]:
            assert (await get(stub, key(tenant=tenant))).entry.context.user_id == MARK


async def test_rewrap_without_encryption(plain: Settings) -> None:
    """A server that does not encrypt cannot rewrap; a partition that is none is refused."""
    async with Server(plain) as server, admin_of(server.address) as admin:
        failure = await failure_of(admin.RewrapKeys(RewrapKeysRequest(), timeout=TIMEOUT))
        assert (failure.code, failure.reason) == (StatusCode.UNIMPLEMENTED, "NOT_IMPLEMENTED")
        for number in (-1, plain.partitions):
            request = RewrapKeysRequest(partition=number)
            failure = await failure_of(admin.RewrapKeys(request, timeout=TIMEOUT))
            assert failure.fields == ["partition"]
