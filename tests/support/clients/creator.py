"""A process that calls `get_or_create`, for the tests of leases among real processes.

    python -m support.clients.creator TARGET NAME CALLERS CALLS GATE

The factory appends NAME to the file CALLS, prints "called", and waits until the file GATE
exists. At the end, each distinct version and user that a caller got is printed.
"""

import asyncio
import json
import sys
from pathlib import Path

from relevo_client import AsyncContextClient, ContextKey, ExecutionContext

from support.waiting import until_async

KEY = ContextKey("agent_config", "acme", "a1")


def say(value: object) -> None:
    """Print one JSON value."""
    print(json.dumps(value), flush=True)


async def main(target: str, name: str, callers: int, calls: Path, gate: Path) -> None:
    """Call `get_or_create` from `callers` tasks at once."""

    async def make(_: ContextKey) -> ExecutionContext:
        with calls.open("a") as file:
            file.write(f"{name}\n")
        say("called")
        await until_async(gate.exists, within=60)
        return ExecutionContext(user_id=name)

    async with AsyncContextClient(target, timeout=20) as client:
        say("begun")
        made = await asyncio.gather(*(client.get_or_create(KEY, make) for _ in range(callers)))
    for version, user_id in {(entry.version, entry.context.user_id) for entry in made}:
        say([version, user_id])


if __name__ == "__main__":
    _, target, name, callers, calls, gate = sys.argv
    asyncio.run(main(target, name, int(callers), Path(calls), Path(gate)))
