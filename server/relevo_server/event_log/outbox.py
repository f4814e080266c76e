"""What waits to be sent on one stream: in order, and bounded."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import NamedTuple

from relevo.v1.store_pb2 import Position, Progress, Reset, ResetReason, WatchResponse


class _Item(NamedTuple):
    message: WatchResponse
    size: int
    is_value: bool


class Outbox:
    """A queue of messages for one watcher.

    Progress has its place in it, so it never overtakes an event. Nothing is left out silently,
    and what waits is bounded if nobody takes it. Half of `max_bytes` is for values, the other
    half for all other news:

    - A value is put only if there is room for it. One is always taken, whatever its size.
    - If news has no room, the queue is dropped and every partition of the stream is reset. The
      same happens once more than `max_bytes` of values were superseded without a read.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._items: deque[_Item] = deque()
        self._values = 0  # bytes of values that wait
        self._reserved = 0  # bytes of values that are being read
        self._news = 0  # bytes of all else
        self._superseded = 0
        self._roomless: dict[asyncio.Event, None] = {}
        self._progress: dict[int, Position] = {}  # after all of the items
        self._told: dict[int, Position] = {}  # the last progress of each partition
        self._filled = asyncio.Event()
        self.ping = 0
        """The last ping that has arrived."""
        self.partitions: set[int] = set()
        """Where the stream has subscriptions."""
        self.resets = 0
        """How often all that waited was dropped: the watcher then asks for everything again."""

    def has_room(self, size: int) -> bool:
        """Whether a value of so many bytes may be put, or reserved room for."""
        taken = self._values + self._reserved
        return not taken or taken + size <= self._max_bytes // 2

    def reserve(self, size: int) -> None:
        """Keep room for a value that is being read. `release` has to follow."""
        self._reserved += size

    def release(self, size: int) -> None:
        """Keep it no longer."""
        self._reserved -= size
        self._tell_room()

    def tell_room(self, room: asyncio.Event) -> None:
        """Set an event once, when there is room again."""
        self._roomless[room] = None

    def put(self, message: WatchResponse, *, is_value: bool = False) -> None:
        """Add a message, after the progress that was made before."""
        self._seal()
        self._add(message, is_value=is_value)
        if self._news > self._max_bytes - self._max_bytes // 2:
            self._overflow()
        self._filled.set()

    def supersede(self, size: int) -> None:
        """Note that a value of so many bytes took the place of one that had no room either."""
        self._superseded += size
        if self._superseded > self._max_bytes:
            self._overflow()
            self._filled.set()

    def progress(self, partition: int, revision: int, ping: int, *, soon: bool) -> None:
        """Say how far a partition has come: at once, or with what follows.

        `ping` is the last one that had arrived when that was known, 0 for none.
        """
        before = self._progress.get(partition)
        ping = max(ping, before.ping if before else 0)
        position = Position(partition=partition, revision=revision, ping=ping)
        # A ping that was answered is all the life that its sender asks for: no news is no message.
        if ping and not soon and position == self._told.get(partition):
            return
        self._progress[partition] = position
        if soon:
            self._filled.set()

    def reset(self, partition: int, reason: ResetReason) -> None:
        """Say that a partition's order was lost; progress that was made before counts no more."""
        self._progress.pop(partition, None)
        self._told.pop(partition, None)
        self.put(_reset(partition, reason))

    def wake(self) -> None:
        """Let `take` return, with what there is."""
        self._filled.set()

    async def take(self, within: float) -> WatchResponse | None:
        """The next message. After `within` seconds what progress there is, None for none."""
        if not self._items and not self._filled.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._filled.wait()
        message = self.next()
        if not self._items:
            self._filled.clear()
        return message

    def next(self) -> WatchResponse | None:
        """The next message that is there, the last one with the progress; None for none."""
        if not self._items:
            self._seal()
        if not self._items:
            return None
        message, size, is_value = self._items.popleft()
        self._superseded = 0
        if is_value:
            self._values -= size
        else:
            self._news -= size
        self._tell_room()
        if self._progress and not self._items:
            # A message of its own would cost the stream as much again.
            message = self._with_progress(message)
        return message

    def _with_progress(self, message: WatchResponse) -> WatchResponse:
        own = type(message)()  # the message is for other streams too
        own.MergeFrom(message)
        for position in self._progress.values():
            own.positions.add(
                partition=position.partition, revision=position.revision, ping=position.ping
            )
        self._tell()
        return own

    def _tell(self) -> None:
        self._told.update(self._progress)
        self._progress = {}

    def _seal(self) -> None:
        if self._progress:
            message = WatchResponse(progress=Progress(positions=self._progress.values()))
            self._tell()
            self._add(message)

    def _add(self, message: WatchResponse, *, is_value: bool = False) -> None:
        size = message.ByteSize()
        self._items.append(_Item(message, size, is_value))
        if is_value:
            self._values += size
        else:
            self._news += size

    def _tell_room(self) -> None:
        # Some room, so that not every message that is taken has a read of its own.
        if self._roomless and self._values + self._reserved <= self._max_bytes // 4:
            events, self._roomless = self._roomless, {}
            for event in events:
                event.set()

    def _overflow(self) -> None:
        self._items.clear()
        self._told.clear()
        self._values = self._news = self._superseded = 0
        self.resets += 1
        for partition in self.partitions:
            message = _reset(partition, ResetReason.RESET_REASON_SLOW_WATCHER)
            self._items.append(_Item(message, 0, is_value=False))
        self._tell_room()


def _reset(partition: int, reason: ResetReason) -> WatchResponse:
    return WatchResponse(reset=Reset(partition=partition, reason=reason))
