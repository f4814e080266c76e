"""Fallbacks and resets of a platform under faults: its metrics equal what the test has caused."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from grpc import StatusCode, aio
from relevo.demo.v1 import rag_platform_pb2_grpc as grpc_api
from relevo.demo.v1.rag_platform_pb2 import EmbedRequest
from relevo.v1.store_pb2 import LeaseRequest, ReleaseRequest
from relevo_client import AsyncContextClient, ContextKey, ContextRef
from support.platform.nooble import Platform
from support.redis.process import RedisProcess
from support.servers.serving import stub_of
from support.telemetry.platform_collector import PlatformCollector
from support.telemetry.table import instruments
from support.waiting import until_async

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]

CALLS = 4
"""Calls of each kind, more than the service has processes."""
LATER = 3_600_000 << 20
"""An hour, in revisions."""


@dataclass
class Scene:
    """A platform with its collector, and a caller of its embedding service by gRPC."""

    platform: Platform
    collector: PlatformCollector
    embedding: "grpc_api.EmbeddingServiceAsyncStub"
    known: ContextRef
    """A snapshot that the service's processes have in their near caches."""
    live: ContextRef
    """The conversation itself. A snapshot serves any fence: only this can be too old."""

    async def call(self, ref: ContextRef | None) -> StatusCode:
        """Make one call with this reference, and return its status."""
        metadata = [("x-tenant-id", self.known.key.tenant_id)]
        if ref:
            metadata += [
                ("context-key", ref.key.text),
                ("context-revision", str(ref.revision)),
            ]
        request = EmbedRequest(texts=["a tent"])
        try:
            await self.embedding.Embed(request, metadata=metadata, timeout=20)
        except aio.AioRpcError as error:
            return error.code()
        return StatusCode.OK

    def fallbacks(self, case: str, fallback: str) -> float:
        """The fallbacks that all processes have counted."""
        return self.collector.total(
            "relevo.client.fallbacks", relevo__fallback__case=case, relevo__fallback=fallback
        )

    async def cause(
        self, case: str, fallback: str, ref: ContextRef | None, status: StatusCode
    ) -> None:
        """Make calls that all end alike, and see that just so many fallbacks are counted."""
        before = self.fallbacks(case, fallback)
        all_before = self.collector.total("relevo.client.fallbacks")
        for _ in range(CALLS):
            assert await self.call(ref) is status

        async def are_counted() -> bool:
            return self.fallbacks(case, fallback) == before + CALLS

        await until_async(are_counted, what=f"{case}: {fallback}")
        assert self.collector.total("relevo.client.fallbacks") == all_before + CALLS


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene() -> AsyncIterator[Scene]:
    """A platform whose embedding processes have each worked with one snapshot."""
    with (
        RedisProcess("--appendonly", "yes", "--maxmemory", "256mb") as redis,
        PlatformCollector() as collector,
    ):
        async with (
            Platform.running(redis, collector.environment) as platform,
            platform.conversation("meridian", "support") as conversation,
            AsyncContextClient(platform.wiring.store, cache=None, timeout=10) as contexts,
            aio.insecure_channel(
                platform.wiring.embedding,
                options=[("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}')],
            ) as channel,
        ):
            assert not (await conversation.ask()).error
            key = ContextKey("conversation", "meridian", "c-1")
            live = await contexts.resolve(key)
            known = await contexts.snapshot(live)
            stub = grpc_api.EmbeddingServiceStub(channel)
            scene = Scene(platform, collector, stub, known.ref, live.ref)
            for ref in (known.ref, live.ref):
                for _ in range(CALLS):  # to each process in turn
                    assert await scene.call(ref) is StatusCode.OK
            yield scene


async def test_without_a_reference(scene: Scene) -> None:
    """Calls without a reference are rejected, and each is counted."""
    await scene.cause("no_reference", "reject", None, StatusCode.FAILED_PRECONDITION)


async def test_an_unknown_context(scene: Scene) -> None:
    """Calls with a reference to what does not exist are rejected, and each is counted."""
    unknown = ContextRef(ContextKey("conversation", "meridian", "nobody"), 1)
    await scene.cause("not_found", "reject", unknown, StatusCode.FAILED_PRECONDITION)


async def test_a_store_that_is_behind(scene: Scene) -> None:
    """Calls with a later reference than the store has go on with the last known context."""
    later = ContextRef(scene.live.key, scene.live.revision + LATER)
    await scene.cause("too_old", "last_known", later, StatusCode.OK)


async def test_a_wait_for_a_lease(scene: Scene) -> None:
    """A caller that waits for another one's lease is counted, while it waits and after it."""
    agent = ContextKey("agent_config", "lumen", "billing").to_message()
    total = scene.collector.total
    waits = total("relevo.client.lease.wait.duration", relevo__outcome="granted")
    async with stub_of(scene.platform.wiring.store) as stub:
        granted = await stub.Lease(LeaseRequest(key=agent))

        async def converse() -> str:
            async with scene.platform.conversation("lumen", "billing") as conversation:
                return (await conversation.ask()).error

        conversing = asyncio.create_task(converse())

        async def is_waiting() -> bool:
            return total("relevo.server.lease.waiters") == 1

        await until_async(is_waiting, what="a waiting call")
        await stub.Release(ReleaseRequest(key=agent, lease_token=granted.lease.token))
        assert await conversing == ""

    async def is_counted() -> bool:
        granted = total("relevo.server.leases", relevo__outcome="granted")
        # All leases but the test's own.
        counted = total("relevo.client.lease.wait.duration", relevo__outcome="granted")
        is_over = total("relevo.server.lease.waiters") == 0
        return is_over and waits < counted == granted - 1

    await until_async(is_counted, what="the wait, and its end")
    assert total("relevo.server.leases", relevo__outcome="released") == 1


async def test_redis_is_gone(scene: Scene) -> None:
    """Without Redis, calls that no near cache answers are rejected, and the store says why."""
    unknown = ContextRef(ContextKey("conversation", "lumen", "nobody"), 1)
    scene.platform.redis.stop()
    try:
        await scene.cause("unavailable", "reject", unknown, StatusCode.UNAVAILABLE)

        async def is_told() -> bool:
            return scene.collector.total("relevo.server.store.available") == 0

        await until_async(is_told, what="relevo.server.store.available")
    finally:
        await asyncio.to_thread(scene.platform.redis.start)

    async def is_back() -> bool:
        return scene.collector.total("relevo.server.store.available") == 1

    await until_async(is_back, within=30, what="the store")


async def test_redis_loses_its_data(scene: Scene) -> None:
    """If Redis loses its data, servers reset partitions, and clients hear of each reset."""
    total = scene.collector.total
    before = total("relevo.server.watch.resets"), total("relevo.client.watch.resets")
    with scene.platform.redis.client() as client:
        client("FLUSHALL")

    async def are_reset() -> bool:
        reason = {"relevo__reset__reason": "order_changed"}
        told = total("relevo.server.watch.resets", **reason) - before[0]
        heard = total("relevo.client.watch.resets", **reason) - before[1]
        return 0 < heard == told

    await until_async(are_reset, within=30, what="resets")


async def test_every_instrument_appears(scene: Scene) -> None:
    """After all this, each instrument that docs/observability.md has was exported.

    The probe's are those of a process of its own.
    """
    documented = {
        name
        for name, each in instruments().items()
        if each.meter in ("relevo_client", "relevo_server")
    }
    assert documented - {point.name for point in scene.collector.points} == set()
