"""The differences of the blocking client from the asyncio one.

`aio_compat` has the same names: the blocking client, which `make twins` generates from the
asyncio one, imports them from here.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import finalize

from relevo_client._context.deadline import Deadline
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import NotFoundError
from relevo_client._context.functions import is_coroutine_function
from relevo_client._context.keys import ContextKey
from relevo_client._near_cache.blocking import Watcher
from relevo_client._store import requests
from relevo_client._store.blocking import Store

_A_MOMENT = 0.001
"""Seconds; less than a thread may keep the interpreter's lock."""


def must_be_callable(name: str, function: object) -> None:
    """Raise TypeError, with the argument's name, if `function` is a coroutine function."""
    if is_coroutine_function(function):
        raise TypeError(f"{name} must be a plain function: nothing is awaited in threads")


def end_with(owner: object, watcher: Watcher) -> None:
    """End the watcher's threads with its owner, even if the owner was never closed."""
    finalize(owner, watcher.end)


def existing_entry(store: Store, key: ContextKey, deadline: Deadline) -> ContextEntry | None:
    """Read the live entry, or None: an existing entry needs no thread to load it."""
    with suppress(NotFoundError):
        return requests.entry_of(store.get(requests.get_request(key), deadline))
    return None


def invoke(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a user's function."""
    return function(*arguments)


def give_way() -> None:
    """Let the thread that has started this one go on, which waits for the interpreter's lock."""
    time.sleep(_A_MOMENT)


class Pause:
    """A pause in a thread, which ends early if the client is closed."""

    def __init__(self) -> None:
        self._is_over = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Wait for so many seconds. Returns True at once if the client is closed meanwhile."""
        return self._is_over.wait(seconds)

    def end(self) -> None:
        """End all pauses, now and later."""
        self._is_over.set()
