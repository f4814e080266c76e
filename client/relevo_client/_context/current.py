"""The context that is current: one value for each call, task or thread."""

from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import overload

from relevo_client._context.deferred import AsyncDeferred, Current, Deferred
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import NoContextError
from relevo_client._context.keys import ContextRef
from relevo_client._context.model import ExecutionContext
from relevo_client._context.reasons import Reason
from relevo_client._context.resolved import Rebuilt, Resolved

_current: ContextVar[Current] = ContextVar("relevo_context", default=None)


def _resolved() -> Resolved:
    current = _current.get()
    return current.resolved() if isinstance(current, Deferred) else current


def current_entry() -> ContextEntry | None:
    """The entry whose context is current, with its key, version and layers.

    None if no context is current, or one without an entry: rebuilt by a policy's function,
    or given to `use_context` as an ExecutionContext.
    """
    resolved = _resolved()
    return resolved if isinstance(resolved, ContextEntry) else None


def current_context() -> ExecutionContext | None:
    """The context that is current, None if there is none."""
    resolved = _resolved()
    return resolved.context if resolved else None


def require_context() -> ExecutionContext:
    """The context that is current.

    Raises NoContextError if there is none. A handler that lets it pass ends its call with
    FAILED_PRECONDITION.
    """
    resolved = _resolved()
    if resolved is None:
        raise NoContextError
    return resolved.context


def require_entry() -> ContextEntry:
    """The entry whose context is current, with its key, version and layers.

    Raises NoContextError if no context is current, or (CONTEXT_WITHOUT_ENTRY) one that a
    policy's function or a test has made.
    """
    resolved = _resolved()
    if isinstance(resolved, ContextEntry):
        return resolved
    if resolved:
        raise NoContextError(
            "the current context has no entry", reason=Reason.CONTEXT_WITHOUT_ENTRY
        )
    raise NoContextError


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


def require_ref() -> ContextRef:
    """The reference that calls from here carry. Raises NoContextError if they carry none.

    Known without resolving anything.
    """
    ref = current_ref()
    if ref is None:
        raise NoContextError("no reference is current in this call")
    return ref


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


class Steps:
    """What is current in work that runs step by step amid others' work, as iterators do.

    `with steps:` makes it current for one step, and afterwards what was current before. The
    next step finds what the last one left, the blocks that it has not ended included.
    """

    def __init__(self, current: Current) -> None:
        self._current = current
        self._block: _Block | None = None

    def __enter__(self) -> None:
        self._tokens = _current.set(self._current), _block.set(self._block)

    def __exit__(self, *_: object) -> None:
        self._current, self._block = _current.get(), _block.get()
        current, block = self._tokens
        # A step that is closed while it waits ends where nothing was made current for it.
        with suppress(ValueError):
            _current.reset(current)
            _block.reset(block)


@overload
@contextmanager
def use_context(
    entry: ContextEntry | ExecutionContext,
) -> Generator[ExecutionContext, None, None]: ...


@overload
@contextmanager
def use_context(entry: None) -> Generator[None, None, None]: ...


@contextmanager
def use_context(
    entry: ContextEntry | ExecutionContext | None,
) -> Generator[ExecutionContext | None, None, None]:
    """Make a context current within a `with` block; None for no context.

    An entry of the store is current with its reference, which calls from within the block
    carry. An ExecutionContext is current alone, as a unit test of a handler needs it: then
    there is no entry and no reference, and calls carry nothing.

    Raises TypeError for anything else.
    """
    block = _Block(_as_resolved(entry))
    try:
        yield entry.context if isinstance(entry, ContextEntry) else entry
    finally:
        block.end()


def _as_resolved(entry: object) -> Resolved:
    if entry is None or isinstance(entry, ContextEntry):
        return entry
    if isinstance(entry, ExecutionContext):
        return Rebuilt(None, entry)
    raise TypeError(
        "use_context takes a ContextEntry, an ExecutionContext or None, "
        f"and got {type(entry).__name__}"
    )


@contextmanager
def using(current: Current) -> Generator[None, None, None]:
    """`use_context` for whatever may be current."""
    block = _Block(current)
    try:
        yield
    finally:
        block.end()


@contextmanager
def using_in_one_task(current: Current) -> Generator[None, None, None]:
    """Make this current within a `with` block, which begins and ends in the same task.

    Nothing of it is left behind, whatever blocks within it have not ended by then.
    """
    block = _Block(current)
    try:
        yield
    finally:
        block.undo()


def get_current() -> Current:
    """Whatever is current, resolved or not."""
    return _current.get()


def set_current(current: Current) -> None:
    """Make a context current for the rest of this call."""
    _current.set(current)
