"""From the threads of an asyncio server to its event loop, which has the client."""

import asyncio

from relevo_client._context.deadline import Deadline
from relevo_client._context.entry import ContextEntry
from relevo_client._context.keys import ContextRef
from relevo_client._context.resolved import Rebuilt
from relevo_client._propagation.aio_resolution import AsyncSource
from relevo_client._propagation.fallbacks import RebuildCall


class ThreadSource:
    """A `Source` for the threads of an asyncio server: asks the AsyncSource of its loop."""

    def __init__(self, source: AsyncSource, loop: asyncio.AbstractEventLoop) -> None:
        self._source = source
        self._loop = loop

    def peek(self, ref: ContextRef) -> None:
        """None: the client's cache belongs to its loop."""
        del ref

    def last_known(self, ref: ContextRef) -> ContextEntry | None:
        """The copy that the client had last."""

        async def last_known() -> ContextEntry | None:
            return self._source.last_known(ref)

        return asyncio.run_coroutine_threadsafe(last_known(), self._loop).result()

    def resolve(self, ref: ContextRef, deadline: Deadline) -> ContextEntry:
        """The entry that is referred to. Raises RelevoError."""
        resolving = self._source.resolve(ref, deadline)
        return asyncio.run_coroutine_threadsafe(resolving, self._loop).result()

    def rebuild(self, call: RebuildCall, deadline: Deadline) -> Rebuilt:
        """What the function makes. Raises what it raises, and TimeoutError."""
        rebuilding = self._source.rebuild(call, deadline)
        return asyncio.run_coroutine_threadsafe(rebuilding, self._loop).result()
