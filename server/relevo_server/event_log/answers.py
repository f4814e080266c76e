"""Schedules the reads that answer Subscribes, with backpressure (N4).

No I/O and no clock. An answer is read only once its stream's outbox has room for it, so every
read and every outbox stays within its bound, however much a client subscribes to. Two steps:

- Sizing: entries are read without their contexts. This gives the sizes of the answers, and
  answers the watchers that already have the current version.
- Reading: contexts are read for the requests that have room, which is reserved meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from relevo_server.event_log.fanout import Fanout
from relevo_server.event_log.proofs import LogPoll
from relevo_server.event_log.subscriptions import Request
from relevo_server.keys import Key
from relevo_server.storage.interface import SIZES_ONLY, Limits, Read, Stored

_SIZED_TOGETHER = 32
"""Requests that one read sizes."""
_READ_TOGETHER = 16
"""Requests whose contexts one read returns."""
_ANSWERED_TOGETHER = 2
"""Requests that the shortest step answers."""
READ_BYTES = 256 << 10
"""Bytes of contexts in one read; a single larger context is read alone."""
_WITH_CONTEXTS = Limits(1 << 40, READ_BYTES)


class Batch(NamedTuple):
    """A read that serves some requests."""

    keys: Sequence[Key]
    limits: Limits
    requests: Sequence[Request]
    resets: int
    """The fan-out's count of resets when the batch was made."""
    poll: LogPoll
    """The state of the fan-out then. The streams know its position: the read must be of a log that
    still has it, or its entries may never have existed together with those sent before (N9)."""
    reserved: Sequence[int]
    """The bytes reserved in the outbox of each request."""

    @property
    def is_last_sizing(self) -> bool:
        """Whether this is a sizing that includes every new request."""
        return self.limits is SIZES_ONLY and len(self.requests) < _SIZED_TOGETHER


Step = tuple[Batch, Read]
"""A part of a batch, and its part of the read."""


class Answers:
    """The answers of one partition. `answers_due` is set when `next` may return a batch again."""

    def __init__(self, fanout: Fanout, answers_due: asyncio.Event) -> None:
        self._fanout = fanout
        self._requests = fanout.requests
        self._answers_due = answers_due
        # In turn: new requests and waiting ones do not delay each other.
        self._steps = deque([self._next_sizing, self._next_read])

    def next(self, time: int = 0) -> Batch | None:
        """The batch to read now, or None if no request has room.

        `time` is the server's. Must be followed by `apply` or `give_up`.
        """
        for _ in range(len(self._steps)):
            self._steps.rotate(1)
            batch = self._steps[0](time)
            if batch:
                return batch
        return None

    def steps(self, batch: Batch, read: Read, size: int = _ANSWERED_TOGETHER) -> Iterator[Step]:
        """The steps that `apply` takes after a read: parts of `size` requests with their entries.

        From now on polls of the log look for the read's revision: a log that has lost it meanwhile
        resets the fan-out, and the steps that are left do nothing.
        """
        self._fanout.record_read(read.revision)
        if batch.resets == self._fanout.resets:
            self._fanout.confirm_read(batch.poll, read.revision)
        entries = dict(zip(batch.keys, read.entries, strict=True))
        for i in range(0, len(batch.requests), size):
            requests = batch.requests[i : i + size]
            keys = _keys(requests)
            part = batch._replace(
                keys=keys, requests=requests, reserved=batch.reserved[i : i + size]
            )
            yield part, Read(read.revision, [entries[key] for key in keys])

    def apply(self, batch: Batch, read: Read) -> None:
        """Answer the requests of a batch from its read."""
        self.give_up(batch)
        if batch.resets != self._fanout.resets:
            return  # the read is of a log that has been reset since
        entries = dict(zip(batch.keys, read.entries, strict=True))
        for request in batch.requests:
            if request in self._requests:
                self._answer(request, entries[request.subscription.key], read.revision)

    @staticmethod
    def give_up(batch: Batch) -> None:
        """Release the reserved room."""
        for request, reserved in zip(batch.requests, batch.reserved, strict=True):
            request.subscription.outbox.release(reserved)

    def _next_sizing(self, time: int) -> Batch | None:
        def is_taken(request: Request) -> bool:
            # A stream's requests keep their order: a small one does not overtake one without room.
            first = self._requests.first_sized(request.subscription.outbox)
            return self._has_room(first or request)

        return self._batch(self._requests.new(_SIZED_TOGETHER, is_taken), SIZES_ONLY, time)

    def _next_read(self, time: int) -> Batch | None:
        sizes: dict[Key, int] = {}

        def is_taken(request: Request) -> bool:
            if sum(sizes.values()) >= READ_BYTES or not self._has_room(request):
                return False
            request.subscription.outbox.reserve(request.bytes)
            sizes[request.subscription.key] = request.size or 0
            return True

        return self._batch(self._requests.sized(_READ_TOGETHER, is_taken), _WITH_CONTEXTS, time)

    def _has_room(self, request: Request) -> bool:
        outbox = request.subscription.outbox
        if outbox.has_room(request.bytes):
            return True
        outbox.notify_of_room(self._answers_due)
        return False

    def _answer(self, request: Request, stored: Stored | None, revision: int) -> None:
        subscription, args = request.subscription, request.args
        if stored and stored.version == args.known_version:
            stored = stored._replace(context=None, left_out=0)
        size = stored.size if stored else 0
        if stored and stored.left_out:
            self._requests.resize(request, size)
            return
        if request.size != size:  # it may be larger than the reserved room
            self._requests.resize(request, size)
        if not subscription.outbox.has_room(request.bytes):
            return
        if self._fanout.answer(subscription, args, stored, revision):
            self._requests.remove(subscription)
        else:
            self._requests.resize(request, None)

    def _batch(self, requests: Sequence[Request], limits: Limits, time: int) -> Batch | None:
        if not requests:
            return None
        reserved = [request.bytes if limits is _WITH_CONTEXTS else 0 for request in requests]
        fanout = self._fanout
        poll = fanout.begin_poll(time)
        return Batch(_keys(requests), limits, requests, fanout.resets, poll, reserved)


def _keys(requests: Sequence[Request]) -> Sequence[Key]:
    return list(dict.fromkeys(request.subscription.key for request in requests))
