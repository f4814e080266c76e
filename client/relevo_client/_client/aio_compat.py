"""The differences of the asyncio client from the blocking one.

`blocking_compat` has the same names: the blocking client, which `make twins` generates from
the asyncio one, imports them from there.
"""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from relevo_client._context.deadline import Deadline
from relevo_client._context.entry import ContextEntry
from relevo_client._context.keys import ContextKey
from relevo_client._near_cache.aio import AsyncWatcher
from relevo_client._store.aio import AsyncStore


def must_be_callable(_name: str, _function: object) -> None:
    """Do nothing: a plain function may return an awaitable too."""


def end_with(_owner: object, _watcher: AsyncWatcher) -> None:
    """Do nothing: the watcher's task ends with its event loop."""


async def existing_entry(
    _store: AsyncStore, _key: ContextKey, _deadline: Deadline
) -> ContextEntry | None:
    """None: a task for a load costs no more than a read that could save it."""
    return None


async def invoke(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a user's function, and await its result if that is awaitable."""
    returned = function(*arguments)
    return await returned if inspect.isawaitable(returned) else returned


async def give_way() -> None:
    """Do nothing: a task runs when its creator waits for something."""


class AsyncPause:
    """A pause in the background, which ends with its task."""

    async def wait(self, seconds: float) -> bool:
        """Wait for so many seconds. Always returns False: closing the client cancels the task."""
        await asyncio.sleep(seconds)
        return False

    def end(self) -> None:
        """Do nothing: the task is cancelled."""
