"""The platform as processes: `relevo serve` and the four services.

Each takes a free port and says which on standard error, with the line that
`relevo serve` logs. So no port is guessed, and nobody waits longer than needed.
"""

import asyncio
import json
import os
import sys
from asyncio import Future, StreamReader
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from relevo_demo.services import CHAIN

START = 30.0
"""Seconds that a process may take until it serves."""
STOP = 5.0
"""Seconds that it has to end after SIGTERM."""
PREFIX = "relevo-demo"
"""What the demo's keys in Redis begin with: nobody else's data is touched."""


class ProcessError(Exception):
    """A process did not start. It has told why on standard error."""


@dataclass(frozen=True)
class Running:
    """A process that serves."""

    name: str
    pid: int
    address: str


@dataclass(frozen=True)
class Platform:
    """Everything that runs."""

    store: Running
    store_url: str
    """Where the store keeps its entries, without secrets."""
    services: Sequence[Running]
    """In the order of the chain."""


@asynccontextmanager
async def platform(store_url: str) -> AsyncGenerator[Platform]:
    """Start everything; end it in the opposite order, whatever happens within."""
    async with AsyncExitStack() as stack:
        store, started = await stack.enter_async_context(
            _process(
                "store",
                *("relevo_server", "serve", "--listen", "127.0.0.1:0"),
                *("--store-prefix", PREFIX, "--log-format", "json", "--log-level", "info"),
                RELEVO_STORE=store_url,  # may hold a password, which `ps` would show as a flag
            )
        )
        services: list[Running] = []
        for name in reversed(CHAIN):  # who is called starts before its caller
            addresses = [store.address, *(callee.address for callee in services[:1])]
            service, _ = await stack.enter_async_context(
                _process(name, f"relevo_demo.services.{name}", *addresses)
            )
            services.insert(0, service)
        yield Platform(store, started["store"], services)


@asynccontextmanager
async def _process(
    name: str, *command: str, **environment: str
) -> AsyncGenerator[tuple[Running, Mapping[str, Any]]]:
    """A process, once it serves, and the line in which it said so."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relevo_demo.leash", *command),
        stdin=PIPE,
        stdout=DEVNULL,
        stderr=PIPE,
        # Ctrl-C is for the demo alone, which then ends the others in order.
        start_new_session=True,
        # The user's own settings of `relevo serve` are not meant for this one.
        env={k: v for k, v in os.environ.items() if not k.startswith("RELEVO_")} | environment,
    )
    started: Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
    listening = asyncio.create_task(_listen(name, process, started))
    try:
        try:
            async with asyncio.timeout(START):
                said = await started
        except TimeoutError:
            raise ProcessError(f"{name} did not start within {START:g} s") from None
        yield Running(name, process.pid, said["address"]), said
    finally:
        await _stop(name, process)
        await listening


async def _listen(name: str, process: Process, started: "Future[Mapping[str, Any]]") -> None:
    """Read what a process says: that it serves, and troubles, which are passed on."""
    async for line in cast("StreamReader", process.stderr):
        text = line.decode(errors="replace").rstrip()
        event = _event(text)
        if event.get("level") != "info":
            print(f"{name}: {text}", file=sys.stderr)
        elif event.get("event") == "server.started" and not started.done():
            started.set_result(event)
    if not started.done():
        started.set_exception(ProcessError(f"{name} ended with {await process.wait()}"))


def _event(text: str) -> Mapping[str, Any]:
    """The event that a line of a log tells, nothing for any other line."""
    try:
        event: object = json.loads(text)
    except ValueError:
        return {}
    return cast("Mapping[str, Any]", event) if isinstance(event, dict) else {}


async def _stop(name: str, process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP):
            await process.wait()
    except TimeoutError:
        print(f"{name}: did not end within {STOP:g} s and is killed", file=sys.stderr)
        process.kill()
        await process.wait()
