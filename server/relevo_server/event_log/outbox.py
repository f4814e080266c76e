"""The bounded queue of messages that wait to be sent on one Watch stream."""

import asyncio
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import NamedTuple

from relevo.v1.store_pb2 import Position, Progress, Reset, ResetReason, WatchResponse

from relevo_server.hiding import hides
from relevo_server.telemetry.counts import Counts
from relevo_server.wire import batches

BATCH_BYTES = 64 << 10
"""Bytes of messages that are sent as one batch; a single larger message is sent alone."""
BATCH_MESSAGES = 32
"""Messages that are sent as one batch, so that the client's event loop gets its turns."""

_ANNOUNCEMENT = WatchResponse(accepts_batches=True).SerializeToString()


@hides("message")
class _Item(NamedTuple):
    message: WatchResponse
    size: int
    is_value: bool
    since: float  # seconds of the monotonic clock


class Outbox:
    """A queue of messages for one watcher, with backpressure.

    Progress is queued too, so it never overtakes an event. No message is dropped silently,
    and the queue stays bounded if the watcher does not read. Half of `max_bytes` is for
    values, the other half for all other messages (news):

    - A value is put only if there is room for it. An empty queue has room for any value.
    - If news has no room, the queue is dropped and every partition of the stream is reset. The
      same happens once more than `max_bytes` of values were superseded without a read.
    """

    def __init__(self, max_bytes: int, counts: Counts | None = None) -> None:
        self._max_bytes = max_bytes
        self._counts = counts or Counts()
        self._items: deque[_Item] = deque()
        self._values = 0  # bytes of queued values
        self._reserved = 0  # bytes of values that are being read
        self._news = 0  # bytes of all other messages
        self._superseded = 0  # bytes of superseded values since the last read
        self._room_waiters: dict[asyncio.Event, None] = {}
        self._progress: dict[int, Position] = {}  # to be sent after all items
        self._sent: dict[int, Position] = {}  # the last progress sent for each partition
        self._filled = asyncio.Event()
        self._has_announced = False
        self.accepts_batches = False
        """Whether messages that wait together may be sent as one."""
        self.ping = 0
        """The number of the last ping that has arrived."""
        self.partitions: set[int] = set()
        """The partitions in which the stream has subscriptions."""
        self.resets = 0
        """The number of overflows of the queue. An overflow resets every partition of the stream,
        and the watcher subscribes to everything again."""
        self.partition_resets = 0
        """The number of resets of partitions. One overflow resets several partitions."""

    @property
    def size(self) -> int:
        """The bytes of the messages that wait."""
        return self._values + self._news

    def lag(self) -> float:
        """The seconds for which the oldest message has waited, 0 if none waits."""
        oldest = next(iter(self._items), None)
        return monotonic() - oldest.since if oldest else 0.0

    def has_room(self, size: int) -> bool:
        """Whether a value of `size` bytes may be put, or room for it reserved."""
        taken = self._values + self._reserved
        return not taken or taken + size <= self._max_bytes // 2

    def reserve(self, size: int) -> None:
        """Reserve room in bytes for a value that is being read. Must be paired with `release`."""
        self._reserved += size

    def release(self, size: int) -> None:
        """Give up reserved room."""
        self._reserved -= size
        self._notify_of_room()

    def notify_of_room(self, room: asyncio.Event) -> None:
        """Set the event `room` once there is room again."""
        self._room_waiters[room] = None

    def put(self, message: WatchResponse, *, is_value: bool = False) -> None:
        """Add a message, after the progress that was reported before."""
        self._queue_progress()
        self._add(message, is_value=is_value)
        if self._news > self._max_bytes - self._max_bytes // 2:
            self._overflow()
        self._filled.set()

    def supersede(self, size: int) -> None:
        """Count the bytes of a value that replaced another one for which there was no room."""
        self._superseded += size
        if self._superseded > self._max_bytes:
            self._overflow()
            self._filled.set()

    def progress(self, partition: int, revision: int, ping: int, *, soon: bool) -> None:
        """Report a partition's progress: at once if `soon`, else with the next message.

        `ping` is the number of the last ping that had arrived before the log was polled, 0 for
        none.
        """
        before = self._progress.get(partition)
        ping = max(ping, before.ping if before else 0)
        position = Position(partition=partition, revision=revision, ping=ping)
        sent = self._sent.get(partition)
        # An answered ping is a sufficient sign of life: unchanged progress is not sent again.
        if ping and not soon and position == sent:
            return
        # Nor is it sent again with each of many answers that are as of the sent revision.
        if soon and not ping and sent is not None and sent.revision >= revision:
            return
        self._progress[partition] = position
        if soon:
            self._filled.set()

    def reset(self, partition: int, reason: ResetReason) -> None:
        """Queue a reset of a partition. Its earlier progress is void."""
        self._progress.pop(partition, None)
        self._sent.pop(partition, None)
        self.put(self._reset(partition, reason))

    def wake(self) -> None:
        """Let `take` return at once, with a message or None."""
        self._filled.set()

    async def take(self, within: float) -> bytes | None:
        """Wait up to `within` seconds for what `next` returns; None if there is nothing."""
        if not self._items and not self._filled.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._filled.wait()
        message = self.next()
        if not self._items:
            self._filled.clear()
        return message

    def next(self) -> bytes | None:
        """Remove and return the next message, serialized, or None.

        If the watcher accepts batches, this is all that waits, within the bounds of a batch. The
        last message that waits carries the progress.
        """
        if not self._items:
            self._queue_progress()
        if not self._items:
            return None
        messages = [self._pop()]
        if self.accepts_batches:
            room = BATCH_BYTES - len(messages[0])
            while self._items and self._items[0].size <= room and len(messages) < BATCH_MESSAGES:
                room -= self._items[0].size
                messages.append(self._pop())
        self._superseded = 0
        self._notify_of_room()
        message = batches.joined(messages)
        if self.accepts_batches and not self._has_announced:
            self._has_announced = True
            message += _ANNOUNCEMENT
        return message

    def _pop(self) -> bytes:
        message, size, is_value, _ = self._items.popleft()
        if is_value:
            self._values -= size
        else:
            self._news -= size
        serialized = message.SerializeToString()
        if self._progress and not self._items:
            # A separate message would cost the stream as much again.
            progress = WatchResponse(positions=self._progress.values())
            serialized += progress.SerializeToString()
            self._mark_progress_sent()
        return serialized

    def _mark_progress_sent(self) -> None:
        self._sent.update(self._progress)
        self._progress = {}

    def _queue_progress(self) -> None:
        if self._progress:
            message = WatchResponse(progress=Progress(positions=self._progress.values()))
            self._mark_progress_sent()
            self._add(message)

    def _add(self, message: WatchResponse, *, is_value: bool = False) -> None:
        size = message.ByteSize()
        self._items.append(_Item(message, size, is_value, monotonic()))
        if is_value:
            self._values += size
        else:
            self._news += size

    def _notify_of_room(self) -> None:
        # Only at half of the room for values, so that not every message taken causes a read.
        if self._room_waiters and self._values + self._reserved <= self._max_bytes // 4:
            events, self._room_waiters = self._room_waiters, {}
            for event in events:
                event.set()

    def _overflow(self) -> None:
        self._items.clear()
        self._sent.clear()
        self._values = self._news = self._superseded = 0
        self.resets += 1
        for partition in self.partitions:
            message = self._reset(partition, ResetReason.RESET_REASON_SLOW_WATCHER)
            self._items.append(_Item(message, 0, is_value=False, since=monotonic()))
        self._notify_of_room()

    def _reset(self, partition: int, reason: ResetReason) -> WatchResponse:
        self._counts.count_reset(reason)
        self.partition_resets += 1
        return WatchResponse(reset=Reset(partition=partition, reason=reason))
