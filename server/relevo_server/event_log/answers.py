"""Schedules the reads that answer Subscribes.

No I/O and no clock. An answer waits until its stream has room for it, and only then is it read:
so neither a read nor a stream's outbox is ever larger than its bound, whatever was asked for.

- Entries are looked at without their contexts first. That says how large the answers are, and
  answers whoever has the current version already.
- Then contexts are read for which there is room. It is reserved meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from relevo_server.event_log.fanout import Fanout
from relevo_server.event_log.subscriptions import Request
from relevo_server.keys import Key
from relevo_server.storage.interface import Limits, Read, Stored

_LOOKS = 32
"""Entries that are looked at together."""
_READS = 16
"""Entries that are read together."""
_ANSWERS = 2
"""Entries that are answered in one step."""
READ_BYTES = 256 << 10
"""Bytes of contexts that are read together, but for a single larger one."""
_LOOK = Limits(0, 0)
_READ = Limits(1 << 40, READ_BYTES)


class Batch(NamedTuple):
    """A read for some requests. `resets` is how often the order had been lost before it."""

    keys: Sequence[Key]
    limits: Limits
    requests: Sequence[Request]
    resets: int
    reserved: Sequence[int]
    """The room that is reserved for each request."""

    @property
    def is_last_look(self) -> bool:
        """Whether it looks at entries, and at all that are new."""
        return self.limits is _LOOK and len(self.requests) < _LOOKS

    def steps(self, read: Read, size: int = _ANSWERS) -> Iterator[tuple["Batch", Read]]:
        """The batch in parts of so many requests, with what was read for each of them."""
        entries = dict(zip(self.keys, read.entries, strict=True))
        for i in range(0, len(self.requests), size):
            requests = self.requests[i : i + size]
            keys = _keys(requests)
            reserved = self.reserved[i : i + size]
            part = self._replace(keys=keys, requests=requests, reserved=reserved)
            yield part, Read(read.revision, [entries[key] for key in keys])


class Answers:
    """Answers of one partition. `wanted` is set when `next` may have something again."""

    def __init__(self, fanout: Fanout, wanted: asyncio.Event) -> None:
        self._fanout = fanout
        self._requests = fanout.requests
        self._wanted = wanted
        # By turns: neither those who come nor those who wait hold the others up.
        self._steps = deque([self._look, self._read])

    def next(self) -> Batch | None:
        """What to read now; None if nobody asks who has room. `apply` or `give_up` follows."""
        for _ in range(len(self._steps)):
            self._steps.rotate(1)
            batch = self._steps[0]()
            if batch:
                return batch
        return None

    def apply(self, batch: Batch, read: Read) -> None:
        """Answer what was read."""
        self.give_up(batch)
        if batch.resets != self._fanout.resets:
            return  # it is of an order that was lost
        entries = dict(zip(batch.keys, read.entries, strict=True))
        for request in batch.requests:
            if request in self._requests:
                self._answer(request, entries[request.subscription.key], read.revision)

    @staticmethod
    def give_up(batch: Batch) -> None:
        """Give the room back that was reserved."""
        for request, reserved in zip(batch.requests, batch.reserved, strict=True):
            request.subscription.outbox.release(reserved)

    def _look(self) -> Batch | None:
        def is_taken(request: Request) -> bool:
            # In a stream's own order: what is small does not go before what waits for room.
            first = self._requests.first_sized(request.subscription.outbox)
            return self._has_room(first or request)

        return self._batch(self._requests.new(_LOOKS, is_taken), _LOOK)

    def _read(self) -> Batch | None:
        sizes: dict[Key, int] = {}

        def is_taken(request: Request) -> bool:
            if sum(sizes.values()) >= READ_BYTES or not self._has_room(request):
                return False
            request.subscription.outbox.reserve(request.bytes)
            sizes[request.subscription.key] = request.size or 0
            return True

        return self._batch(self._requests.sized(_READS, is_taken), _READ)

    def _has_room(self, request: Request) -> bool:
        outbox = request.subscription.outbox
        if outbox.has_room(request.bytes):
            return True
        outbox.notify_of_room(self._wanted)
        return False

    def _answer(self, request: Request, stored: Stored | None, revision: int) -> None:
        subscription, asked = request.subscription, request.asked
        if stored and stored.version == asked.known:
            stored = stored._replace(context=None, left_out=0)
        size = stored.size if stored else 0
        if stored and stored.left_out:
            self._requests.resize(request, size)
            return
        if request.size != size:  # it is larger than there was room for, perhaps
            self._requests.resize(request, size)
        if not subscription.outbox.has_room(request.bytes):
            return
        if self._fanout.answer(subscription, asked, stored, revision):
            self._requests.remove(subscription)
        else:
            self._requests.resize(request, None)

    def _batch(self, requests: Sequence[Request], limits: Limits) -> Batch | None:
        if not requests:
            return None
        reserved = [request.bytes if limits is _READ else 0 for request in requests]
        return Batch(_keys(requests), limits, requests, self._fanout.resets, reserved)


def _keys(requests: Sequence[Request]) -> Sequence[Key]:
    return list(dict.fromkeys(request.subscription.key for request in requests))
