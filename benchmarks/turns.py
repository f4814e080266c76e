"""The calls of a chain of four services to the store, in a thousand turns of conversations.

Each service is a process with a near cache and Relevo's interceptors; the first one resolves
the conversation's context, which includes its agent's configuration. Measured in steady
state and after a change of that configuration: the turns begin as soon as the Put is
acknowledged, some of them concurrently. After each round, every service has the new
configuration. A figure is the worst of all rounds.
"""

import asyncio
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

from grpc import aio
from relevo_client import AsyncContextClient, ContextKey, ExecutionContext

from benchmarks import servers
from benchmarks.figures import Figure, Goal
from benchmarks.run import Run
from benchmarks.turn_service import METHOD
from benchmarks.workers import Worker, call_all, workers

CHAIN = ("first", "second", "third", "fourth")
TURNS = 1000
CONVERSATIONS = 50
_AT_A_TIME = 4
_ROUNDS = 5
_AGENT = ContextKey("agent_config", "acme", "support")
_GOALS = {
    "steady": Goal("calls", at_most=0),
    "change": Goal("calls", at_most=1),
}


async def measure(run: Run) -> list[Figure]:
    """The calls of each process in a thousand turns."""
    worst: dict[str, list[int]] = {"change": [0] * len(CHAIN), "steady": [0] * len(CHAIN)}
    with servers.relevo(run.redis, run.prefix, run.cores) as server:
        async with (
            AsyncContextClient(server.address, timeout=10) as owner,
            workers("benchmarks.turn_service", len(CHAIN)) as services,
        ):
            names = await _begin_conversations(owner)
            address = ""
            for service in reversed(services):
                address = await service.call("serve", server.address, address)
            async with aio.insecure_channel(address) as channel:
                opened: Any = channel  # whose types are only half known
                take = opened.unary_unary(METHOD)
                await _take_turns(take, names)
                await _calls(services)
                for i in range(min(_ROUNDS, run.schedule.rounds)):
                    run.schedule.say(f"Turns, round {i + 1}")
                    model = f"model-{i}"
                    await owner.update(_AGENT, {"llm_config": {"model": model}})
                    for phase, before in worst.items():
                        last = await _take_turns(take, names)
                        if last != " ".join([model] * len(CHAIN)):
                            raise RuntimeError(f"a service has another model: {last}")
                        worst[phase] = list(map(max, before, await _calls(services)))
            for service in services:  # a caller is closed before its callee
                await service.call("close")
    return [
        Figure(f"Turns/{phase}/{name}", calls, "calls", 0.0, goal=goal)
        for phase, goal in _GOALS.items()
        for name, calls in zip(CHAIN, worst[phase], strict=True)
    ]


async def _begin_conversations(owner: AsyncContextClient) -> list[str]:
    agent = ExecutionContext(llm_config={"model": "model"}, rag_config={"top_k": 8})
    await owner.put(_AGENT, agent)
    keys = [ContextKey("conversation", "acme", f"c-{i}") for i in range(CONVERSATIONS)]
    for key in keys:
        await owner.put(key, ExecutionContext(user_id=key.id, includes=(_AGENT,)))
    return [key.text for key in keys]


async def _take_turns(take: Any, names: Sequence[str]) -> str:
    """Run all turns, some of them concurrently, and return the last answer."""
    last = b""
    turns = islice(cycle(names), TURNS)

    async def one_after_another() -> None:
        nonlocal last
        for name in turns:
            last = await take(name.encode(), timeout=10)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_A_TIME):
            group.create_task(one_after_another())
    return last.decode()


async def _calls(services: Sequence[Worker]) -> list[int]:
    """The store calls of each service since the last time."""
    return [sum(calls.values()) for calls in await call_all(services, "calls")]
