"""The current context: one value for each call, task or thread, held in a ContextVar."""

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import overload

from relevo_client._context.deferred import AsyncDeferred, Current, Deferred
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import NoContextError
from relevo_client._context.fences import FENCES, Fences, fenced
from relevo_client._context.keys import ContextRef
from relevo_client._context.model import ExecutionContext
from relevo_client._context.reasons import Reason
from relevo_client._context.resolved import Rebuilt, Resolved
from relevo_client._context.riders import rider_of

_current: ContextVar[Current] = ContextVar("relevo_context", default=None)

# The methods themselves: every call uses them.
get_current: Callable[[], Current] = _current.get
"""The current context, resolved or not."""
set_current: Callable[[Current], object] = _current.set
"""Make a context current for the rest of this call."""


def _resolved() -> Resolved:
    current = _current.get()
    return current.resolved() if isinstance(current, Deferred) else current


def has_context() -> bool:
    """Whether a context is current and resolved. Resolves nothing."""
    current = _current.get()
    return current.has_context if isinstance(current, Deferred) else current is not None


def current_entry() -> ContextEntry | None:
    """The ContextEntry of the current context, with its key, version and layers.

    None if no context is current, or if the current context has no entry: a policy's function
    has rebuilt it, or `use_context` was given an ExecutionContext.

    Under a lazy policy: on an asyncio server it raises NoContextError (CONTEXT_NOT_RESOLVED)
    before `await_context()`; on a blocking server the first use resolves the context, and if the
    policy refuses the call, raises an exception that ends it.
    """
    resolved = _resolved()
    return resolved if isinstance(resolved, ContextEntry) else None


def current_context() -> ExecutionContext | None:
    """The current ExecutionContext, or None if there is none.

    Raises the same errors as `current_entry` under a lazy policy.
    """
    resolved = _resolved()
    return resolved.context if resolved else None


def require_context() -> ExecutionContext:
    """The current ExecutionContext, which must exist.

    Raises NoContextError (NO_CONTEXT) if there is none. If a handler does not catch it, its call
    ends with FAILED_PRECONDITION. Raises the same errors as `current_entry` under a lazy policy.
    """
    resolved = _resolved()
    if resolved is None:
        raise NoContextError
    return resolved.context


def require_entry() -> ContextEntry:
    """The ContextEntry of the current context, which must have one.

    Raises NoContextError if no context is current (NO_CONTEXT), or if a policy's function or a
    test has made the current one (CONTEXT_WITHOUT_ENTRY). Raises the same errors as
    `current_entry` under a lazy policy.
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
    """The current ExecutionContext, or None; under a lazy policy it is resolved first.

    For handlers of asyncio servers. Once it has returned, `current_context` and the others work
    too. If the policy refuses the call, it raises an exception that ends it.
    """
    current = _current.get()
    if isinstance(current, AsyncDeferred):
        await current.resolve()
    return current_context()


def current_ref() -> ContextRef | None:
    """The ContextRef that calls from here carry, or None if they carry none.

    Its revision is at least the fence of this call: the newest revision of the tenant that the
    call has written, read or heard of. It resolves nothing, so it works under a lazy policy too.
    """
    current = _current.get()
    ref = current.ref if current else None
    return ref and fenced(ref)


def current_rider() -> bytes | None:
    """The rider of `current_ref()`: the snapshot that it names, as bytes.

    None if it names no snapshot, or a larger one than calls carry along. It resolves nothing.
    """
    return rider_of_current(_current.get())


def rider_of_current(current: Current) -> bytes | None:
    """The rider of what is current: an entry's own, or the one that came with the reference."""
    if isinstance(current, ContextEntry):
        return rider_of(current)
    return current.rider if isinstance(current, Deferred) else None


def require_ref() -> ContextRef:
    """The ContextRef that calls from here carry, which must exist.

    It resolves nothing. Raises NoContextError (NO_CONTEXT) if calls carry none.
    """
    ref = current_ref()
    if ref is None:
        raise NoContextError("no reference is current in this call")
    return ref


class _Block:
    """A `with` block that makes something current, linked to the block around it."""

    def __init__(self, current: Current, fences: Fences | None) -> None:
        self.before = _current.get(), FENCES.get()
        self.outer = _block.get()
        self.is_left_behind = False
        _block.set(self)
        _current.set(current)
        FENCES.set(fences)

    def end(self) -> None:
        """Restore what was current before the block."""
        # Because of generators, blocks end in any order, and in other tasks than they began
        # in. Only the innermost block of a task or thread has something to restore there, and
        # with it the blocks around it that ended earlier.
        if _block.get() is not self:
            self.is_left_behind = True
        else:
            self.undo()

    def undo(self) -> None:
        """Restore what was current before the block, even if blocks within it have not ended."""
        block = self
        while block.outer and block.outer.is_left_behind:
            block = block.outer
        _block.set(block.outer)
        current, fences = block.before
        _current.set(current)
        FENCES.set(fences)


_block: ContextVar[_Block | None] = ContextVar("relevo_block", default=None)


class Steps:
    """The current context and fences of work that runs in steps between other work.

    Iterators are such work. `with steps:` makes both current for one step, and restores the
    caller's afterwards. The next step finds what the last one left, including the blocks that
    have not ended.
    """

    def __init__(self, current: Current, fences: Fences | None) -> None:
        self._current = current
        self._fences = fences
        self._block: _Block | None = None

    def __enter__(self) -> None:
        self._tokens = (
            _current.set(self._current),
            _block.set(self._block),
            FENCES.set(self._fences),
        )

    def __exit__(self, *_: object) -> None:
        self._current, self._block, self._fences = _current.get(), _block.get(), FENCES.get()
        current, block, fences = self._tokens
        # A step that is closed while it waits may end in another task, whose context this
        # step has not changed.
        with suppress(ValueError):
            _current.reset(current)
            _block.reset(block)
            FENCES.reset(fences)


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
    """Make a context current within a `with` block.

    `entry` is one of these:

    - a ContextEntry: its context is current, and calls from within the block carry its reference;
    - an ExecutionContext, as a unit test of a handler needs it: there is no entry and no
      reference, and calls carry nothing;
    - None: no context is current.

    The block's value is the ExecutionContext, or None. Raises TypeError for anything else.

    Within a call the block belongs to that call: it hears what the call hears. Outside of calls,
    the block is a call of its own.
    """
    block = _Block(_as_resolved(entry), FENCES.get() or Fences(_ref_of(entry)))
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


def _ref_of(entry: object) -> ContextRef | None:
    return entry.ref if isinstance(entry, ContextEntry) else None


@contextmanager
def using(current: Current, fences: Fences | None) -> Generator[None, None, None]:
    """Make a context, a deferred one or a reference current within a `with` block.

    `fences` are those of the call that the block belongs to.
    """
    block = _Block(current, fences)
    try:
        yield
    finally:
        block.end()


@contextmanager
def using_in_one_task(current: Current, fences: Fences) -> Generator[None, None, None]:
    """Make something current within a `with` block that begins and ends in the same task.

    It restores what was current before, even if blocks within it have not ended by then.
    """
    block = _Block(current, fences)
    try:
        yield
    finally:
        block.undo()
