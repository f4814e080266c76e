"""If a server's store client is closed, as during a shutdown, calls get a typed status."""

import logging

import grpc
import pytest
from grpc import StatusCode, aio
from relevo_client import AsyncContextClient, ContextClient, ContextEntry
from relevo_client.testing import LocalStore
from support.clients.plays import UNARY_SHAPES, naming, play
from support.servers.hosting import StoreClients
from support.servers.shapes import Shape
from support.snippets import with_unclean_memory

UNAVAILABLE = StatusCode.UNAVAILABLE, "the call's context cannot be resolved now"


@pytest.mark.parametrize("shape", UNARY_SHAPES, ids=str)
async def test_a_closed_channel(
    store: LocalStore, entry: ContextEntry, shape: Shape, caplog: pytest.LogCaptureFixture
) -> None:
    """A call is refused with the fixed text of an unavailable store, and nothing is logged."""
    blocking_channel, channel = (
        grpc.insecure_channel(store.address),
        aio.insecure_channel(store.address),
    )
    # Without a cache, which may have the context for a moment.
    blocking = ContextClient(channel=blocking_channel, cache=None)
    client = AsyncContextClient(channel=channel, cache=None)
    interceptor = StoreClients(blocking, client).interceptor(shape.server, trust_callers=True)
    over = await play(shape, interceptor, naming(entry.ref))
    assert set(over.seen) == {f"u-1 {entry.ref}"}

    blocking_channel.close()
    await channel.close()
    over = await play(shape, interceptor, naming(entry.ref))
    assert over.refusal == UNAVAILABLE
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


CLOSED_BEFORE_ITS_FIRST_CALL = """
import asyncio
from contextlib import suppress
from grpc import aio
from relevo_client import AsyncContextClient, ContextKey, UnavailableError

async def main():
    server = aio.server()
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    for _ in range(20):
        channel = aio.insecure_channel(address)
        client = AsyncContextClient(channel=channel)
        await channel.close()
        async with aio.insecure_channel(address) as other:  # until the first one's memory is free
            with suppress(aio.AioRpcError):
                await other.unary_unary("/no.such.Service/Method")(b"")
        with suppress(UnavailableError):
            await client.get(ContextKey("conversation", "acme", "c-1"))
    await server.stop(None)

asyncio.run(main())
"""


def test_a_channel_that_was_closed_before_its_first_call() -> None:
    """A call on a closed channel fails like any other, and does not end the process.

    gRPC looks up methods in the channel's memory even after that was freed.
    """
    done = with_unclean_memory(CLOSED_BEFORE_ITS_FIRST_CALL)
    assert done.returncode == 0, done.stderr[-500:]
