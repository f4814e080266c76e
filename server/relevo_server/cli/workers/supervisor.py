"""Keeps the workers of `relevo serve --workers` running, until SIGTERM or SIGINT."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from relevo_server.cli.extras import needing
from relevo_server.cli.reloading import Load, Reloading
from relevo_server.cli.workers import ports
from relevo_server.cli.workers.fleet import (
    Action,
    Drain,
    Fleet,
    GiveUp,
    Kill,
    NotRenewed,
    Renewed,
    Start,
)
from relevo_server.cli.workers.handover import Handover
from relevo_server.cli.workers.process import Ended, Ready, RefusedError, WorkerProcess
from relevo_server.cli.workers.rollout import Rollout
from relevo_server.logs import log
from relevo_server.settings import Settings
from relevo_server.telemetry.wanted import wanted
from relevo_server.workers import Worker

if TYPE_CHECKING:
    from relevo_server.cli.workers.figures import Figures

_LAST_WORDS = 10.0
"""Seconds after `grace` that a worker has for its last records and exports, before it is killed."""


class Signal(NamedTuple):
    """A signal of the operating system."""

    number: signal.Signals


Happening = Ready | Ended | Signal


def run(settings: Settings, load: Load, config: Path | None, workers: int) -> int:
    """Run `workers` workers, and return the exit code: if they cannot start, that of one of them.

    On SIGHUP, and if a file of the settings changes, they take over what `load` returns, on SIGUSR2
    they are replaced one after the other. `config` is the file that `load` reads, if there is one.

    Raises ValueError if a setting cannot be used, OSError if an address is not available, and
    MissingExtraError.
    """
    wanted(os.environ, settings.metrics_listen, audit_otlp=settings.audit_otlp)
    with ports.held(settings.listen, is_shared=settings.reuse_port) as listen:
        return asyncio.run(_Supervisor(settings, load, config, listen, workers).run())


class _Supervisor:
    def __init__(
        self, settings: Settings, load: Load, config: Path | None, listen: str, workers: int
    ) -> None:
        self._settings = settings
        self._load = load
        self._listen = listen
        self._workers = workers
        self._beat = min(1.0, settings.worker_timeout / 4)
        self._fleet = Fleet(workers)
        self._processes: dict[int, WorkerProcess] = {}
        self._rollout = Rollout(settings, listen, self._serving)
        self._reloading = Reloading(self._rollout, settings, load, config)
        self._happened: asyncio.Queue[Happening] = asyncio.Queue()
        self._figures: Figures | None = None
        self._code = 0

    async def run(self) -> int:
        """Run until every worker has ended. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
            loop.add_signal_handler(number, self._happened.put_nowait, Signal(number))
        loop.add_signal_handler(signal.SIGHUP, self._reloading.ask)
        async with AsyncExitStack() as stack:
            if self._settings.metrics_listen:
                with needing("telemetry"):
                    from relevo_server.cli.workers.figures import Figures  # noqa: PLC0415
                self._figures = Figures(self._settings.metrics_listen, self._askable)
                stack.push_async_callback(self._figures.close)
            self._tasks = await stack.enter_async_context(asyncio.TaskGroup())
            beside = [self._tasks.create_task(self._watch())]
            self._act(self._fleet.tick(time.monotonic()))
            while not self._fleet.is_over:
                had_started = self._fleet.has_started
                await self._handle(await self._next())
                if self._fleet.has_started and not had_started:
                    log.info("workers.started", address=self._listen, workers=self._workers)
                    beside.append(self._tasks.create_task(self._reloading.run()))
            for each in beside:
                each.cancel()
        log.info("workers.stopped")
        return self._code

    def _serving(self) -> Sequence[WorkerProcess]:
        return [self._processes[number] for number in self._fleet.ready]

    def _askable(self) -> Sequence[WorkerProcess]:
        return [each for each in self._processes.values() if each.is_serving]

    async def _next(self) -> Happening | None:
        """What happens next; None if something is due before."""
        due = self._fleet.due
        with suppress(TimeoutError):
            async with asyncio.timeout(None if due is None else max(0.0, due - time.monotonic())):
                return await self._happened.get()
        return None

    async def _handle(self, happening: Happening | None) -> None:
        now = time.monotonic()
        match happening:
            case None:
                self._act(self._fleet.tick(now))
            case Ready(number):
                process = self._processes.get(number)
                if process is None:
                    return  # it has ended while it caught up
                self._rollout.settle(process)
                if self._rollout.is_behind(process):
                    self._tasks.create_task(self._catch_up(process))
                else:
                    self._act(self._fleet.became_ready(number, now))
            case Ended(number, code, problems):
                self._take_end(self._processes.pop(number), code, problems)
                self._act(self._fleet.ended(number, now), problems, code)
            case Signal(signal.SIGUSR2):
                self._tasks.create_task(self._renew())
            case Signal(number):
                self._stop(number)

    def _act(self, actions: Sequence[Action], problems: str = "", code: int = 0) -> None:
        """Carry out actions. Some are about a process that has ended with this code and text."""
        for action in actions:
            match action:
                case Start(number, worker, is_renewal):
                    self._start(number, worker, is_renewal=is_renewal)
                case Drain(number):
                    self._processes[number].leave()
                case Kill(number):
                    self._processes[number].kill()
                case Renewed():
                    self._rollout.end_renewal()
                    log.info("workers.renewed")
                case NotRenewed():
                    self._rollout.end_renewal()
                    log.error("workers.not_renewed", problems=problems.splitlines())
                case GiveUp():
                    self._code = code if code > 0 else 128 - code
                    for line in problems.splitlines():
                        print(f"relevo serve: {line}", file=sys.stderr)

    def _start(self, number: int, worker: int, *, is_renewal: bool) -> None:
        tried = self._rollout.tried if is_renewal else None
        handover = Handover(
            Worker(worker, self._workers),
            tried or self._rollout.in_force,
            has_metrics=self._figures is not None,
            beat=self._beat,
        )
        process = WorkerProcess(number, handover, self._happened.put_nowait)
        self._processes[number] = process
        self._tasks.create_task(process.run())

    def _take_end(self, process: WorkerProcess, code: int, problems: str) -> None:
        is_expected = bool(process.leaving)
        if self._figures:
            self._figures.end(process, is_restarted=not is_expected)
        if not is_expected:
            log.warning(
                "worker.ended",
                worker=process.worker, pid=process.pid, code=code, problems=problems.splitlines(),
            )  # fmt: skip

    async def _catch_up(self, process: WorkerProcess) -> None:
        """Hand a process the settings that came into force while it started."""
        try:
            await self._rollout.catch_up(process)
        except RefusedError as error:
            problems = [f"worker {process.worker}: {each}" for each in str(error).splitlines()]
            log.error("settings.refused", problems=problems)
            self._rollout.refuse_reload("\n".join(problems))
        except ConnectionError:
            return  # it has ended
        self._happened.put_nowait(Ready(process.number))

    async def _renew(self) -> None:
        """Begin a rolling restart, with the settings as they are now."""
        try:
            settings = await asyncio.to_thread(self._load)
            self._rollout.begin_renewal(settings)
        except ValueError as error:
            log.error("settings.refused", problems=str(error).splitlines())
            self._rollout.refuse_reload(str(error))
            return
        log.info("workers.renewing")
        self._act(self._fleet.renew())

    def _stop(self, number: signal.Signals) -> None:
        """Begin the end in order; the second time, end at once."""
        if self._fleet.is_stopping:
            self._code = 128 + number
            log.warning("workers.killed")
            self._act(self._fleet.kill())
            return
        log.info("workers.stopping", grace=self._settings.grace)
        self._act(self._fleet.stop())

    async def _watch(self) -> None:
        """Kill processes that show no life, and those that do not end."""
        while True:
            await asyncio.sleep(self._beat)
            for process in list(self._processes.values()):
                # Looks are counted, no time: a machine that was suspended finds nobody late.
                if process.leaving:
                    process.leaving += 1
                    is_late = process.leaving * self._beat > self._settings.grace + _LAST_WORDS
                else:
                    process.silent += process.is_serving
                    is_late = process.silent * self._beat > self._settings.worker_timeout
                if is_late:
                    log.error("worker.silent", worker=process.worker, pid=process.pid)
                    process.kill()
