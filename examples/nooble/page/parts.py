"""The processes of a platform that is held open. Each can be killed, and started again."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from socket import socket
from typing import Any, Literal

from relevo_demo.launching import ProcessError, Running, launched

from nooble.ports import ANYWHERE, HOST, reserved

State = Literal["starting", "running", "killed", "ended", "stopping"]
BREAKABLE = ("store", "contexts", "execution", "embedding", "query")
"""The names of the processes that the page may kill. Agent management is none of them: its memory
is the platform's database."""
NOTES: Mapping[str, str] = {
    "queues": "Redis of the queues",
    "contexts": "Redis of the contexts",
    "store": "ContextStore",
    "agent_management": "owner of the configuration",
    "orchestrator": "edge: WebSockets",
    "execution": "worker: answers as the agent",
    "embedding": "worker: text to vectors",
    "query": "worker: searches passages",
}
"""The description of each process, by its name."""


class PartError(Exception):
    """Raised if a process is not in the state for what is asked, or is not to be killed."""


class Part:
    """One process, which keeps its address when it is started again."""

    def __init__(
        self,
        id_: str,
        name: str,
        command: tuple[str, ...],
        environment: Mapping[str, str],
        changed: Callable[[], None],
    ) -> None:
        self.id = id_
        self.name = name
        self.state: State = "starting"
        self.pid = 0
        self._command = command
        self._environment = environment
        self._changed = changed
        self._stack = AsyncExitStack()
        self._kept: socket | None = None
        self._lock = asyncio.Lock()
        self._port = 0
        """The port that it serves; 0 for a worker that serves none."""

    @property
    def note(self) -> str:
        """Its description."""
        return NOTES.get(self.name, "")

    @property
    def is_breakable(self) -> bool:
        """Whether the page may kill it."""
        return self.name in BREAKABLE

    @property
    def can_be_killed(self) -> bool:
        """Whether it may be killed now."""
        return self.is_breakable and self.state == "running"

    @property
    def can_be_restarted(self) -> bool:
        """Whether it may be started again now."""
        return self.is_breakable and self.state in ("killed", "ended")

    async def start(self) -> tuple[Running, Mapping[str, Any]]:
        """Start it. Returns once it serves. Raises ProcessError."""
        self._to("starting")
        try:
            running, line = await self._stack.enter_async_context(
                launched(self.name, *self._command, ended=self._on_end, **self._environment)
            )
        except ProcessError:
            self._to("ended")
            raise
        self.pid = running.pid
        self._port = _port_of(running.address)
        if self._port:
            address = f"{HOST}:{self._port}"
            self._command = tuple(each.replace(ANYWHERE, address) for each in self._command)
        self._to("running")
        return running, line

    async def kill(self) -> None:
        """Kill it by SIGKILL, with the processes that it started. Raises PartError."""
        async with self._lock:
            if not self.can_be_killed:
                raise PartError(f"{self.id} is {self.state}, and cannot be killed")
            self._to("killed")
            _kill(self.pid)
            await self._stack.aclose()
            if self._port:
                self._keep_port()

    async def restart(self) -> None:
        """Start it again, at its address. Raises PartError and ProcessError."""
        async with self._lock:
            if not self.can_be_restarted:
                raise PartError(f"{self.id} is {self.state}, and cannot be started")
            await self._stack.aclose()
            await self.start()

    async def stop(self) -> None:
        """Stop it by SIGTERM."""
        async with self._lock:
            self._to("stopping")
            await self._stack.aclose()
            if self._kept:
                self._kept.close()

    def _keep_port(self) -> None:
        """Keep its port, so that no connection of another process takes it meanwhile."""
        if self._kept is None:
            with suppress(OSError):  # somebody was faster: the restart will say so
                self._kept = reserved(self._port)

    def _on_end(self) -> None:
        if self.state == "running":
            self._to("ended")

    def _to(self, state: State) -> None:
        self.state = state
        self._changed()


def _kill(pid: int) -> None:
    """Kill a process, and its group if it leads one: `nooble.redis_server` has a child."""
    with suppress(ProcessLookupError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)


def _port_of(address: str) -> int:
    """The port in an address; 0 if it has none: workers announce their names."""
    _, colon, port = address.rpartition(":")
    return int(port) if colon else 0


class Parts:
    """The processes of one platform, in the order in which they were started."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.all: list[Part] = []
        self._changed = changed

    @asynccontextmanager
    async def launch(
        self, name: str, *command: str, **environment: str
    ) -> AsyncGenerator[tuple[Running, Mapping[str, Any]]]:
        """Run a process until the block ends, however often it is killed and started again."""
        number = 1 + sum(part.name == name for part in self.all)
        part = Part(f"{name}-{number}", name, command, environment, self._changed)
        self.all.append(part)
        try:
            yield await part.start()
        finally:
            await part.stop()

    def named(self, id_: str) -> Part:
        """A process by its id. Raises KeyError."""
        for part in self.all:
            if part.id == id_:
                return part
        raise KeyError(id_)
