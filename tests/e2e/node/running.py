"""The services in Node.js as real processes."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from support.languages.node import NODE, packages
from support.waiting import PATIENCE

SOURCES = Path(__file__).parent


def _environment() -> dict[str, str]:
    return {**os.environ, "NODE_PATH": str(packages())}


@asynccontextmanager
async def node_service(program: str, **addresses: str) -> AsyncGenerator[str, None]:
    """A running service, and its address. `addresses` are those of the services that it calls.

    It must end with exit code 0, and without complaints.
    """
    process = await asyncio.create_subprocess_exec(
        NODE,
        SOURCES / program,
        *(f"--{name}={address}" for name, address in addresses.items()),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=await asyncio.to_thread(_environment),
    )
    assert process.stdout
    try:
        address = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
        yield address.decode().strip()
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            _, complaints = await asyncio.wait_for(process.communicate(), PATIENCE)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
    assert (process.returncode, complaints.decode()) == (0, "")


class Refused(Exception):  # noqa: N818 - what happened, not a defect
    """An exception of a function in Node.js. `reason` is the store's, if it gave one."""

    def __init__(self, kind: str, message: str, reason: str | None) -> None:
        super().__init__(message)
        self.kind = kind
        self.reason = reason


class Functions:
    """The functions of the services, each callable in one process. Use with `with`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [NODE, SOURCES / "functions.js"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=_environment(),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process as process:
            assert process.stdin
            process.stdin.close()
            assert process.wait(PATIENCE) == 0

    def __call__(self, function: str, *arguments: Any) -> Any:
        """Return the function's result. Raises Refused."""
        assert self._process.stdin
        assert self._process.stdout
        question = json.dumps({"function": function, "arguments": arguments})
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise Refused(answer["error"], answer["message"], answer.get("reason"))
        return answer["result"]
