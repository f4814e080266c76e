"""Processes that do a part of a benchmark, and are told what by lines of JSON.

The benchmark starts some of a module and asks each of them; the module's `main` is
`answer`, with a coroutine function for each thing that can be asked. A worker ends
with its standard input, so with whoever started it.
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
    """A worker, as the benchmark sees it."""

    def __init__(self, requests: StreamWriter, answers: StreamReader) -> None:
        self._requests = requests
        self._answers = answers

    async def ask(self, what: str, *arguments: object) -> Any:
        """Have something done: what came of it. One thing at a time."""
        self._requests.write(json.dumps([what, *arguments]).encode() + b"\n")
        line = await self._answers.readline()
        if not line:
            raise RuntimeError(f"a worker ended when it was asked to {what}")
        return json.loads(line)


@asynccontextmanager
async def workers(module: str, count: int) -> AsyncGenerator[list[Worker], None]:
    """So many workers, ended in the end."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(_worker(module)) for _ in range(count)]


@asynccontextmanager
async def _worker(module: str) -> AsyncGenerator[Worker, None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, stdin=PIPE, stdout=PIPE, limit=_LONGEST_LINE
    )
    try:
        # Both are there: they were asked for.
        yield Worker(cast("StreamWriter", process.stdin), cast("StreamReader", process.stdout))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ask_all(asked: Sequence[Worker], what: str, *arguments: object) -> list[Any]:
    """Ask all of them the same at once."""
    return await asyncio.gather(*(worker.ask(what, *arguments) for worker in asked))


async def answer(abilities: Mapping[str, Callable[..., Awaitable[object]]]) -> None:
    """Be a worker: do what is asked, until nobody can ask any more."""
    reader = StreamReader(_LONGEST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        what, *arguments = json.loads(line)
        print(json.dumps(await abilities[what](*arguments)), flush=True)
