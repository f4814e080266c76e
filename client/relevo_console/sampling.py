"""Samples a store while somebody looks: one sampler, however many look.

Each question carries the token of somebody who looks now, and is about what this one may see. Who
looks has proven the right to it by a call of their own, and proves it again from time to time. So
nobody sees by another's token what their own does not show.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass

from relevo.admin.v1 import admin_pb2

from relevo_console.problems import Kind, StoreCallError
from relevo_console.store import Viewer
from relevo_console.views.samples import Samples


@dataclass(frozen=True)
class Intervals:
    """The seconds from one question to the store to the next."""

    status: float = 2.0
    clients: float = 10.0
    """As often as clients report on their caches."""
    proof: float = 30.0
    """The seconds for which the proof of a right is good."""


@dataclass(eq=False)
class _Looker:
    viewer: Viewer
    sees_clients: bool
    news: asyncio.Event
    problem: StoreCallError | None = None


class Sampler:
    """The samples of one store. Use it in one event loop."""

    def __init__(
        self, intervals: Intervals | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._intervals = intervals or Intervals()
        self._clock = clock
        self._lookers: list[_Looker] = []
        self._task: asyncio.Task[None] | None = None
        self._asked_clients = 0.0
        self.samples = Samples()
        self.status: admin_pb2.GetStatusResponse | None = None
        """The last answer, None if there was none yet."""
        self.problem = ""
        """Why the store does not answer now, "" if it does."""
        self.since = 0.0
        """Since when it does not, in seconds since 1970."""

    @property
    def is_sampling(self) -> bool:
        """Whether somebody looks."""
        return self._task is not None

    async def looking(self, viewer: Viewer) -> AsyncGenerator[bool, None]:
        """Look: an item for each new sample, which tells whether the viewer may see clients.

        Raises StoreCallError if the viewer may not see the store, also if that becomes so later.
        """
        looker = _Looker(viewer, await sees_clients(viewer), asyncio.Event())
        self._lookers.append(looker)
        if self._task is None:
            self._task = asyncio.create_task(self._sample())
        proven = time.monotonic()
        try:
            while True:
                await looker.news.wait()
                looker.news.clear()
                if looker.problem:
                    raise looker.problem
                if time.monotonic() - proven > self._intervals.proof and not self.problem:
                    looker.sees_clients = await sees_clients(viewer)
                    proven = time.monotonic()
                yield looker.sees_clients
        finally:
            self._lookers.remove(looker)
            await self._stop_if_nobody_looks()

    async def _stop_if_nobody_looks(self) -> None:
        if not self._lookers and self._task:
            task, self._task = self._task, None
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _sample(self) -> None:
        while True:
            await self._ask_status()
            if not self.problem and (
                self._clock() - self._asked_clients >= self._intervals.clients
            ):
                await self._ask_clients()
            for looker in self._lookers:
                looker.news.set()
            await asyncio.sleep(self._intervals.status)

    async def _ask_status(self) -> None:
        for looker in list(self._lookers):
            try:
                status = await looker.viewer.status()
            except StoreCallError as problem:
                if _is_of(looker, problem):
                    continue
                self._fail(problem.text)
                return
            self.status = status
            self.samples.add_status(status, self._clock())
            if status.store.available:
                self.problem = ""
            else:
                self._say(f"the store does not answer: {status.store.reason}")
            return

    async def _ask_clients(self) -> None:
        for looker in [each for each in self._lookers if each.sees_clients]:
            try:
                clients = await looker.viewer.clients()
                tenants = await looker.viewer.top_tenants(admin_pb2.TOP_ORDER_MISSES)
            except StoreCallError as problem:
                if problem.kind is Kind.TENANT:
                    looker.sees_clients = False
                elif not _is_of(looker, problem):
                    return
                continue
            self._asked_clients = self._clock()
            self.samples.add_clients(clients, self._asked_clients)
            self.samples.add_tenants(tenants.tenants, self._asked_clients)
            return

    def _fail(self, text: str) -> None:
        self.samples.add_failure(self._clock())
        self._say(text)

    def _say(self, text: str) -> None:
        if not self.problem:
            self.since = self._clock()
        self.problem = text


def _is_of(looker: _Looker, problem: StoreCallError) -> bool:
    """Whether a problem is the looker's own, who is then told."""
    if problem.kind in {Kind.SIGN_IN, Kind.ROLE, Kind.TENANT}:
        looker.problem = problem
        looker.news.set()
        return True
    return False


async def sees_clients(viewer: Viewer) -> bool:
    """Whether a viewer may see all clients. Raises StoreCallError if they may not see the store."""
    try:
        await viewer.clients(1)
    except StoreCallError as problem:
        if problem.kind is not Kind.TENANT:
            # It may be the role for all scopes that is missing: then the status is allowed.
            await viewer.status()
            if problem.kind is not Kind.ROLE:
                raise
        return False
    return True
