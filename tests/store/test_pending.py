"""Calls that gRPC has received, and that the server has not begun, are not cancelled."""

import asyncio
from contextlib import ExitStack

from relevo.v1.store_pb2 import GetRequest
from relevo_server.server import Server
from relevo_server.settings import Settings
from support.clients.calls import key
from support.clients.http2 import Http2

CONNECTIONS = 3
CALLS = 400
NOT_FOUND = "5"


async def test_a_burst_of_calls_is_answered() -> None:
    """Calls of one method by the thousand that arrive together are answered, each by its status.

    gRPC's core cancels some of more than 1,000 by default, whoever's they are.
    """
    message = GetRequest(key=key()).SerializeToString()
    async with Server(
        Settings.model_validate({"store": "memory://", "listen": "127.0.0.1:0"})
    ) as server:
        port = int(server.address.rpartition(":")[2])

        def connections(stack: ExitStack) -> list[Http2]:
            return [stack.enter_context(Http2(port)) for _ in range(CONNECTIONS)]

        with ExitStack() as stack:
            clients = await asyncio.to_thread(connections, stack)
            # On the server's loop, which begins no call meanwhile.
            calls = [
                [client.call("/relevo.v1.ContextStore/Get", message) for _ in range(CALLS)]
                for client in clients
            ]
            for client, streams in zip(clients, calls, strict=True):
                await asyncio.to_thread(client.read_until_ended, *streams)
            ended = [status for client in clients for status in client.ended.values()]
    assert ended == [NOT_FOUND] * CONNECTIONS * CALLS
