"""Consumers of a queue as processes, which tests halt, resume and kill."""

import asyncio
import json
import signal
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Self

import psutil

from support.clients.queueing import SERVICE, SOON, Queueing
from support.forking.aio import AioForkedProcess
from support.waiting import PATIENCE

_MODULE = "actions.worker"


class WorkerProcess:
    """A process that consumes a test's work. Use with `running`."""

    def __init__(self, process: AioForkedProcess) -> None:
        self._process = process
        self.pid = process.pid
        self._said: deque[str] = deque()

    @classmethod
    @asynccontextmanager
    async def running(
        cls, queueing: Queueing, address: str = "", **options: Any
    ) -> AsyncGenerator[Self]:
        """Start a worker with options of `ActionQueues`, and kill it at the end.

        `address` is the store's address, empty for a worker that resolves no contexts.
        """
        arguments = (queueing.url, queueing.work, SERVICE, address)
        given = json.dumps({"redeliver_after": SOON, "dead_letters": queueing.dead, **options})
        process = await AioForkedProcess.start(
            *(_MODULE, *arguments, given), imports=[_MODULE], pipes=["stdin", "stdout"]
        )
        worker = cls(process)
        try:
            await worker._until_ready()
            yield worker
        finally:
            await worker.kill()

    async def line(self) -> str:
        """The next output line that is not a log line: the user of a started handler's context."""
        while (line := await self._read()).startswith("log: "):
            pass
        return line

    async def logged(self, part: str) -> str:
        """The next line of its log that contains this part."""
        while part not in (line := await self._read()):
            pass
        return line

    async def _until_ready(self) -> None:
        before: list[str] = []
        while (line := await self._read()) != "ready":
            before.append(line)  # a handler may start while the other queues are being started
        self._said.extend(before)

    async def _read(self) -> str:
        if self._said:
            return self._said.popleft()
        async with asyncio.timeout(PATIENCE):
            line = await self._process.stdout.readline()
        assert line, "the worker has ended"
        return line.decode().strip()

    def end_handler(self, how: str) -> None:
        """End its handler: `return` or `fail`."""
        self._process.write(f"{how}\n".encode())

    def halt(self) -> None:
        """Halt the process by SIGSTOP, like a suspended machine."""
        self._process.send_signal(signal.SIGSTOP)

    def has_halted(self) -> bool:
        """Whether all threads of the process have halted."""
        status: str = psutil.Process(self.pid).status()
        return status == psutil.STATUS_STOPPED

    def resume(self) -> None:
        """Resume the process."""
        self._process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        """Kill the process. It may have ended already."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
