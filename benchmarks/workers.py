"""Worker processes of a benchmark, which take commands as lines of JSON.

The benchmark starts workers of a module and calls their commands; the module's `main`
calls `serve_commands` with a coroutine function for each command. A worker ends with its
standard input, so also with the process that started it.
"""

import asyncio
import json
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

_LONGEST_LINE = 1 << 24


class Worker:
    """A worker process, as the benchmark sees it."""

    def __init__(self, requests: StreamWriter, answers: StreamReader, pid: int) -> None:
        self.pid = pid
        """Its process."""
        self._requests = requests
        self._answers = answers

    async def call(self, command: str, *arguments: object) -> Any:
        """Run a command in the worker, one at a time, and return its result."""
        self._requests.write(json.dumps([command, *arguments]).encode() + b"\n")
        line = await self._answers.readline()
        if not line:
            raise RuntimeError(f"a worker ended during its command {command}")
        return json.loads(line)


@asynccontextmanager
async def workers(module: str, count: int) -> AsyncGenerator[list[Worker], None]:
    """Start `count` workers of a module, and end them at the end."""
    async with AsyncExitStack() as stack:
        command = sys.executable, "-m", module
        yield [await stack.enter_async_context(worker(*command)) for _ in range(count)]


@asynccontextmanager
async def worker(*command: str) -> AsyncGenerator[Worker, None]:
    """Start a worker by its command line, and end it at the end."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, limit=_LONGEST_LINE
    )
    try:
        # Neither is None, because both are pipes.
        requests = cast("StreamWriter", process.stdin)
        yield Worker(requests, cast("StreamReader", process.stdout), process.pid)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def call_all(called: Sequence[Worker], command: str, *arguments: object) -> list[Any]:
    """Run a command in all of these workers concurrently."""
    return await asyncio.gather(*(worker.call(command, *arguments) for worker in called))


async def serve_commands(commands: Mapping[str, Callable[..., Awaitable[object]]]) -> None:
    """Run as a worker: execute commands until standard input ends."""
    reader = StreamReader(_LONGEST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command, *arguments = json.loads(line)
        print(json.dumps(await commands[command](*arguments)), flush=True)
