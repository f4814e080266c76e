"""Get and Put of `relevo serve` against a grpc.aio server that does nothing.

The baseline runs on asyncio and also on uvloop, which `relevo serve` uses. Get is measured
three times: from the in-memory backend, from Redis, and CACHED from the memory of a server
that has its entries in Redis. Put is measured three times as well, because the last of these
servers follows the logs of its partitions: it hears of each of its own Puts.

All have the same messages, the same load, and one core each (see cores.py). Relevo's cost
is the difference in CPU, and equally the ratio of throughput. With one call in flight the
throughput is the inverse of the latency, which on Redis includes a second round trip
through the kernel; the goals apply to a busy server.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import islice

from relevo.v1.store_pb2 import Consistency, PutRequest
from support.servers.serving import stub_of

from benchmarks import samples, servers
from benchmarks.figures import Figure, Goal, compare
from benchmarks.http2 import Http2Client, connected
from benchmarks.rounds import Contender, take_turns
from benchmarks.run import Run

IN_FLIGHT = (1, 20)
GOALS = {
    "Get": {
        "redis": Goal("throughput", at_least=0.85),
        "memory": Goal("throughput", at_least=0.95),
        "cache": Goal("throughput", at_least=0.95),
    },
    "Put": {"redis": Goal("throughput", at_least=0.65)},
}
_FOLLOWING = "--cache-idle=3600"
"""The flag of a server that follows its logs until the benchmark ends."""
_REQUESTS: dict[str, Callable[[], Iterator[bytes]]] = {
    "Get": samples.get_requests,
    "Put": samples.put_requests,
}
_CACHED = partial(samples.get_requests, consistency=Consistency.CONSISTENCY_CACHED)


async def measure(run: Run) -> list[Figure]:
    """The figures of both methods on both backends."""
    figures: list[Figure] = []
    async with AsyncExitStack() as stack:
        clients: dict[str, tuple[servers.Server, Http2Client]] = {}
        for name, server in {
            "echo": servers.echo("asyncio", run.cores),
            "uvloop": servers.echo("uvloop", run.cores),
            "memory": servers.relevo("memory://", run.prefix, run.cores),
            "redis": servers.relevo(run.redis, run.prefix, run.cores),
            "cache": servers.relevo(run.redis, f"{run.prefix}-cache", run.cores, _FOLLOWING),
        }.items():
            running = stack.enter_context(server)
            client = await stack.enter_async_context(connected(running.address))
            await fill(running.address)
            clients[name] = running, client
        for method, requests in _REQUESTS.items():
            for in_flight in IN_FLIGHT:
                contenders: list[Contender] = []
                for name, (running, client) in clients.items():
                    sent = _CACHED() if (method, name) == ("Get", "cache") else requests()
                    load = partial(client.load, path(method), sent)
                    contenders.append(Contender(name, load, running.cpu))
                taken = await take_turns(
                    contenders, in_flight=in_flight, schedule=run.schedule, what=method
                )
                figures += compare(
                    method,
                    taken,
                    baseline="echo",
                    in_flight=in_flight,
                    goals=GOALS.get(method) if in_flight > 1 else None,
                )
    return figures


async def fill(address: str, metadata: Sequence[tuple[str, str]] = ()) -> None:
    """Put all entries, by calls with this metadata."""
    async with stub_of(address) as stub:
        for request in islice(samples.put_requests(), samples.ENTRIES):
            await stub.Put(PutRequest.FromString(request), metadata=metadata)


def path(method: str) -> str:
    """The path of a method of the store."""
    return f"/relevo.v1.ContextStore/{method}"
