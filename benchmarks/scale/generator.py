"""The load generator in Go, as the benchmarks see it."""

import base64
import shutil
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.languages.making import built, missing, run

from benchmarks.workers import Worker, worker

SOURCES = Path(__file__).parents[1] / "generator"
MISSING = missing("Go", ("go",))
"""The reason why the generator cannot be built here, or None."""
REQUEST_ID = 8
"""The field of a Put that is another one each time."""


def program() -> Path:
    """The generator's program, built if its sources have changed. Needs no network."""
    return built("generator", (SOURCES,), _make) / "generator"


def _make(folder: Path) -> None:
    shutil.copytree(SOURCES, folder, dirs_exist_ok=True)
    run("go", "build", "-o", "generator", ".", folder=folder)


@dataclass(frozen=True)
class Target:
    """A method of a server. `unique_field` is set to another text in each call, if it is not 0."""

    address: str
    path: str
    unique_field: int = 0

    def to_json(self) -> dict[str, object]:
        """The target, as commands have it."""
        return {"address": self.address, "path": self.path, "unique_field": self.unique_field}


class Generator:
    """A generator's process: thousands of Watch streams, and calls."""

    def __init__(self, process: Worker) -> None:
        self._process = process
        self.pid = process.pid
        """Its process."""

    async def open(
        self,
        addresses: Sequence[str],
        keys: Sequence[bytes],
        *,
        streams: int,
        connections: int,
        pace: int,
    ) -> None:
        """Open streams until there are so many, `pace` a second, in the background.

        The streams watch the keys in turn, which are serialized. They connect to the first address
        that answers.
        """
        await self._command(
            "open",
            addresses=list(addresses),
            keys=_texts(keys),
            streams=streams,
            connections=connections,
            pace=pace,
        )

    async def state(self) -> Any:
        """The number of `streams`, of those that are `open`, and of those that are `current`."""
        return await self._command("state")

    async def window(self) -> Any:
        """The counts since the last call."""
        return await self._command("window")

    async def churn(self, *, rate: float, seconds: float) -> None:
        """Cut the connections of streams, so many a second, in the background."""
        await self._command("churn", rate=rate, seconds=seconds)

    async def push(
        self,
        target: Target,
        request: bytes,
        *,
        key: int,
        writes: int,
        interval: float,
        within: float,
    ) -> Any:
        """Put one key again and again: when its watchers are told. A `key` of -1 has none."""
        return await self._command(
            "push",
            **target.to_json(),
            request=_text(request),
            key=key,
            writes=writes,
            interval=interval,
            within=within,
        )

    async def write(
        self, target: Target, requests: Sequence[bytes], *, rate: float, seconds: float
    ) -> Any:
        """Put the keys in turn at a rate: when their watchers are told."""
        return await self._command(
            "write", **target.to_json(), requests=_texts(requests), rate=rate, seconds=seconds
        )

    async def load(
        self,
        target: Target,
        requests: Sequence[bytes],
        *,
        in_flight: int,
        seconds: float,
        connections: int = 1,
        tries: int = 1,
    ) -> Any:
        """Keep calls in flight: how many ended, and what they took in milliseconds."""
        return await self._command(
            "load",
            **target.to_json(),
            requests=_texts(requests),
            in_flight=in_flight,
            seconds=seconds,
            connections=connections,
            tries=tries,
        )

    async def _command(self, name: str, **argument: object) -> Any:
        answer = await self._process.call(name, argument)
        if "error" in answer:
            raise RuntimeError(f"the generator's command {name}: {answer['error']}")
        return answer["result"]


@asynccontextmanager
async def generator(*, is_last: bool = False) -> AsyncGenerator[Generator, None]:
    """Run a generator. If `is_last`, it runs only while no other process needs the CPU."""
    words = [str(program())]
    if is_last and sys.platform == "linux" and shutil.which("chrt"):
        words = ["chrt", "--idle", "0", *words]
    async with worker(*words) as process:
        yield Generator(process)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _texts(many: Sequence[bytes]) -> list[str]:
    return [_text(each) for each in many]
