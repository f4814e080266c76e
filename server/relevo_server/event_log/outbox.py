"""The bounded queue of messages that wait to be sent on one Watch stream."""

import asyncio
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from time import monotonic

from relevo.v1.store_pb2 import Reset, ResetReason, ServerClock, WatchResponse

from relevo_server.event_log.message_queue import MessageQueue
from relevo_server.event_log.messages import Message
from relevo_server.event_log.signal import Signal
from relevo_server.keys import Key
from relevo_server.telemetry.counts import Counts
from relevo_server.wire import pushes
from relevo_server.wire.pushes import Place

BATCH_BYTES = 64 << 10
"""Bytes of messages that are sent as one batch; a single larger message is sent alone."""
BATCH_MESSAGES = 32
"""Messages that are sent as one batch, so that the client's event loop gets its turns."""

_TIMES_UNREAD = 8
"""The times that its whole buffer may be superseded until a watcher that reads nothing is reset."""

_ANNOUNCEMENT = WatchResponse(accepts_batches=True).SerializeToString()


class Outbox:
    """A queue of messages for one watcher, with backpressure.

    Progress is queued too, so it never overtakes an event. No message is dropped silently: an
    event gives its place only to a newer one about its key (see `MessageQueue`). The queue stays
    bounded if the watcher does not read. Half of `max_bytes` is for values, the other half for all
    other messages (news):

    - A value is put only if there is room for it. An empty queue has room for any value.
    - If news has no room, the queue is dropped and every partition of the stream is reset. The
      same happens once 8 times `max_bytes` were superseded without a single read: such a watcher
      is not slow but gone, and costs nothing more until it subscribes again.

    A message counts in full in each queue that it waits in, although queues share its bytes: what
    is bounded is how much a watcher may be behind, and gRPC copies what it is given.
    """

    def __init__(self, max_bytes: int, counts: Counts | None = None) -> None:
        self._max_bytes = max_bytes
        self._counts = counts or Counts()
        self._queue = MessageQueue()
        self._reserved = 0  # bytes of values that are being read
        self._superseded = 0  # bytes of superseded messages since the last read
        self._room_waiters: dict[asyncio.Event, None] = {}
        self._progress: dict[int, Place] = {}  # to be sent after all messages
        self._sent: dict[int, Place] = {}  # the last progress sent for each partition
        self._filled = Signal()
        self._has_announced = False
        self._clock: ServerClock | None = None  # the answer to a ping, to be sent with any message
        self.accepts_batches = False
        """Whether messages that wait together may be sent as one."""
        self.ping = 0
        """The number of the last ping that has arrived."""
        self.sign_interval: float | None = None
        """Seconds between the signs of life that the stream gets, 0 if it needs none; None if its
        pings are answered instead."""
        self.pinged = 0
        """The server's time when the last ping had arrived. Only what is true later is a sign."""
        self.partitions: set[int] = set()
        """The partitions in which the stream has subscriptions."""
        self.declined: set[int] = set()
        """The partitions in which it has asked for keys that were declined."""
        self.resets = 0
        """The number of overflows of the queue. An overflow resets every partition of the stream,
        and the watcher subscribes to everything again."""
        self.partition_resets = 0
        """The number of resets of partitions. One overflow resets several partitions."""

    @property
    def has_signs(self) -> bool:
        """Whether the stream gets signs of life instead of answers to its pings."""
        return self.sign_interval is not None

    @property
    def size(self) -> int:
        """The bytes of the messages that wait."""
        return self._queue.values + self._queue.news

    def lag(self) -> float:
        """The seconds for which the oldest message has waited, 0 if none waits.

        A message waits since the one waited whose place it has taken.
        """
        since = self._queue.since
        return 0.0 if since is None else monotonic() - since

    def has_room(self, size: int, key: Key | None = None) -> bool:
        """Whether a value of `size` bytes may be put, or room for it reserved.

        If it is an event about a key, it has the room of the one whose place it takes as well.
        """
        taken = self._queue.values + self._reserved
        if taken and key is not None:
            taken -= self._queue.value_of(key)
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

    def put(self, message: Message) -> None:
        """Add a message after the progress that was reported before.

        An event takes the place of the one about its key that still waits.
        """
        queue = self._queue
        replaced = queue.replace(message)
        if replaced is None:
            self._queue_progress()
            queue.append(message, monotonic())
        if queue.news > self._max_bytes - self._max_bytes // 2:
            self._overflow()
        elif replaced:
            self.supersede(replaced)
        self._filled.set()

    def withdraw(self, keys: AbstractSet[Key]) -> Mapping[Key, int]:
        """Remove the messages about these keys. Returns the last numbers of answers among them."""
        numbers: dict[Key, int] = {}
        for message in self._queue.remove(keys):
            if message.key is not None:
                numbers[message.key] = max(numbers.get(message.key, 0), message.answers)
        self._notify_of_room()
        return numbers

    def supersede(self, size: int) -> None:
        """Count the bytes of a message that is not sent, as a newer one about its key is."""
        self._superseded += size
        if self._superseded > self._max_bytes * _TIMES_UNREAD:
            self._overflow()
            self._filled.set()

    def progress(
        self, partition: int, revision: int, ping: int, time: int = 0, *, soon: bool
    ) -> None:
        """Report a partition's progress: at once if `soon`, else with the next message.

        `ping` is the number of the last ping that had arrived before the log was polled, 0 for
        none; `time` is the server's time of that poll, if the stream has signs of life.
        """
        before = self._progress.get(partition)
        if before:  # another report may have overtaken this one
            revision, ping = max(revision, before.revision), max(ping, before.ping)
            time = max(time, before.time)
        place = pushes.place(partition, revision, ping, time)
        sent = self._sent.get(partition)
        # An answered ping is a sufficient sign of life: unchanged progress is not sent again.
        if ping and not soon and place == sent:
            return
        # Nor is it sent again with each of many answers that are as of the sent revision.
        is_known = sent is not None and sent.revision >= revision and sent.time >= time
        if soon and not ping and is_known:
            return
        self._progress[partition] = place
        if soon:
            self._filled.set()

    def advance(self, places: Iterable[Place]) -> None:
        """Report how far the stream's partitions have come, if that is news, and no proof."""
        for place in places:
            sent = self._sent.get(place.partition)
            if place.revision > (sent.revision if sent else 0):
                self.progress(place.partition, place.revision, ping=0, soon=False)
        self.flush()

    def sign(self, places: Iterable[Place]) -> None:
        """Report the progress of all of the stream's partitions, if there is any."""
        for place in places:
            before = self._progress.get(place.partition)
            is_news = before is None or place.revision >= before.revision
            if is_news and self._sent.get(place.partition) != place:
                self._progress[place.partition] = place
        self.flush()

    def flush(self) -> None:
        """Let progress that waits for the next message be sent without one."""
        if self._progress:
            self._filled.set()

    def pong(self, ping: int, time: int) -> None:
        """Answer a ping that had arrived at this time of the server."""
        self.pinged = time
        self._clock = ServerClock(ping=ping, time=time)
        self._filled.set()

    def reset(self, partition: int, reason: ResetReason) -> None:
        """Queue a reset of a partition. Its earlier progress is void."""
        self._progress.pop(partition, None)
        self._sent.pop(partition, None)
        self._queue.seal()
        self.put(self._reset(partition, reason))

    def wake(self) -> None:
        """Let `take` return at once, with a message or None."""
        self._filled.set()

    async def wait(self) -> None:
        """Wait for a message, or for `wake`."""
        if not self._queue:
            await self._filled.wait()

    async def take(self, within: float) -> bytes | None:
        """Wait up to `within` seconds for what `next` returns; None if there is nothing."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self.wait()
        return self.next()

    def next(self) -> bytes | None:
        """Remove and return the next message, serialized, or None.

        If the watcher accepts batches, this is all that waits, within the bounds of a batch. The
        last message that waits carries the progress.
        """
        queue = self._queue
        if not queue:
            self._queue_progress()
        if not queue and not self._clock:
            self._filled.clear()
            return None
        message = self._pop() if queue else b""
        if self.accepts_batches and queue:
            messages, room = [message], BATCH_BYTES - len(message)
            while queue and queue.next_size <= room and len(messages) < BATCH_MESSAGES:
                room -= queue.next_size
                messages.append(self._pop())
            message = pushes.batch(messages)
        if not queue:
            self._filled.clear()
        self._superseded = 0
        self._notify_of_room()
        if self.accepts_batches and not self._has_announced:
            self._has_announced = True
            message += _ANNOUNCEMENT
        if self._clock:
            message += WatchResponse(clock=self._clock).SerializeToString()
            self._clock = None
        return message

    def _pop(self) -> bytes:
        message = self._queue.pop().body
        if self._progress and not self._queue:
            # A separate message would cost the stream as much again.
            message += pushes.positions(self._progress.values())
            self._mark_progress_sent()
        return message

    def _mark_progress_sent(self) -> None:
        self._sent.update(self._progress)
        self._progress = {}

    def _queue_progress(self) -> None:
        if self._progress:
            message = Message(pushes.progress(self._progress.values()))
            self._mark_progress_sent()
            self._queue.append(message, monotonic())

    def _notify_of_room(self) -> None:
        # Only at half of the room for values, so that not every message taken causes a read.
        if self._room_waiters and self._queue.values + self._reserved <= self._max_bytes // 4:
            events, self._room_waiters = self._room_waiters, {}
            for event in events:
                event.set()

    def _overflow(self) -> None:
        self._queue.clear()
        self._sent.clear()
        self._superseded = 0
        self.resets += 1
        for partition in self.partitions | self.declined:
            message = self._reset(partition, ResetReason.RESET_REASON_SLOW_WATCHER)
            self._queue.append(message, monotonic())
        self._notify_of_room()

    def _reset(self, partition: int, reason: ResetReason) -> Message:
        self._counts.count_reset(reason)
        self.partition_resets += 1
        return Message.of(WatchResponse(reset=Reset(partition=partition, reason=reason)))
