"""One load for all who need the same thing at the same time.

A load belongs to nobody: a caller that gives up does not end it, its time is not
bound to the first caller's, and no context is current in it. What it raises,
everyone who waits gets, and the next caller starts anew.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Future
from contextvars import Context, copy_context
from typing import Generic, TypeVar

from relevo_client._context.current import set_current
from relevo_client._context.deadline import Deadline
from relevo_client._context.errors import closed

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class AsyncFlights(Generic[Key, Value]):
    """Loads under way on an event loop, by key."""

    def __init__(self) -> None:
        self._tasks: dict[Key, asyncio.Task[Value]] = {}

    async def share(self, key: Key, load: Callable[[], Awaitable[Value]]) -> Value:
        """What `load()` returns or raises; one that is under way already is joined."""
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.create_task(_run(load), context=_without_context())
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._landed(key, done))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if cancelled_from_outside():
                raise
            raise closed() from None  # the load was cancelled, not this caller

    async def close(self) -> None:
        """Cancel what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _landed(self, key: Key, task: asyncio.Task[Value]) -> None:
        del self._tasks[key]
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may be left


def cancelled_from_outside() -> bool:
    """Whether a CancelledError that arrives in this task was meant for it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _run(load: Callable[[], Awaitable[Value]]) -> Value:
    return await load()


class ThreadFlights(Generic[Key, Value]):
    """Loads under way in threads, by key. Each runs in a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._futures: dict[Key, Future[Value]] = {}

    def share(self, key: Key, load: Callable[[], Value], deadline: Deadline) -> Value:
        """What `load()` returns or raises; one that is under way already is joined.

        Raises TimeoutError at the deadline; the load goes on for the others.
        """
        return self.begin(key, load).result(deadline.remaining())

    def begin(self, key: Key, load: Callable[[], Value]) -> Future[Value]:
        """Begin `load()`, or join one that is under way already: its result to be."""
        mine = Future[Value]()
        with self._lock:
            future = self._futures.setdefault(key, mine)
        if future is mine:
            run = _without_context().run
            threading.Thread(
                target=run, args=(self._fly, key, load, mine), name="relevo-load", daemon=True
            ).start()
        return future

    def _fly(self, key: Key, load: Callable[[], Value], future: Future[Value]) -> None:
        try:
            value = load()
        except BaseException as error:  # noqa: BLE001 - handed on to everyone who waits
            self._landed(key)
            future.set_exception(error)
        else:
            self._landed(key)
            future.set_result(value)

    def _landed(self, key: Key) -> None:
        with self._lock:
            del self._futures[key]


def _without_context() -> Context:
    ambient = copy_context()
    ambient.run(set_current, None)
    return ambient
