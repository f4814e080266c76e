"""Deferred contexts, which are resolved at their first use, and the type of what is current."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from types import NoneType
from typing import TypeAlias

from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import NoContextError
from relevo_client._context.keys import ContextRef
from relevo_client._context.reasons import Reason
from relevo_client._context.resolved import Rebuilt, Resolved
from relevo_client._context.riders import MAX_BYTES


class Deferred:
    """A context that is resolved once, at its first use."""

    def __init__(self, ref: ContextRef | None, rider: bytes | None = None) -> None:
        self.ref = ref
        self.rider = rider if rider and len(rider) <= MAX_BYTES else None
        """The rider that came with the reference, which calls carry on; None if none came."""
        self._resolved: Resolved = None
        self._is_settled = False

    def resolved(self) -> Resolved:
        """The result of the resolution.

        Raises NoContextError if it is not resolved yet and cannot be resolved here.
        """
        if not self._is_settled:
            raise NoContextError(
                "the context is not resolved yet: the server's policy is lazy; use "
                "'await await_context()' first",
                reason=Reason.CONTEXT_NOT_RESOLVED,
            )
        return self._resolved

    @property
    def has_context(self) -> bool:
        """Whether it has been resolved, and to a context."""
        return self._is_settled and self._resolved is not None

    def _settle(self, resolved: Resolved) -> None:
        self._resolved, self._is_settled = resolved, True


class BlockingDeferred(Deferred):
    """A context that `load()` resolves, in the first thread that uses it."""

    def __init__(
        self, ref: ContextRef | None, load: Callable[[], Resolved], rider: bytes | None = None
    ) -> None:
        super().__init__(ref, rider)
        self._load = load
        self._lock = threading.Lock()

    def resolved(self) -> Resolved:
        """The result of the resolution, which is done now if it was not done before.

        Raises what `load` raises; the next use then calls it again.
        """
        with self._lock:
            if not self._is_settled:
                self._settle(self._load())
        return self._resolved


class AsyncDeferred(Deferred):
    """A context that `await load()` resolves, in the first task that calls `resolve`."""

    def __init__(
        self,
        ref: ContextRef | None,
        load: Callable[[], Awaitable[Resolved]],
        rider: bytes | None = None,
    ) -> None:
        super().__init__(ref, rider)
        self._load = load
        self._lock = asyncio.Lock()

    async def resolve(self) -> None:
        """Resolve it if it is not resolved. Raises what `load` raises."""
        async with self._lock:
            if not self._is_settled:
                self._settle(await self._load())


class ForwardedRef(Deferred):
    """A reference that is passed on to further calls, and never resolved here."""

    def resolved(self) -> Resolved:
        """None: no context is current."""
        return None


Current: TypeAlias = ContextEntry | Rebuilt | Deferred | None
CURRENT = (ContextEntry, Rebuilt, Deferred, NoneType)
"""The classes of Current, for `isinstance`."""
