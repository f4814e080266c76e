"""Starts and stops server processes, which end with the process that started them.

Each process takes a free port and announces it on standard error, with the line that
`relevo serve` logs. So no port is guessed, and no wait is longer than needed.
"""

import asyncio
import json
import os
import signal
import sys
from asyncio import Future, StreamReader
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

START = 60.0
"""Seconds that a process may take to start."""
STOP = 15.0
"""Seconds that it has to end after SIGTERM."""


class ProcessError(Exception):
    """Raised if a process does not start. Its standard error has the reason."""


@dataclass(frozen=True)
class Running:
    """A running server process."""

    name: str
    pid: int
    address: str
    metrics: str = ""
    """The address at which Prometheus finds its metrics, "" if it serves none."""


@asynccontextmanager
async def launched(
    name: str,
    *command: str,
    ended: Callable[[], None] | None = None,
    **environment: str,
) -> AsyncGenerator[tuple[Running, Mapping[str, Any]]]:
    """Run a Python module as a server process, and stop it at the end.

    Yields the process, once it serves, and the line in which it announced that.
    `environment` is added to this process's environment. `ended` is called when the process has
    ended, for whatever reason. Raises ProcessError.
    """
    process = await start(*command, **environment)
    started: Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
    listening = asyncio.create_task(_listen(name, process, started, ended))
    try:
        try:
            async with asyncio.timeout(START):
                announced = await started
        except TimeoutError:
            raise ProcessError(f"{name} did not start within {START:g} s") from None
        running = Running(name, process.pid, announced["address"], announced.get("metrics", ""))
        yield running, announced
    finally:
        await _stop(name, process)
        await listening


async def start(*command: str, **environment: str) -> Process:
    """Start a Python module as a process that ends with this one."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relevo_demo.leash", *command),
        stdin=PIPE,
        stdout=DEVNULL,
        stderr=PIPE,
        # Only the demo gets Ctrl-C; it then stops the other processes in order.
        start_new_session=True,
        # The user's own settings of `relevo serve` must not apply to this server.
        env={k: v for k, v in os.environ.items() if not k.startswith("RELEVO_")} | environment,
    )


def end_on_signals() -> None:
    """Let SIGINT and SIGTERM cancel the current task, so that it stops its processes."""
    loop = asyncio.get_running_loop()
    demo = asyncio.current_task(loop)
    if demo:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, demo.cancel)


async def _listen(
    name: str,
    process: Process,
    started: "Future[Mapping[str, Any]]",
    ended: Callable[[], None] | None,
) -> None:
    """Read a process's log: its start resolves `started`, other lines are printed."""
    metrics: dict[str, Any] = {}
    async for line in cast("StreamReader", process.stderr):
        text = line.decode(errors="replace").rstrip()
        event = _event(text)
        if event.get("level") != "info":
            print(f"{name}: {text}", file=sys.stderr)
        elif event.get("event") == "metrics.started":
            metrics = {"metrics": event["address"]}
        elif event.get("event") == "server.started" and not started.done():
            started.set_result({**event, **metrics})
    if not started.done():
        started.set_exception(ProcessError(f"{name} ended with {await process.wait()}"))
    if ended:
        ended()


def _event(text: str) -> Mapping[str, Any]:
    """The event in a line of a log; empty if the line has none."""
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
