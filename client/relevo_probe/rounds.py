"""What is written to one tenant, round by round, through the servers in turn.

The writes of a round follow each other as fast as the store answers: what can go wrong between an
event, its value and the progress after it, goes wrong then.
"""

import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple

from relevo_client import ContextClient, ContextKey, ContextRef, ExecutionContext, RelevoError

from relevo_probe.attention import Attention
from relevo_probe.canaries import Canaries, parts_of
from relevo_probe.history import Kind, Read, Write
from relevo_probe.looking import STORE, NearCacheReader, StoreRead
from relevo_probe.record import Record

_LARGE = 17 << 10
"""Bytes of the contexts that are not pushed to watchers, if the server has the default limit."""


class Writer(NamedTuple):
    """A client that writes. `reader` reads its near cache, if it has one."""

    client: ContextClient
    reader: NearCacheReader | None = None


class Rounds:
    """The rounds of one tenant. One thread at a time may use it.

    `ttl` is the time to live of the canaries in seconds. It must be much longer than the time from
    one round to the next.
    """

    def __init__(
        self,
        canaries: Canaries,
        writers: Sequence[Writer],
        record: Record,
        attention: Attention,
        ttl: float,
    ) -> None:
        self.canaries = canaries
        self._writers = writers
        self._record = record
        self._attention = attention
        self._ttl = ttl
        self._values = count(1)
        self._turns = count()
        self._number = 0
        self._writes = 0

    def run(self) -> int:
        """Write one round, and read it from the store. Returns the number of writes."""
        self._writes = 0
        self._attention.begin(self.canaries.tenant_id)
        try:
            self._write_composition()
            self._end_by_key()
            if self._number % 2:
                self._end_by_floor()
                self._write_late()
            self._read()
        finally:
            self._attention.end(self.canaries.tenant_id)
            self._number += 1
        return self._writes

    def _write_composition(self) -> None:
        """Layers and head, so that parts of different rounds never existed together."""
        first, second = self.canaries.layers
        self._put(first)
        self._put(second, padding=_LARGE if self._number % 4 == 3 else 0)
        self._put(self.canaries.head)
        self._put(first)
        if self._number == 0:
            self._put(self.canaries.head)

    def _end_by_key(self) -> None:
        key = self.canaries.ended
        self._put(key)
        self._invalidate(key)
        if self._number % 2:
            self._put(key)

    def _end_by_floor(self) -> None:
        """Raise the floor of a scope, by turns after and before a Put."""
        self._put(self.canaries.floored)
        self._raise_floor(self.canaries.floored)
        if self._number % 4 == 1:
            self._put(self.canaries.floored)

    def _write_late(self) -> None:
        """Create an entry under a lease, whose first holder is too late: the lease has ended."""
        key, late = self.canaries.late, list[Write]()
        if self._invalidate(key) is None:
            return

        def factory(_: ContextKey) -> ExecutionContext:
            for write in late[-1:]:  # refused; or its entry has ended, by another probe's floor
                self._record.give_up(write)
            is_void = not late and self._end_lease(key)
            write = Write("put", key, 0.0, next(self._values), self._ttl, is_void=is_void)
            late.append(write)
            self._writes += 1
            self._record.begin(write)
            return self.canaries.context(key, write.value)

        begin, entry = time.monotonic(), None
        try:
            entry = self._next().client.get_or_create(key, factory, ttl=self._ttl)
        except RelevoError as error:
            self._record.fail(error)
        for write in late[-1:]:
            if entry and parts_of(entry)[0].value == write.value:
                self._record.end(write, entry.version)
            else:
                self._record.give_up(write)
        if entry:  # which a near cache may have had: it says nothing of what is recent
            now = time.monotonic()
            read = Read(STORE, "server", begin, now, parts_of(entry), 0, entry.revision)
            self._record.observe([read])

    def _end_lease(self, key: ContextKey) -> bool:
        """End the lease on a key. Returns whether it is known to have ended."""
        end = self._raise_floor if self._number % 4 == 1 else self._invalidate
        return end(key) is not None

    def _put(self, key: ContextKey, padding: int = 0) -> None:
        value = next(self._values)
        context = self.canaries.context(key, value, padding)

        def send(client: ContextClient) -> int:
            return client.put(key, context, ttl=self._ttl).revision

        self._write("put", key, send, value)

    def _invalidate(self, key: ContextKey) -> int | None:
        return self._write("invalidate", key, lambda client: client.invalidate(key).revision)

    def _raise_floor(self, key: ContextKey) -> int | None:
        def send(client: ContextClient) -> int:
            return client.invalidate_tenant(key.tenant_id, scope=key.scope).revision

        return self._write("floor", key, send)

    def _write(
        self, kind: Kind, key: ContextKey, send: Callable[[ContextClient], int], value: int = 0
    ) -> int | None:
        """Send a write. Returns its revision, or None if it has failed."""
        writer = self._next()
        name = writer.reader.name if writer.reader else ""
        write = Write(kind, key, 0.0, value, self._ttl, writer=name)
        self._record.begin(write)
        self._writes += 1
        try:
            revision = send(writer.client)
        except RelevoError as error:
            self._record.end(write, error)
            return None
        self._record.end(write, revision)
        if writer.reader:  # its near cache has to show its own write at once
            writer.reader.look(self.canaries)
        return revision

    def _next(self) -> Writer:
        return self._writers[next(self._turns) % len(self._writers)]

    def _read(self) -> None:
        """Read everything from the store."""
        fence = self._record.fence(self.canaries.tenant_id) if self._number % 2 else 0
        for key in self.canaries.looked_up:
            client = self._next().client
            with StoreRead(self._record, ContextRef(key, fence), "store") as read:
                read.entry = client.resolve(read.ref, fresh=True)
