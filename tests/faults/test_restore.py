"""A Redis that was restored from a backup: docs/backup.md says what that means."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio
from relevo.admin.v1.admin_pb2 import ShredTenantRequest
from relevo_client import (
    AsyncContextClient,
    ContextKey,
    ContextRef,
    ExecutionContext,
    NotFoundError,
    StoreBehindError,
    UnavailableError,
)
from relevo_server.server import Server
from support.clients.admin import admin_of
from support.redis.process import RedisProcess
from support.servers.key_rings import encrypting, write_ring
from support.servers.settings import settings_on
from support.waiting import until_async

KEY = ContextKey("agent_config", "acme", "support")
ENDED = ContextKey("agent_config", "acme", "ended")


class Scene(NamedTuple):
    """A store that is restored to what it was before `later` was written and `ENDED` ended."""

    redis: RedisProcess
    writer: AsyncContextClient
    reader: AsyncContextClient


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    """A Redis of the test's own."""
    with RedisProcess() as process:
        yield process


@pytest_asyncio.fixture
async def scene(redis: RedisProcess) -> AsyncIterator[Scene]:
    """A server over it, with a client that writes and one with a near cache."""
    settings = settings_on(redis.url)
    async with (
        Server(settings) as server,
        AsyncContextClient(server.address, cache=None, timeout=10) as writer,
        AsyncContextClient(server.address, timeout=10) as reader,
    ):
        yield Scene(redis, writer, reader)


def user_of(client: AsyncContextClient, key: ContextKey) -> str | None:
    """The user of a key in a near cache, None if it has no entry."""
    with suppress(NotFoundError):  # it knows that there is none
        entry = client.peek(key)
        return entry.context.user_id if entry else None
    return None


async def restored(scene: Scene) -> ContextRef:
    """Make a backup, write and end, and restore. Returns the write that the backup lacks."""
    redis, writer, reader = scene
    await writer.put(KEY, ExecutionContext(user_id="before"))
    await writer.put(ENDED, ExecutionContext(user_id="ended"))
    backup = redis.backup()
    later = await writer.put(KEY, ExecutionContext(user_id="after"))
    await writer.invalidate(ENDED)
    await reader.resolve(later)
    await until_async(lambda: user_of(reader, KEY) == "after")
    redis.stop()
    redis.restore(backup)
    redis.start()
    return later


async def test_near_caches_go_back(scene: Scene) -> None:
    """Every near cache works with the restored value, though its version is older than its copy's.

    What had been invalidated is alive again.
    """
    await restored(scene)
    await until_async(lambda: user_of(scene.reader, KEY) == "before")
    assert (await scene.reader.resolve(KEY)).context.user_id == "before"
    assert (await scene.writer.get(ENDED)).context.user_id == "ended"


async def test_references_of_lost_writes(scene: Scene) -> None:
    """They are refused until somebody writes, rather than answered with what is older.

    Versions then are greater than any before. An Invalidate is such a write.
    """
    later = await restored(scene)
    await until_async(lambda: user_of(scene.reader, KEY) == "before")
    with pytest.raises(StoreBehindError):
        await scene.writer.resolve(later)
    ended = await scene.writer.invalidate_tenant(KEY.tenant_id)
    assert ended.revision > later.revision
    with pytest.raises(NotFoundError):
        await scene.writer.resolve(later)
    await until_async(lambda: user_of(scene.reader, KEY) is None)
    again = await scene.writer.put(KEY, ExecutionContext(user_id="again"), if_absent=True)
    assert again.revision > ended.revision
    assert (await scene.writer.resolve(later)).context.user_id == "again"


async def test_a_shredded_tenant_comes_back(redis: RedisProcess, tmp_path: Path) -> None:
    """A backup has the data keys of tenants too, so a restore undoes a shred."""
    write_ring(tmp_path / "ring", "k1")
    plain = settings_on(redis.url)
    async with (
        Server(encrypting(plain, tmp_path / "ring")) as server,
        AsyncContextClient(server.address, cache=None, timeout=10) as client,
        admin_of(server.address) as admin,
    ):
        await client.put(KEY, ExecutionContext(user_id="secret"))
        backup = redis.backup()
        request = ShredTenantRequest(tenant_id=KEY.tenant_id)
        await admin.ShredTenant(request, timeout=10)
        with pytest.raises(NotFoundError):
            await client.get(KEY)
        redis.stop()
        redis.restore(backup)
        redis.start()

        async def is_back() -> bool:
            with suppress(UnavailableError):
                return (await client.get(KEY)).context.user_id == "secret"
            return False

        await until_async(is_back)
        await admin.ShredTenant(request, timeout=10)
        with pytest.raises(NotFoundError):
            await client.get(KEY)
