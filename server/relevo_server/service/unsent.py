"""Large answers count until gRPC has sent them, and not only until they are made.

A caller that does not read leaves its answers in the server's memory. So each owner of answers has
room for some bytes. If there is none, an answer is not made, or it is dropped and made again once
there is room: only reads have large answers, and they can be repeated.
"""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any, NamedTuple

from grpc import aio

from relevo_server import errors
from relevo_server.deadline import WAIT_SHARE

Context = aio.ServicerContext[Any, Any]
LARGE = 32 << 10
"""Bytes. Smaller answers do not count: what gRPC keeps for a call takes as much."""


class _Waiter(NamedTuple):
    size: int
    taken: asyncio.Future[None]


class _Account:
    """The bytes of one owner, and who waits for room, first come first served."""

    def __init__(self) -> None:
        self.bytes = 0
        self.waiters: deque[_Waiter] = deque()


class Unsent:
    """Counts large answers until they are sent. Each owner has room for `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._accounts: dict[str, _Account] = {}

    @property
    def size(self) -> int:
        """The bytes of all owners. It may be read from any thread."""
        return sum(each.bytes for each in list(self._accounts.values()))

    async def reserve(self, context: Context, owner: str, size: int) -> None:
        """Take room for an answer before it is made. It must be held, or given back.

        Waits for most of the call's time, then raises RESOURCE_EXHAUSTED. An answer that is
        larger than all of the room waits until the owner has no other.
        """
        account = self._accounts.setdefault(owner, _Account())
        if not account.waiters and self._has_room(account, size):
            account.bytes += size
            return
        waiter = _Waiter(size, asyncio.get_running_loop().create_future())
        account.waiters.append(waiter)
        try:
            async with asyncio.timeout(_patience(context)):
                await waiter.taken
        except BaseException as error:
            if waiter.taken.done() and not waiter.taken.cancelled():
                self.give_back(owner, size)
            else:
                with suppress(ValueError):  # it was woken after it was cancelled
                    account.waiters.remove(waiter)
                self._wake(owner, account)  # a smaller one may have stood behind it
            if isinstance(error, TimeoutError):
                raise errors.answers_unsent(self._limit) from None
            raise

    def give_back(self, owner: str, size: int) -> None:
        """Give room back, for those who wait."""
        account = self._accounts[owner]
        account.bytes -= size
        self._wake(owner, account)

    def has_room(self, owner: str, size: int) -> bool:
        """Whether a large answer can be held at once."""
        account = self._accounts.get(owner)
        if account is None:
            return True
        return not account.waiters and self._has_room(account, size)

    def hold(self, context: Context, owner: str, reserved: int, size: int) -> None:
        """Count a large answer until it is sent. `reserved` bytes of room were taken for it."""
        account = self._accounts.setdefault(owner, _Account())
        account.bytes += size  # more than was reserved, by one answer at most
        self.give_back(owner, reserved)

        def sent(_: Any) -> None:
            self.give_back(owner, size)

        call: Any = context  # the stubs know the callback's type by another name
        call.add_done_callback(sent)

    def _has_room(self, account: _Account, size: int) -> bool:
        return not account.bytes or account.bytes + size <= self._limit

    def _wake(self, owner: str, account: _Account) -> None:
        while account.waiters and self._has_room(account, account.waiters[0].size):
            waiter = account.waiters.popleft()
            if not waiter.taken.cancelled():
                account.bytes += waiter.size
                waiter.taken.set_result(None)
        if not account.bytes and self._accounts.get(owner) is account:
            del self._accounts[owner]


class Room:
    """The room for one call's answer. Its owner is the principal `name`, or else the connection."""

    def __init__(self, unsent: Unsent, name: str, context: Context) -> None:
        self._unsent = unsent
        self._owner = name
        self._context = context
        self._reserved = 0

    async def take(self, size: int) -> None:
        """Wait for room. Raises RESOURCE_EXHAUSTED, as `Unsent.reserve` does."""
        await self._unsent.reserve(self._context, self._name_owner(), size)
        self._reserved = size

    def has(self, size: int) -> bool:
        """Whether an answer of this size can be held. If not, it has to be dropped."""
        if size < LARGE or self._reserved:
            return True
        return self._unsent.has_room(self._name_owner(), size)

    def hold(self, size: int) -> None:
        """Count an answer until it is sent, in place of what was taken."""
        if size >= LARGE:
            self._unsent.hold(self._context, self._name_owner(), self._reserved, size)
            self._reserved = 0

    def give_back(self) -> None:
        """Give back what was taken and not held."""
        if self._reserved:
            self._unsent.give_back(self._owner, self._reserved)

    def _name_owner(self) -> str:
        if not self._owner:  # small answers, which are nearly all, need none
            self._owner = self._context.peer()
        return self._owner


def _patience(context: Context) -> float | None:
    """Seconds that a call may wait for room, None without a deadline."""
    left: Any = context.time_remaining()  # None without a deadline, whatever the stubs say
    return None if left is None else left * WAIT_SHARE
