"""Recorded calls of several processes, amid faults, are linearizable (S2, N1)."""

import asyncio
import signal
from collections import Counter
from contextlib import ExitStack

from support.clients.recording import KEYS
from support.history import behind_fence, by_key, from_json
from support.linearizable import is_linearizable
from support.python_process import python_process
from support.redis.process import RedisProcess
from support.servers.two_servers import Servers, two_servers

PROCESSES = 3
SECONDS = 8.0
EACH = 400
"""Calls of each process that succeed, at least: fewer would prove too little."""


async def break_things(redis: RedisProcess, servers: Servers) -> None:
    """Cause short faults while the processes work."""
    for port in servers.ports:
        await asyncio.sleep(SECONDS / 6)
        redis.signal(signal.SIGSTOP)
        await asyncio.sleep(0.3)
        redis.signal(signal.SIGCONT)
        await asyncio.sleep(SECONDS / 8)
        await asyncio.to_thread(servers.kill, port)
        await asyncio.to_thread(servers.start, port)


async def test_several_processes_amid_faults(redis: RedisProcess) -> None:
    """STRONG calls for each key are linearizable, and cached reads respect their fences.

    One of two servers is killed and started again, then the other; Redis is stopped for a while,
    twice.
    """
    with ExitStack() as stack:
        servers = stack.enter_context(two_servers(redis))
        processes = [
            stack.enter_context(
                python_process(
                    "support.clients.recording",
                    servers.target(i % 2),
                    f"p{i}",
                    str(SECONDS),
                    str(EACH),
                )
            )
            for i in range(PROCESSES)
        ]
        await break_things(redis, servers)
        for process in processes:
            assert await asyncio.to_thread(process.wait, SECONDS + 60) == 0
        operations, reads = from_json(line for each in processes for line in each.lines)
    seen = Counter((each.kind, each.outcome) for each in operations)
    cached = sum(read.is_cached for read in reads)
    print(f"{len(operations)} operations, {len(reads)} fenced reads, {cached} of them cached")
    print(", ".join(f"{kind} {outcome}: {seen[kind, outcome]}" for kind, outcome in sorted(seen)))
    assert cached
    assert seen["cas", "ok"]
    assert seen["cas", "conflict"]
    histories = by_key(operations)
    assert len(histories) == len(KEYS)
    for history in histories.values():
        assert is_linearizable(history)
    assert not behind_fence(reads, operations)
