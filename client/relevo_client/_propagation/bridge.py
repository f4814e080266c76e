"""Bridges the worker threads of an asyncio server to its event loop, where the client runs."""

import asyncio

from relevo_client._context.deadline import Deadline
from relevo_client._context.entry import ContextEntry
from relevo_client._context.keys import ContextRef
from relevo_client._context.resolved import Rebuilt
from relevo_client._propagation.aio_resolution import AsyncSource
from relevo_client._propagation.fallbacks import RebuildCall


class ThreadSource:
    """A `Source` for an asyncio server's threads, which calls the AsyncSource on its loop."""

    def __init__(self, source: AsyncSource, loop: asyncio.AbstractEventLoop) -> None:
        self._source = source
        self._loop = loop

    def peek(self, ref: ContextRef) -> None:
        """None: the client's cache belongs to its loop."""
        del ref

    def last_known(self, ref: ContextRef) -> ContextEntry | None:
        """The client's last cached copy of the reference's entry, or None."""

        async def last_known() -> ContextEntry | None:
            return self._source.last_known(ref)

        return asyncio.run_coroutine_threadsafe(last_known(), self._loop).result()

    def ride(self, ref: ContextRef, rider: bytes) -> ContextEntry | None:
        """The reference's entry if it is cached, or in the rider; else None. Sends nothing."""

        async def ride() -> ContextEntry | None:
            return self._source.peek(ref) or self._source.ride(ref, rider)

        return asyncio.run_coroutine_threadsafe(ride(), self._loop).result()

    def resolve(self, ref: ContextRef, deadline: Deadline) -> ContextEntry:
        """The reference's entry. Raises RelevoError."""
        resolving = self._source.resolve(ref, deadline)
        return asyncio.run_coroutine_threadsafe(resolving, self._loop).result()

    def rebuild(self, call: RebuildCall, deadline: Deadline) -> Rebuilt:
        """The context that a policy's function returns.

        Raises TimeoutError at the deadline, and the function's exceptions.
        """
        rebuilding = self._source.rebuild(call, deadline)
        return asyncio.run_coroutine_threadsafe(rebuilding, self._loop).result()
