"""The settings of workers: those in force, and those that a rolling restart tries."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from relevo_server.cli.workers.handover import OF_SUPERVISOR, kept, of_worker
from relevo_server.cli.workers.process import RefusedError, WorkerProcess
from relevo_server.settings import Settings, differing, require_callers


class Rollout:
    """Brings settings to workers.

    `settings` are those of the server, and `listen` the address that workers share. `serving`
    returns the processes that serve.
    """

    def __init__(
        self, settings: Settings, listen: str, serving: Callable[[], Sequence[WorkerProcess]]
    ) -> None:
        self._own = settings
        self._serving = serving
        self._recording = set[asyncio.Task[None]]()
        self.in_force: Settings = of_worker(settings, listen)
        """The settings that a process begins with."""
        self.tried: Settings | None = None
        """Those that a process of a rolling restart begins with, while there is one."""

    def begin_renewal(self, settings: Settings) -> None:
        """Try settings, with those that a running worker cannot change. Raises ValueError."""
        self.tried = self._wanted(settings)

    def end_renewal(self) -> None:
        """Try none any longer."""
        self.tried = None

    def settle(self, process: WorkerProcess) -> None:
        """A process serves: if it has the settings that were tried, these are in force."""
        if process.settings is self.tried:
            self.in_force = process.settings

    def is_behind(self, process: WorkerProcess) -> bool:
        """Whether a process began with settings that are no longer in force."""
        return process.settings is not self.in_force and process.settings is not self.tried

    async def catch_up(self, process: WorkerProcess) -> None:
        """Hand a process the settings in force. Raises RefusedError and ConnectionError."""
        in_force = self.in_force
        try:
            await process.reload(in_force)
        finally:
            process.settings = in_force  # it is not asked again, whatever it says

    async def reload(self, settings: Settings) -> list[str]:
        """Hand settings to all workers, one after the other. Returns those that need a restart.

        Raises ValueError. If the first worker refuses, no other one is asked and all go on as
        before. If a later one does, a file has changed meanwhile: `Reloading` sees that.
        """
        restart = OF_SUPERVISOR.intersection(differing(self._own, settings))
        wanted = self._wanted(settings)
        restart |= await self._try(wanted)
        refusals: list[str] = []
        while behind := next(filter(self.is_behind, self._serving()), None):
            with suppress(ConnectionError):  # the process after it begins with what is in force
                try:
                    await self.catch_up(behind)
                except RefusedError as error:
                    refusals += [
                        f"worker {behind.worker}: {each}" for each in str(error).splitlines()
                    ]
        if refusals:
            raise RefusedError("\n".join(refusals))
        return sorted(restart)

    def refuse_reload(self, problems: str) -> None:
        """Let one worker record that settings cannot be used, if one serves."""
        for process in self._serving()[:1]:
            recording = asyncio.create_task(_recorded(process, problems))
            self._recording.add(recording)
            recording.add_done_callback(self._recording.discard)

    def _wanted(self, settings: Settings) -> Settings:
        """The settings of workers, if a supervisor had these."""
        # Here too, since there may be no worker that could refuse them.
        require_callers(self.in_force, settings)
        return kept(self.in_force, settings, OF_SUPERVISOR)

    async def _try(self, wanted: Settings) -> set[str]:
        """Hand settings to one worker, and put them in force. Returns those that need a restart."""
        needed: set[str] = set()
        for process in self._serving():
            try:
                needed = set(await process.reload(wanted))
            except ConnectionError:
                continue  # it has ended: ask the next one
            self.in_force = process.settings = kept(self.in_force, wanted, needed)
            break
        else:
            self.in_force = wanted  # no worker serves; the next ones find out
        if self.tried is not None:
            self.tried = wanted
        return needed


async def _recorded(process: WorkerProcess, problems: str) -> None:
    with suppress(ConnectionError):
        await process.refuse(problems)
