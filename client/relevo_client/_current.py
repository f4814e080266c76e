"""The context that is current: one value for each call, task or thread."""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeAlias, TypeVar

from relevo_client._context.entry import ContextEntry
from relevo_client._errors import NoContextError
from relevo_client._keys import ContextRef
from relevo_client._model import ExecutionContext

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Rebuilt:
    """A context that a policy's function made, because the store's could not be had."""

    ref: ContextRef | None
    """What the call referred to, and what its own calls refer to."""
    context: ExecutionContext


Known: TypeAlias = ContextEntry | Rebuilt | None


class Deferred:
    """A context that is resolved when somebody asks for it, once."""

    def __init__(self, ref: ContextRef | None) -> None:
        self.ref = ref
        self._known: Known = None
        self._is_known = False

    def known(self) -> Known:
        """What it came to. Raises where that takes I/O which cannot be done here."""
        if not self._is_known:
            raise NoContextError(
                "the context is not resolved yet: the server's policy is lazy; use "
                "'await await_context()' first"
            )
        return self._known

    def _settle(self, known: Known) -> None:
        self._known, self._is_known = known, True


class BlockingDeferred(Deferred):
    """Resolved by `load()`, in the thread that asks first."""

    def __init__(self, ref: ContextRef | None, load: Callable[[], Known]) -> None:
        super().__init__(ref)
        self._load = load
        self._lock = threading.Lock()

    def known(self) -> Known:
        """What it came to, resolved now where it has not been."""
        with self._lock:
            if not self._is_known:
                self._settle(self._load())
        return self._known


class AsyncDeferred(Deferred):
    """Resolved by `await load()`, in the task that asks first."""

    def __init__(self, ref: ContextRef | None, load: Callable[[], Awaitable[Known]]) -> None:
        super().__init__(ref)
        self._load = load
        self._lock = asyncio.Lock()

    async def resolve(self) -> None:
        """Make it known, where it is not."""
        async with self._lock:
            if not self._is_known:
                self._settle(await self._load())


Current: TypeAlias = ContextEntry | Rebuilt | Deferred | None

_current: ContextVar[Current] = ContextVar("relevo_context", default=None)


def _known() -> Known:
    current = _current.get()
    return current.known() if isinstance(current, Deferred) else current


def current_entry() -> ContextEntry | None:
    """The entry whose context is current, with its key, version and layers.

    None where no context is current, or one that was rebuilt by a policy.
    """
    known = _known()
    return known if isinstance(known, ContextEntry) else None


def current_context() -> ExecutionContext | None:
    """The context that is current, None where there is none."""
    known = _known()
    return known.context if known else None


def require_context() -> ExecutionContext:
    """The context that is current. Raises NoContextError where there is none."""
    known = _known()
    if known is None:
        raise NoContextError
    return known.context


async def await_context() -> ExecutionContext | None:
    """The context that is current, resolved first where an asyncio server's policy is lazy."""
    current = _current.get()
    if isinstance(current, AsyncDeferred):
        await current.resolve()
    return current_context()


def current_ref() -> ContextRef | None:
    """The reference that calls from here carry, None where they carry none.

    Known without resolving anything.
    """
    current = _current.get()
    return current.ref if current else None


class Carried(Deferred):
    """A context that nobody resolves here: its reference is only passed on."""

    def known(self) -> Known:
        """Nothing."""
        return None


class _Block:
    """A `with` block in which something is current, and the one around it."""

    def __init__(self, current: Current) -> None:
        self.before = _current.get()
        self.outer = _block.get()
        self.is_left_behind = False
        _block.set(self)
        _current.set(current)

    def end(self) -> None:
        """Make current what was so before."""
        # Generators make blocks end in any order, and in other tasks than they began
        # in. Only the innermost block of a context has something to undo there, and
        # with it the blocks around it that ended while it went on.
        if _block.get() is not self:
            self.is_left_behind = True
        else:
            self.undo()

    def undo(self) -> None:
        """The same, whatever blocks within it have not ended."""
        block = self
        while block.outer and block.outer.is_left_behind:
            block = block.outer
        _block.set(block.outer)
        _current.set(block.before)


_block: ContextVar[_Block | None] = ContextVar("relevo_block", default=None)


@contextmanager
def use_context(entry: ContextEntry | None) -> Generator[ExecutionContext | None, None, None]:
    """Make an entry's context current within a `with` block; None for no context."""
    block = _Block(entry)
    try:
        yield entry.context if entry else None
    finally:
        block.end()


@contextmanager
def using(current: Current) -> Generator[None, None, None]:
    """`use_context` for whatever may be current."""
    block = _Block(current)
    try:
        yield
    finally:
        block.end()


@contextmanager
def only(current: Current) -> Generator[None, None, None]:
    """Make this current within a `with` block, which begins and ends in the same task.

    Nothing of it is left behind, whatever blocks within it have not ended by then.
    """
    block = _Block(current)
    try:
        yield
    finally:
        block.undo()


def wrap(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The same function with the context that is current now.

    For what runs elsewhere or later: threads, executors, callbacks, background
    tasks that outlive the call. Nothing is left behind in the thread or task that
    runs it. A coroutine function stays one.
    """
    current = _current.get()

    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def bound_coroutine(*args: _P.args, **kwargs: _P.kwargs) -> Any:
            before = _current.get()
            _current.set(current)
            try:
                return await function(*args, **kwargs)
            finally:
                _current.set(before)

        return bound_coroutine  # type: ignore[return-value]

    @wraps(function)
    def bound(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        scope = copy_context()
        scope.run(_current.set, current)
        return scope.run(function, *args, **kwargs)

    return bound


def set_current(current: Current) -> None:
    """Make a context current for the rest of this call."""
    _current.set(current)
