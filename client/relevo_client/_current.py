"""The context that is current: one value for each call, task or thread."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from relevo_client._errors import NoContextError
from relevo_client._keys import ContextRef
from relevo_client._messages import ContextEntry
from relevo_client._model import ExecutionContext

_current: ContextVar[ContextEntry | None] = ContextVar("relevo_context", default=None)


def current_entry() -> ContextEntry | None:
    """The entry whose context is current, with its key, version and layers."""
    return _current.get()


def current_context() -> ExecutionContext | None:
    """The context that is current, None where there is none."""
    entry = _current.get()
    return entry.context if entry else None


def require_context() -> ExecutionContext:
    """The context that is current. Raises NoContextError where there is none."""
    entry = _current.get()
    if entry is None:
        raise NoContextError
    return entry.context


def current_ref() -> ContextRef | None:
    """The reference that calls from here carry, None where no context is current."""
    entry = _current.get()
    return entry.ref if entry else None


@contextmanager
def use_context(entry: ContextEntry | None) -> Generator[ExecutionContext | None, None, None]:
    """Make an entry's context current within a `with` block; None for no context."""
    before = _current.get()
    _current.set(entry)
    try:
        yield entry.context if entry else None
    finally:
        # Not reset(token): a generator that is closed early leaves its block in
        # another task's context, where the token means nothing. There this block's
        # entry is not current, and nothing is to be undone.
        if _current.get() is entry:
            _current.set(before)


def set_current(entry: ContextEntry | None) -> None:
    """Make an entry's context current for the rest of this call."""
    _current.set(entry)
