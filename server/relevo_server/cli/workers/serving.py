"""A worker at work: its server, and its connection to the supervisor.

Importing this module loads gRPC.
"""

import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine, Mapping
from contextlib import nullcontext, suppress
from typing import Any, NamedTuple

import uvloop

from relevo_server import logs
from relevo_server.cli import memory, running
from relevo_server.cli.extras import MissingExtraError, needing
from relevo_server.cli.workers.channel import Channel, Message
from relevo_server.cli.workers.handover import Handover, unpacked
from relevo_server.server import Server
from relevo_server.storage import LayoutError
from relevo_server.telemetry import whole
from relevo_server.telemetry.telemetry import NOTHING, Telemetry
from relevo_server.telemetry.whole import Report

_LAST_WORDS = 3.0
"""Seconds that the last report may take. A supervisor that is stopped must not keep a worker from
its end."""
_Report = Callable[[], Report]


class Ended(NamedTuple):
    """The end of a worker."""

    code: int
    problems: str = ""
    """The problems if it could not serve, one a line."""


def run(handover: Handover, end: socket.socket) -> Ended:
    """Serve until SIGTERM or the end of the supervisor, to which `end` leads."""
    number, settings = handover.worker.number, handover.settings
    try:
        exporters = running.exporters(settings, worker=number, reports=handover.has_metrics)
        report = exporters.report if exporters else tuple
        with exporters or nullcontext(NOTHING) as telemetry:
            uvloop.run(_serve(handover, telemetry, report, end.dup()))
    except (ValueError, MissingExtraError) as error:
        return Ended(2, str(error))
    except (OSError, LayoutError) as error:
        return Ended(1, str(error))
    return Ended(0)


async def _serve(
    handover: Handover, telemetry: Telemetry, report: _Report, end: socket.socket
) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = running.server_of(handover.settings, telemetry, handover.worker)
    link = Link(await Channel.over(end), server, report)
    async with server:
        memory.settle()
        tasks = [
            asyncio.create_task(each) for each in (link.follow(stop), link.show_life(handover.beat))
        ]
        await link.send({"ready": server.address})
        await server.run(stop)
    # The supervisor is served to the end: calls that end meanwhile are in the last report.
    for task in tasks:
        task.cancel()
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WORDS):
            await link.close()


class Link:
    """Answers the supervisor of a server's worker."""

    def __init__(self, channel: Channel, server: Server, report: _Report) -> None:
        self._channel = channel
        self._server = server
        self._report = report
        self._reporting = asyncio.Lock()
        self._answering: set[asyncio.Task[None]] = set()

    async def send(self, message: Message) -> None:
        """Tell the supervisor something, if it is there."""
        with suppress(ConnectionError):
            await self._channel.send(message)

    async def close(self) -> None:
        """Send the last report, and close the connection."""
        await self.send({"last": (await self._make_report(None))["report"]})
        await self._channel.close()

    async def follow(self, stop: asyncio.Event) -> None:
        """Answer what the supervisor asks. Set `stop` if it is gone."""
        while message := await self._channel.receive():
            task = asyncio.create_task(self._answer(message))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        stop.set()

    async def show_life(self, seconds: float) -> None:
        """Say regularly that the event loop runs."""
        while True:
            await asyncio.sleep(seconds)
            await self.send({"beat": True})

    async def _answer(self, message: Message) -> None:
        answers: Mapping[str, Callable[[Any], Coroutine[Any, Any, Message]]] = {
            "reload": self._reload,
            "refused": self._refuse,
            "report": self._make_report,
        }
        asked = message["ask"]
        answer = await answers[asked](message["value"])
        await self.send({"answer": message["number"], **answer})

    async def _reload(self, values: Mapping[str, Any]) -> Message:
        """Take over settings, as far as a running server can."""
        try:
            settings = unpacked(values)
            with needing("jwt"):
                restart = await self._server.reload(settings)
        except (ValueError, OSError, MissingExtraError) as error:
            return {"problems": str(error)}
        logs.set_level(settings.log_level)
        return {"restart": restart}

    async def _refuse(self, problems: str) -> Message:
        """Record settings that the supervisor cannot use."""
        self._server.refuse_reload(problems)
        return {}

    async def _make_report(self, _: object) -> Message:
        async with self._reporting:
            return {"report": whole.packed(await asyncio.to_thread(self._report))}
