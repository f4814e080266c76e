"""What the asyncio client does in another way than the blocking one.

`blocking_compat` has the same names: the blocking client is made from the asyncio one by
`make twins`, and takes them from there.
"""

import inspect
from collections.abc import Callable
from typing import Any

from relevo_client._context.deadline import Deadline
from relevo_client._context.entry import ContextEntry
from relevo_client._context.keys import ContextKey
from relevo_client._near_cache.aio import AsyncWatcher
from relevo_client._store.aio import AsyncStore


def must_be_callable(_name: str, _function: object) -> None:
    """Nothing: what a plain function returns may be awaitable too."""


def end_with(_owner: object, _watcher: AsyncWatcher) -> None:
    """Nothing: the watcher's task ends with its event loop."""


async def existing_entry(
    _store: AsyncStore, _key: ContextKey, _deadline: Deadline
) -> ContextEntry | None:
    """Nothing: a load costs no more here than to look whether there is an entry."""
    return None


async def invoke(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a user's function returns, awaited if it is a coroutine function."""
    returned = function(*arguments)
    return await returned if inspect.isawaitable(returned) else returned
