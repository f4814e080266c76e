"""Starts the platform's processes by a fork, instead of by `relevo_demo.launching.start`."""

import asyncio
import os
from asyncio.subprocess import Process
from typing import cast

from support.forking.process import ForkedProcess


class _Process:
    """A forked process with the interface of asyncio's, as far as `relevo_demo` uses it."""

    def __init__(self, process: ForkedProcess, stderr: asyncio.StreamReader) -> None:
        self._process = process
        self.pid = process.pid
        self.stderr = stderr
        self.terminate, self.kill = process.terminate, process.kill

    @property
    def returncode(self) -> int | None:
        """The exit code, or None if the process runs."""
        return self._process.poll()

    async def wait(self) -> int:
        """Wait for the end."""
        while (code := await asyncio.to_thread(self._process.poll, 1.0)) is None:
            pass
        return code


async def start(*command: str, **environment: str) -> Process:
    """Start a Python module as a process that ends with this one."""
    read, write = os.pipe()
    variables = {k: v for k, v in os.environ.items() if not k.startswith("RELEVO_")}
    module, *arguments = command
    try:
        process = ForkedProcess(
            *(module, *arguments),
            environment={**variables, **environment},
            imports=["relevo_server.cli.serve" if module == "relevo_server" else module],
            stderr=write,
        )
    finally:
        os.close(write)
    stderr = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stderr), os.fdopen(read, "rb")
    )
    return cast("Process", _Process(process, stderr))
