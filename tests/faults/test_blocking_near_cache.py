"""The near cache of the blocking client, when the connection to the store falls silent."""

import asyncio
import logging
import time
from collections.abc import Iterator

import pytest
from relevo_client import CacheOptions, ContextClient, ContextKey, ExecutionContext
from relevo_server.server import Server
from support.network.proxy import Proxy
from support.waiting import until

pytestmark = pytest.mark.timing

KEY = ContextKey("conversation", "acme", "c1")
OTHER = ContextKey("conversation", "acme", "c2")
OPTIONS = CacheOptions(max_staleness=1.0)
RECOVERY = 5.0
"""Seconds within which a client must work again, much less than gRPC's keepalive."""
SLACK = 0.3
"""Seconds by which a busy machine may delay a check."""


def sees(client: ContextClient) -> str | None:
    """The user of the cached entry; None if nothing is cached."""
    found = client.peek(KEY)
    return found.context.user_id if found else None


def gave_up(caplog: pytest.LogCaptureFixture) -> bool:
    """Whether the client has closed a stream because it was silent."""
    return "the watch of the store has ended: TimeoutError" in caplog.messages


@pytest.fixture
def path(server: Server) -> Iterator[Proxy]:
    """A proxy between the client and the server."""
    with Proxy(int(server.address.rpartition(":")[2])) as proxy:
        yield proxy


@pytest.mark.parametrize("way", ["to_client", "to_server"])
async def test_a_silent_connection(
    server: Server, path: Proxy, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    """Cached entries expire within `max_staleness`; once the network works, changes are seen."""
    caplog.set_level(logging.DEBUG)
    direction = getattr(path, way)

    def read() -> None:
        with (
            ContextClient(server.address, timeout=10) as owner,
            ContextClient(f"127.0.0.1:{path.port}", timeout=10, cache=OPTIONS) as client,
        ):
            owner.put(KEY, ExecutionContext(user_id="before"))
            until(lambda: sees(client) == "before")
            direction.swallow = True
            assert client.peek(OTHER) is None  # if only requests are lost, one has to be
            begun = looked = time.monotonic()
            owner.put(KEY, ExecutionContext(user_id="after"))
            while sees(client) == "before":
                assert looked - begun < OPTIONS.max_staleness + SLACK
                time.sleep(0.01)
                looked = time.monotonic()  # before the check, as later steps may take their time
            until(lambda: gave_up(caplog))  # TCP never loses bytes and continues
            direction.swallow = False
            until(lambda: sees(client) == "after", within=RECOVERY)

    await asyncio.to_thread(read)


async def test_a_silent_connection_that_is_full(
    path: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    """A stream that accepts no more requests is closed too, and the client can be closed."""
    caplog.set_level(logging.DEBUG)

    def read() -> None:
        with ContextClient(f"127.0.0.1:{path.port}", timeout=10, cache=OPTIONS) as client:
            client.put(KEY, ExecutionContext(user_id="before"))
            until(lambda: sees(client) == "before")
            path.to_server.swallow = path.to_client.swallow = True
            for i in range(2000):  # bytes, more than the server's window for a stream
                client.peek(ContextKey("conversation", "acme", f"{i:0100}"))
            until(lambda: gave_up(caplog), within=2 * OPTIONS.max_staleness + SLACK)
            begun = time.monotonic()
        assert time.monotonic() - begun < 1

    await asyncio.to_thread(read)
