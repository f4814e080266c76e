"""Forked processes whose streams an event loop reads and writes."""

import asyncio
import os
import signal
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import Literal, Self

from support.forking.process import ForkedProcess

Stream = Literal["stdin", "stdout", "stderr"]


class AioForkedProcess:
    """A forked process with the interface of asyncio's, as far as tests need it."""

    def __init__(self, process: ForkedProcess, input_: int | None) -> None:
        self._process = process
        self._input = input_
        self.pid = process.pid
        self.stdout, self.stderr = asyncio.StreamReader(), asyncio.StreamReader()

    def __del__(self) -> None:
        if self._input is not None:
            os.close(self._input)

    @classmethod
    async def start(
        cls,
        module: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        imports: Sequence[str] = (),
        pipes: Collection[Stream],
    ) -> Self:
        """Start a `ForkedProcess`, with pipes for some of its streams."""
        with ExitStack() as theirs:
            files: dict[Stream, int] = {}
            ours: dict[Stream, int] = {}
            for name in pipes:
                read, write = os.pipe()
                files[name], ours[name] = (read, write) if name == "stdin" else (write, read)
                theirs.callback(os.close, files[name])
            forked = ForkedProcess(
                *(module, *arguments),
                environment=environment,
                imports=imports,
                stdin=files.get("stdin"),
                stdout=files.get("stdout"),
                stderr=files.get("stderr", 2),
            )
        process = cls(forked, ours.get("stdin"))
        for stream, reader in (("stdout", process.stdout), ("stderr", process.stderr)):
            if stream in ours:
                await _feed(reader, ours[stream])
        return process

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None if the process runs."""
        return self._process.poll()

    def write(self, text: bytes) -> None:
        """Write to its standard input; what it does not read must be short."""
        assert self._input is not None
        os.write(self._input, text)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        self._process.send_signal(number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()

    async def wait(self) -> int:
        """Wait for the end, and return the exit code."""
        while (code := await asyncio.to_thread(self._process.poll, 1.0)) is None:
            pass
        return code


async def _feed(reader: asyncio.StreamReader, file: int) -> None:
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(file, "rb")
    )
