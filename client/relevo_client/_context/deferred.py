"""What may be current: a reference that is resolved, or one that waits for it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import NoContextError
from relevo_client._context.keys import ContextRef
from relevo_client._context.reasons import Reason
from relevo_client._context.resolved import Rebuilt, Resolved


class Deferred:
    """A context that is resolved when somebody asks for it, once."""

    def __init__(self, ref: ContextRef | None) -> None:
        self.ref = ref
        self._resolved: Resolved = None
        self._is_settled = False

    def resolved(self) -> Resolved:
        """What it came to. Raises where that takes I/O which cannot be done here."""
        if not self._is_settled:
            raise NoContextError(
                "the context is not resolved yet: the server's policy is lazy; use "
                "'await await_context()' first",
                reason=Reason.CONTEXT_NOT_RESOLVED,
            )
        return self._resolved

    def _settle(self, resolved: Resolved) -> None:
        self._resolved, self._is_settled = resolved, True


class BlockingDeferred(Deferred):
    """Resolved by `load()`, in the thread that asks first."""

    def __init__(self, ref: ContextRef | None, load: Callable[[], Resolved]) -> None:
        super().__init__(ref)
        self._load = load
        self._lock = threading.Lock()

    def resolved(self) -> Resolved:
        """What it came to, resolved now where it has not been."""
        with self._lock:
            if not self._is_settled:
                self._settle(self._load())
        return self._resolved


class AsyncDeferred(Deferred):
    """Resolved by `await load()`, in the task that asks first."""

    def __init__(self, ref: ContextRef | None, load: Callable[[], Awaitable[Resolved]]) -> None:
        super().__init__(ref)
        self._load = load
        self._lock = asyncio.Lock()

    async def resolve(self) -> None:
        """Resolve it, if it is not resolved."""
        async with self._lock:
            if not self._is_settled:
                self._settle(await self._load())


class ForwardedRef(Deferred):
    """A context that nobody resolves here: its reference is only passed on."""

    def resolved(self) -> Resolved:
        """Nothing."""
        return None


Current: TypeAlias = ContextEntry | Rebuilt | Deferred | None
