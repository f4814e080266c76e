"""The metrics of the whole server, served by the supervisor of its workers. Needs `telemetry`."""

import asyncio
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress

from opentelemetry.sdk.resources import Resource

from relevo_server.cli.workers.process import WorkerProcess
from relevo_server.logs import log
from relevo_server.telemetry.scrape import MetricsServer, registry_of
from relevo_server.telemetry.whole import Family, Report, Sample, Whole

_LATE = 2.0
"""Seconds after which a worker's last report is taken for its present one."""
_LATEST = 10.0
"""Seconds that a scrape may take."""
_OWN = 0
"""Stands for the supervisor among the numbers of processes, which begin with 1."""


class Figures:
    """Serves metrics at `listen`. Raises OSError if the address is not available.

    `processes` returns those that can be asked.
    """

    def __init__(self, listen: str, processes: Callable[[], Iterable[WorkerProcess]]) -> None:
        given = Resource.create().attributes.get("service.instance.id")
        self._whole = Whole(str(given or uuid.uuid4()))
        self._processes = processes
        self._restarts = 0
        self._count_restarts()
        self._loop = asyncio.get_running_loop()
        self._server = MetricsServer(listen, registry_of(self._read))
        log.info("metrics.started", address=self._server.address)

    def end(self, process: WorkerProcess, *, is_restarted: bool) -> None:
        """Keep what a process has counted: it has ended. Count it if it is restarted."""
        self._whole.update(process.number, process.report)
        self._whole.end(process.number)
        self._restarts += is_restarted
        self._count_restarts()

    async def close(self) -> None:
        """Stop serving."""
        await asyncio.to_thread(self._server.close)

    def _count_restarts(self) -> None:
        name = "relevo_server_worker_restarts"
        value = Sample(f"{name}_total", (), self._restarts)
        text = "Workers that died and were replaced"
        self._whole.update(_OWN, [Family(name, text, "counter", "", [value])])

    def _read(self) -> Report:
        """The metrics of the whole, for the thread of a scrape."""
        collecting = asyncio.run_coroutine_threadsafe(self._collected(), self._loop)
        return collecting.result(_LATEST)

    async def _collected(self) -> Report:
        processes = list(self._processes())
        await asyncio.gather(*map(_brought_up_to_date, processes))
        for each in processes:
            if each.has_ended:
                continue  # meanwhile: `end` has its last report
            self._whole.update(each.number, each.report)
        return self._whole.report


async def _brought_up_to_date(process: WorkerProcess) -> None:
    with suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(_LATE):
            await process.update_report()
