"""The platforms of the three modes. Each starts when it is first chosen, and is then kept."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Literal, Self

from relevo_demo.launching import ProcessError

from nooble.observing import SEEN
from nooble.page.calls import CallCounter
from nooble.page.changes import Acknowledgement, Changes
from nooble.page.log import TurnLog, Watch
from nooble.page.parts import Parts
from nooble.page.turns import Turn
from nooble.page.watching import watching
from nooble.processes import WORKERS, Nooble, nooble
from nooble.steps import Step
from nooble.wiring import MODES, Mode

REDELIVER_AFTER, TURN_TIMEOUT = 2.0, 12.0
"""Seconds, shorter than the platform's defaults: a person waits for the turn."""
PROCESSES = 4 + 3 * WORKERS
"""The processes of a platform; with Relevo there is one more, the store."""
State = Literal["new", "starting", "running", "failed"]


class Platform:
    """The platform of one mode, and the turns that it takes."""

    def __init__(self, mode: Mode, changes: Changes, changed: Callable[[], None]) -> None:
        self.mode: Mode = mode
        self.state: State = "new"
        self.problem = ""
        """Why it does not run, if its start has failed."""
        self.log = TurnLog(mode)
        self.parts = Parts(changed)
        self.total = PROCESSES + (mode == "relevo")
        """The number of its processes."""
        self._changes = changes
        self._changed = changed
        self._settled = asyncio.Event()
        self._nooble: Nooble
        self._calls: CallCounter

    @property
    def started(self) -> int:
        """The number of its processes that have started."""
        return sum(part.state != "starting" for part in self.parts.all)

    @property
    def orchestrator(self) -> str:
        """The address for conversations."""
        return self._nooble.orchestrators[0]

    @property
    def management(self) -> str:
        """Agent management's base URL."""
        return self._nooble.wiring.management

    @property
    def store(self) -> str:
        """The store's address, host and port; "" if the mode has none or does not run."""
        return self._nooble.wiring.store.rpartition("ipv4:")[2] if self.state == "running" else ""

    async def wait(self) -> None:
        """Wait until it runs. Raises ProcessError if its start has failed."""
        await self._settled.wait()
        if self.state == "failed":
            raise ProcessError(self.problem)

    async def hold(self) -> None:
        """Start it, and keep it until this task is cancelled."""
        self._to("starting")
        try:
            async with AsyncExitStack() as stack:
                observer = await stack.enter_async_context(watching(self._hear))
                self._nooble = await stack.enter_async_context(
                    nooble(
                        self.mode,
                        redeliver_after=REDELIVER_AFTER,
                        turn_timeout=TURN_TIMEOUT,
                        observer=observer,
                        launch=self.parts.launch,
                    )
                )
                self._calls = await stack.enter_async_context(CallCounter(self._nooble.wiring))
                await self._changes.replay(self.mode, self.management)
                self._to("running")
                self._settled.set()
                await asyncio.Event().wait()
        except (ProcessError, OSError) as error:
            self.problem = str(error)
        finally:
            self.problem = self.problem or "it was stopped"
            self._to("failed")
            self._settled.set()

    async def take(
        self,
        agent: str,
        conversation: str,
        text: str,
        watch: Watch,
        ask: Callable[[str], Awaitable[Mapping[str, Any]]],
    ) -> Turn:
        """Take a turn: `ask` sends the text, and returns what the orchestrator said.

        `watch` is called after each step. Raises BusyError.
        """
        before = await self._calls.counted()
        due = self._changes.due(self.mode)
        under_way = self.log.begin(agent, conversation, text, due, watch)
        said: Mapping[str, Any] = {"error": "NO_CONNECTION"}
        at = time.time()
        try:
            said = await ask(text)
            at = time.time()
            await under_way.until_stepped(len(said.get(SEEN, ())))
        finally:
            calls = (await self._calls.counted()).since(before)
            self.log.end(under_way, said, at, calls)
        self._changed()
        return under_way.turn

    def _hear(self, step: Step) -> None:
        self._calls.hear(step)
        self.log.hear(step)

    def _to(self, state: State) -> None:
        self.state = state
        self._changed()


class Platforms:
    """All modes. Use with `async with`, which stops them."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.changes = Changes()
        self._all = {mode: Platform(mode, self.changes, changed) for mode in MODES}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Start nothing yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop all platforms, at the same time."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def __getitem__(self, mode: Mode) -> Platform:
        """The platform of a mode, which may not run."""
        return self._all[mode]

    def started(self, mode: Mode) -> Platform:
        """The platform of a mode, which starts if it is chosen for the first time."""
        platform = self._all[mode]
        if platform.state == "new":
            platform.state = "starting"
            self._tasks.append(asyncio.create_task(platform.hold()))
        return platform

    async def change(self, key: str, changes: Mapping[str, Any]) -> list[Acknowledgement]:
        """Change a configuration in every mode that runs."""
        return await self.changes.make(key, changes, self._managements)

    def _managements(self) -> dict[Mode, str]:
        return {
            each.mode: each.management for each in self._all.values() if each.state == "running"
        }

    def last_turns(self) -> dict[Mode, Turn]:
        """The last turn of each mode that has taken one."""
        return {each.mode: turn for each in self._all.values() if (turn := each.log.last)}
