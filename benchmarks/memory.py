"""The memory of a context in a near cache, against its serialized size.

A process of its own caches ten thousand contexts, the default maximum, no two with the same
names or text: once all are resolved, once only received. The figure is RSS; Python's own
allocations (`traced`) are from a separate run with tracemalloc.
"""

import asyncio
from collections.abc import Iterator, Sequence
from statistics import mean

from relevo.v1.context_pb2 import ExecutionContext
from relevo.v1.store_pb2 import PutRequest
from relevo_client import ContextKey
from support.clients.calls import Stub
from support.servers.serving import stub_of

from benchmarks import samples, servers
from benchmarks.figures import Figure, Goal
from benchmarks.run import Run
from benchmarks.workers import workers

CONTEXTS = 10_000
_AT_A_TIME = 20
_TIMES_AS_LARGE = 3.0


async def measure(run: Run) -> list[Figure]:
    """The bytes of memory per context, resolved and only received."""
    run.schedule.say(f"Memory, {CONTEXTS} Puts")
    with servers.relevo("memory://", run.prefix, run.cores) as server:
        async with stub_of(server.address) as stub:
            keys = [ContextKey("conversation", "acme", f"{i:06}") for i in range(CONTEXTS)]
            size = await _put(stub, keys)
        names = [key.text for key in keys]
        figures: list[Figure] = []
        for resolved in (True, False):
            for traced in (False, True):
                name = f"Memory/{'resolved' if resolved else 'received'}"
                run.schedule.say(name)
                async with workers("benchmarks.holder", 1) as (worker,):
                    if traced:
                        name += ", traced"
                        await worker.call("trace")
                    memory: float = await worker.call("hold", server.address, names, resolved)
                goal = None if traced else Goal("bytes", at_most=_TIMES_AS_LARGE)
                figures.append(Figure(name, memory, "bytes", 0.0, size, memory / size, goal))
    return figures


async def _put(stub: Stub, keys: Sequence[ContextKey]) -> float:
    """Put a different context under each key, and return their mean serialized size in bytes."""
    sizes: list[int] = []
    puts = _puts(keys)

    async def one_after_another() -> None:
        for put in puts:
            await stub.Put(put)
            sizes.append(put.context.ByteSize())

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_A_TIME):
            group.create_task(one_after_another())
    return mean(sizes)


def _puts(keys: Sequence[ContextKey]) -> Iterator[PutRequest]:
    for key in keys:
        yield PutRequest(key=key.to_message(), context=_context(key.id))


def _context(name: str) -> ExecutionContext:
    """A context that shares only the names of its settings with the others."""
    context = samples.context()
    for field in ("context_id", "agent_id", "conversation_id", "session_id", "user_id"):
        setattr(context, field, f"{getattr(context, field)[:-6]}{name}")
    prompt = context.agent_config.fields["prompt"]
    prompt.string_value = f"{name}: {prompt.string_value}"
    return context
