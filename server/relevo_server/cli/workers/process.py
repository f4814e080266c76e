"""A process of a worker, as its supervisor sees it."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, NamedTuple

from relevo_server.cli.workers.channel import Channel, Message
from relevo_server.cli.workers.handover import Handover, packed
from relevo_server.settings import Settings
from relevo_server.telemetry import whole
from relevo_server.telemetry.whole import Report

_PROGRAM = "relevo_server.cli.workers.worker"


class Ready(NamedTuple):
    """A process serves."""

    number: int


class Ended(NamedTuple):
    """A process has ended."""

    number: int
    code: int
    """The exit code, negative for the signal that killed it."""
    problems: str
    """The problems that it reported if it could not serve."""


Tell = Callable[[Ready | Ended], None]


class RefusedError(ValueError):
    """Raised if a worker cannot use settings. Its text has a line for each problem."""


class WorkerProcess:
    """A process that runs a worker. `number` is its own, `tell` gets what becomes of it."""

    def __init__(self, number: int, handover: Handover, tell: Tell) -> None:
        self.number = number
        self.worker = handover.worker.number
        self.settings = handover.settings
        """The settings that it has."""
        self.silent = 0
        """The number of the supervisor's looks since the last sign of life."""
        self.is_serving = False
        self.has_ended = False
        self.leaving = 0
        """The number of looks since it was told to end; 0 if it was not."""
        self.pid = 0
        self.report: Report = ()
        """The metrics that it reported last."""
        self._handover = handover
        self._tell = tell
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = None
        self._last_signal: signal.Signals | None = None
        self._problems = ""
        self._numbers = count(1)
        self._is_lost = False
        self._asked: dict[int, asyncio.Future[Message]] = {}

    async def run(self) -> None:
        """Start it, and tell what becomes of it until it has ended."""
        try:
            code = await self._run()
        except OSError as error:  # no memory or no processes are left
            code, self._problems = 1, f"cannot start a process: {error.strerror}"
        self.is_serving, self.has_ended = False, True
        self._tell(Ended(self.number, code, self._problems))

    def leave(self) -> None:
        """Tell it to end in order."""
        self.leaving = 1
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    async def reload(self, settings: Settings) -> list[str]:
        """Hand it settings. Returns those that need a restart.

        Raises RefusedError, and ConnectionError if it has ended.
        """
        answer = await self._ask("reload", packed(settings))
        if "problems" in answer:
            raise RefusedError(answer["problems"])
        self.settings = settings
        restart: list[str] = answer["restart"]
        return restart

    async def refuse(self, problems: str) -> None:
        """Let it record that settings cannot be used. Raises ConnectionError if it has ended."""
        await self._ask("refused", problems)

    async def update_report(self) -> None:
        """Bring `report` up to date. Raises ConnectionError if the process has ended."""
        self.report = whole.unpacked((await self._ask("report"))["report"])

    async def _run(self) -> int:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            # In a process group of its own: Ctrl-C on a terminal is for the supervisor, which ends
            # workers in order.
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", _PROGRAM, str(theirs.fileno())),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
            self.pid = self._process.pid
            theirs.close()
            if self._last_signal:  # it was told before it was there
                self._signal(self._last_signal)
            self._channel = await Channel.over(ours.dup())
        with suppress(ConnectionError):
            await self._channel.send(self._handover.packed())
        try:
            while message := await self._channel.receive():
                self._take(message)
        finally:
            self._lose()
            await self._channel.close()
        return await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        self._last_signal = number
        if self._process:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _take(self, message: Message) -> None:
        self.silent = 0
        if "ready" in message:
            self.is_serving = True
            self._tell(Ready(self.number))
        elif "answer" in message:
            asked = self._asked.pop(message["answer"])
            if not asked.done():  # nobody waits any longer
                asked.set_result(message)
        elif "last" in message:
            self.report = whole.unpacked(message["last"])
        elif "problems" in message:
            self._problems = message["problems"]

    async def _ask(self, what: str, value: Any = None) -> Message:
        """Ask the worker, and wait for its answer. Raises ConnectionError if it ends meanwhile."""
        if self._channel is None or self._is_lost:
            raise ConnectionResetError
        number = next(self._numbers)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        await self._channel.send({"ask": what, "number": number, "value": value})
        return await answer

    def _lose(self) -> None:
        """End what was asked and will not be answered."""
        self._is_lost = True
        for each in self._asked.values():
            if not each.done():
                each.set_exception(ConnectionResetError())
        self._asked.clear()
