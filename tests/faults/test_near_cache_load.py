"""The near cache under load while servers restart and connections break.

Each read is checked (support/clients/traffic.py): none is older than its fence, and no entry is
used for longer than `max_staleness` after its end. At the end, no acknowledged write is lost.
"""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from grpc import aio
from relevo_client import CHANNEL_OPTIONS, AsyncContextClient
from support.clients.readers import KEY, OPTIONS
from support.clients.traffic import (
    CheckingReader,
    Writer,
    assert_nothing_is_lost,
    converge,
    traffic,
)
from support.network.proxy import Proxy
from support.redis.process import RedisProcess
from support.servers.process import RelevoProcess
from support.servers.two_servers import two_servers

CUTS = 5
"""Each doubles the delay before a client opens its stream again."""


def options(policy: str) -> Sequence[tuple[str, Any]]:
    """Channel options with a load-balancing policy."""
    named = dict(CHANNEL_OPTIONS)
    config = json.loads(str(named["grpc.service_config"]))
    named["grpc.service_config"] = json.dumps({**config, "loadBalancingConfig": [{policy: {}}]})
    return [*named.items(), ("grpc.use_local_subchannel_pool", 1)]


async def test_a_rolling_restart(redis: RedisProcess) -> None:
    """While servers are restarted one after the other, their clients continue on the other one."""
    async with AsyncExitStack() as stack:
        servers = stack.enter_context(two_servers(redis))

        async def client(policy: str, **rest: Any) -> AsyncContextClient:
            channel = aio.insecure_channel(servers.target(), options(policy))
            await stack.enter_async_context(channel)
            return await stack.enter_async_context(AsyncContextClient(channel=channel, **rest))

        writer = Writer(await client("round_robin"), KEY)
        readers = [
            CheckingReader(await client(policy, cache=OPTIONS), writer, OPTIONS.max_staleness)
            for policy in ("pick_first", "round_robin")
        ]
        async with traffic(writer, readers):
            await converge(writer, readers)
            for port in servers.ports:
                for what, step in (("stopped", servers.stop), ("started", servers.start)):
                    await asyncio.to_thread(step, port)
                    seconds = await converge(writer, readers)
                    print(f"converged {seconds:.2f} s after a server {what}")
        print(f"{len(writer.log)} Puts acknowledged, {writer.failures} of unknown outcome")
        assert all(reader.reads for reader in readers)
        await assert_nothing_is_lost(await client("pick_first"), writer)


async def test_connections_that_break_again_and_again(process: RelevoProcess, path: Proxy) -> None:
    """Connections that are reset amid messages delay reads, and have no other effect."""
    through = f"127.0.0.1:{path.port}"
    async with AsyncExitStack() as stack:

        async def client(**rest: Any) -> AsyncContextClient:
            # Each client on its own connection.
            own = [*CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
            channel = await stack.enter_async_context(aio.insecure_channel(through, own))
            return await stack.enter_async_context(AsyncContextClient(channel=channel, **rest))

        writer = Writer(await client(), KEY)
        readers = [
            CheckingReader(await client(cache=OPTIONS), writer, OPTIONS.max_staleness)
            for _ in range(2)
        ]
        async with traffic(writer, readers):
            await converge(writer, readers)
            times: list[float] = []
            for _ in range(CUTS):
                accepted = path.accepted
                path.cut()
                times.append(await converge(writer, readers))
                assert path.accepted > accepted
            print(f"converged at most {max(times):.2f} s after each of {CUTS} cuts")
        async with AsyncContextClient(process.address, timeout=10) as direct:
            await assert_nothing_is_lost(direct, writer)
