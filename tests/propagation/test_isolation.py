"""Concurrent calls each have their own context, in every service of a chain."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from grpc import aio
from relevo_client import (
    AsyncContextClient,
    ContextEntry,
    ContextKey,
    ExecutionContext,
    aio_client_interceptors,
    aio_server_interceptor,
    current_context,
    require_context,
    use_context,
)
from support.servers.services import ServicerContext, method_of, service

TENANTS = [f"tenant-{i}" for i in range(10)]


@pytest.fixture
async def entries(client: AsyncContextClient) -> list[ContextEntry]:
    """An entry for each of ten tenants."""
    for tenant in TENANTS:
        key = ContextKey("conversation", tenant, "c")
        await client.put(key, ExecutionContext(tenant_id=tenant, llm_config={"owner": tenant}))
    return [await client.resolve(ContextKey("conversation", tenant, "c")) for tenant in TENANTS]


@pytest.fixture
async def two_services(client: AsyncContextClient) -> AsyncIterator[aio.Channel]:
    """A channel to a service that calls another one, with pauses in both."""
    async with AsyncExitStack() as stack:
        second: aio.Channel

        async def leaf(_: bytes, __: ServicerContext) -> bytes:
            await _pause()
            context = require_context()
            assert context.llm_config["owner"] == context.tenant_id
            return context.tenant_id.encode()

        async def relaying(_: bytes, __: ServicerContext) -> bytes:
            await _pause()
            mine = require_context().tenant_id
            # Tasks of the handler's own, as services create them.
            parts = await asyncio.gather(*(method_of(second)(b"", timeout=20) for _ in range(3)))
            await _pause()
            assert require_context().tenant_id == mine
            return b",".join([mine.encode(), *parts])

        interceptor = aio_server_interceptor(client, trust_callers=True)
        for method in (leaf, relaying):
            address = await stack.enter_async_context(
                service({"Do": method}, interceptors=[interceptor])
            )
            interceptors = aio_client_interceptors()
            channel = aio.insecure_channel(address, interceptors=interceptors)
            await stack.enter_async_context(channel)
            if method is leaf:
                second = channel
        yield channel


async def _pause() -> None:
    for _ in range(random.randrange(4)):  # noqa: S311 - any order will do
        await asyncio.sleep(0)


async def test_calls_of_ten_tenants_never_mix(
    two_services: aio.Channel, entries: list[ContextEntry]
) -> None:
    """300 concurrent calls of ten tenants, each through two services, see their own tenant."""

    async def one(entry: ContextEntry) -> None:
        tenant = entry.key.tenant_id.encode()
        with use_context(entry):
            await _pause()
            assert await method_of(two_services)(b"", timeout=20) == b",".join([tenant] * 4)
            context = current_context()
            assert context is not None
            assert context.tenant_id.encode() == tenant

    await asyncio.gather(*(one(entry) for entry in entries * 30))
    assert current_context() is None


async def test_cancelled_calls_leave_nothing_behind(
    client: AsyncContextClient, entries: list[ContextEntry]
) -> None:
    """A cancelled handler does not leave its context to the next call."""
    begun = asyncio.Event()

    async def do(request: bytes, _: Any) -> bytes:
        if request == b"hang":
            begun.set()
            await asyncio.Event().wait()
        context = current_context()
        return context.tenant_id.encode() if context else b"none"

    running = service({"Do": do}, interceptors=[aio_server_interceptor(client, trust_callers=True)])
    interceptors = aio_client_interceptors()
    async with (
        running as address,
        aio.insecure_channel(address, interceptors=interceptors) as channel,
    ):
        for entry in entries:
            begun.clear()
            with use_context(entry):
                call = asyncio.ensure_future(method_of(channel)(b"hang", timeout=20))
                await begun.wait()
                call.cancel()
            assert await method_of(channel)(b"", timeout=20) == b"none"
