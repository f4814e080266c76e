"""Channels to replicas, the proxy that strips metadata, and calls that are counted by turn."""

import asyncio
from contextvars import Context
from typing import Any
from unittest.mock import Mock

import grpc
import pytest
from faststream import ContextRepo
from grpc import aio
from nooble.channels import ROUND_ROBIN, store_channel, target_of
from nooble.counting import (
    CORRELATION,
    CountedChannel,
    CountingActions,
    CountingCalls,
    counted_for,
    turn_id,
)
from nooble.proxy import proxy
from relevo_client import AsyncContextClient, ContextKey, ExecutionContext
from relevo_client.testing import LocalStore
from support.platform.nooble import Platform
from support.redis.process import RedisProcess
from support.servers.relay import Relay
from support.servers.services import method_of, service

KEY = ContextKey("agent_config", "acme", "support")
KNOWN = [("context-key", "snapshot:acme:x"), ("context-revision", "7"), ("x-tenant-id", "acme")]


class Upstream:
    """Methods of a service behind the proxy, which keeps the metadata of the last call."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.methods = {"Do": self.do, "Refuse": self.refuse}

    async def do(self, request: bytes, context: Any) -> bytes:
        """Echo, with metadata."""
        self.metadata = dict(context.invocation_metadata())
        context.set_trailing_metadata((("context-revision", "9"), ("context-entry-bin", b"x")))
        return request

    async def refuse(self, _: bytes, context: Any) -> bytes:
        """End with a status."""
        details = (("grpc-status-details-bin", b"details"), ("x-secret", "s"))
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing", details)
        return b""  # not reached


async def test_known_metadata_passes() -> None:
    """The proxy passes on messages, known metadata of both directions, and nothing else."""
    upstream = Upstream()
    async with (
        service(upstream.methods) as address,
        proxy(target_of([address])) as front,
        aio.insecure_channel(front) as channel,
    ):
        call = method_of(channel)(b"text", metadata=(*KNOWN, ("context-entry-bin", b"rider")))
        assert await call == b"text"
        trailing = dict(await call.trailing_metadata())
    assert dict(KNOWN).items() <= upstream.metadata.items()
    assert "context-entry-bin" not in upstream.metadata
    assert trailing == {"context-revision": "9"}


async def test_a_status_passes() -> None:
    """An error of the service behind reaches the caller with its details."""
    async with (
        service(Upstream().methods) as address,
        proxy(target_of([address])) as front,
        aio.insecure_channel(front) as channel,
    ):
        with pytest.raises(aio.AioRpcError) as raised:
            await method_of(channel, "Refuse")(b"")
    error = raised.value
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "no such thing")
    assert dict(error.trailing_metadata()) == {"grpc-status-details-bin": b"details"}


async def test_calls_go_to_all_replicas() -> None:
    """Calls on a channel to two replicas reach both."""
    one, other = Upstream(), Upstream()
    async with (
        service(one.methods) as first,
        service(other.methods) as second,
        aio.insecure_channel(target_of([first, second]), options=ROUND_ROBIN) as channel,
    ):
        async with asyncio.timeout(30):
            while not (one.metadata and other.metadata):
                await method_of(channel)(b"", wait_for_ready=True)


async def test_a_client_of_two_stores() -> None:
    """A store's channel reaches all replicas, and repeats a request whose answer is lost."""
    with LocalStore() as store:
        async with (
            Relay(store.address) as one,
            Relay(store.address) as other,
            store_channel(target_of([one.address, other.address])) as channel,
            AsyncContextClient(channel=channel, cache=None, timeout=10) as contexts,
        ):
            one.answers_to_lose = other.answers_to_lose = 1
            async with asyncio.timeout(30):
                while not (one.calls and other.calls):
                    await contexts.put(KEY, ExecutionContext(agent_id="support"))
            assert one.answers_to_lose == other.answers_to_lose == 0


@pytest.mark.parametrize("is_first", [True, False])
async def test_calls_are_counted_for_their_turn(is_first: bool) -> None:
    """A service's calls count as first ones if its own call is for a conversation's first turn."""
    upstream = Upstream()
    async with service(upstream.methods) as behind, aio.insecure_channel(behind) as channel:
        counted = CountedChannel(channel)

        async def ask(request: bytes, _: Any) -> bytes:
            return await asyncio.create_task(_await(method_of(counted.as_channel())(request)))

        async with (
            service({"Do": ask}, interceptors=[CountingCalls()]) as front,
            aio.insecure_channel(front) as caller,
        ):
            turn = turn_id(is_first=is_first)
            await method_of(caller)(b"", metadata=((CORRELATION, turn),))
            await method_of(caller)(b"")
    assert (counted.calls, counted.first_calls) == (2, is_first)


@pytest.mark.parametrize("is_first", [True, False])
async def test_an_action_counts_for_its_turn(is_first: bool) -> None:
    """What an action's handler asks the store counts for the action's turn, and nothing after."""
    async with service(Upstream().methods) as address, aio.insecure_channel(address) as channel:
        counted = CountedChannel(channel)

        async def handle(_: Any) -> None:
            await method_of(counted.as_channel())(b"")

        repository: Any = ContextRepo
        middleware = CountingActions(None, context=repository())
        await middleware.consume_scope(handle, Mock(correlation_id=turn_id(is_first=is_first)))
        await handle(None)
    assert (counted.calls, counted.first_calls) == (2, is_first)


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_snapshot_in_the_background_counts_for_its_turn(is_first: bool) -> None:
    """A Put that has no turn's context counts for the first turn of its context's conversation."""
    with LocalStore() as store:
        async with aio.insecure_channel(store.address) as channel:
            counted = CountedChannel(channel)
            async with AsyncContextClient(
                channel=counted.as_channel(), cache=None, timeout=10
            ) as contexts:
                context = ExecutionContext(conversation_id="c-1")
                with counted_for(turn_id(is_first=is_first), "c-1"):
                    put = asyncio.create_task(contexts.put(KEY, context), context=Context())
                    await put
                await contexts.put(KEY, context)
    assert (counted.calls, counted.first_calls) == (2, is_first)


async def test_two_of_everything() -> None:
    """Two of everything and a proxy that strips metadata: turns work, and see every change."""
    agent = ContextKey("agent_config", "lumen", "billing")
    with RedisProcess() as redis:
        async with (
            Platform.running(redis, replicas=2, strips_metadata=True) as platform,
            platform.conversation("lumen", "billing") as one,
            platform.conversation("lumen", "billing") as other,
        ):
            answers = [await each.ask() for each in (one, other, one, other)]
            version = await platform.change(agent, {"llm_config": {"max_tokens": 30}})
            changed = [await each.ask() for each in (one, other)]
    assert len({pid for answer in answers for pid in answer.pids("orchestrator")}) == 2
    assert all(answer.versions[agent.text] == 1 for answer in answers)
    assert all(answer.versions[agent.text] == version == 2 for answer in changed)


async def _await(call: Any) -> Any:
    return await call
