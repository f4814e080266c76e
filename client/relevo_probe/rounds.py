"""What is written to one tenant, round by round, through the servers in turn.

The writes of a round follow each other as fast as the store answers: what can go wrong between an
event, its value and the progress after it, goes wrong then.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from itertools import count
from typing import NamedTuple

from relevo_client import ContextClient, ContextKey, ContextRef, ExecutionContext, RelevoError

from relevo_probe.attention import Attention
from relevo_probe.canaries import Canaries, parts_of
from relevo_probe.history import Kind, Read, Write
from relevo_probe.looking import STORE, NearCacheReader, StoreRead
from relevo_probe.record import Record

WRITTEN_TOGETHER = 3
"""Threads that write the parts of one composition at the same time."""
_LARGE = 17 << 10
"""Bytes of the contexts that are not pushed to watchers, if the server has the default limit."""


class Writer(NamedTuple):
    """A client that writes. `reader` reads its near cache, if it has one."""

    client: ContextClient
    reader: NearCacheReader | None = None


class Rounds:
    """The rounds of one tenant. One thread at a time may run one.

    `ttl` is the time to live of the canaries in seconds. It must be much longer than the time from
    one round to the next. `askers` are clients that let servers answer from their memory: they
    write nothing, and their near caches have no room for a composition. `helpers` has threads for
    writes side by side.
    """

    def __init__(
        self,
        canaries: Canaries,
        writers: Sequence[Writer],
        askers: Sequence[ContextClient],
        record: Record,
        attention: Attention,
        ttl: float,
        helpers: Executor,
    ) -> None:
        self.canaries = canaries
        self._writers = writers
        self._askers = askers
        self._record = record
        self._attention = attention
        self._ttl = ttl
        self._helpers = helpers
        self._values = count(1)
        self._turns = count()
        self._number = 0
        self._writes = 0
        self._lock = threading.Lock()

    def run(self) -> int:
        """Write one round, and read it from the store. Returns the number of writes."""
        before = self._writes
        self._attention.begin(self.canaries.tenant_id)
        try:
            self._write_what_servers_remember()
            self._write_composition()
            self._end_by_key()
            if self._number % 2:
                self._end_by_floor()
                self._write_late()
        finally:
            self._attention.end(self.canaries.tenant_id)
            self._number += 1
        return self._writes - before

    def _write_what_servers_remember(self) -> None:
        """Let a server remember the composition, change it, and read it as of the change."""
        client = self._askers[self._number % len(self._askers)]
        for _ in range(2):
            self._resolve(client)
        self._put(self.canaries.head)
        self._resolve(client)

    def _resolve(self, client: ContextClient) -> None:
        """Read the composition with a fence, from the server's memory if that has reached it."""
        fence = self._record.fence(self.canaries.tenant_id)
        with StoreRead(self._record, ContextRef(self.canaries.head, fence), "server") as read:
            read.entry = client.resolve(read.ref)

    def _write_composition(self) -> None:
        """Layers and head, all side by side, and then one after the other.

        Writes that overtake each other's events show whether a part can be ahead of the others.
        """
        keys = (*self.canaries.layers, self.canaries.head)
        if self._number == 0:
            self._put_all(keys)
        # Each in another order, so that all keys are written at the same time.
        orders = [keys[i:] + keys[:i] for i in range(WRITTEN_TOGETHER)]
        large = _LARGE if self._number % 2 else 0
        burst = [self._helpers.submit(self._put_all, 2 * order, large) for order in orders]
        for each in burst:
            each.result()
        for key in keys[1:]:
            self._put(key)
            self._read(self.canaries.head)

    def _put_all(self, keys: Sequence[ContextKey], padding: int = 0) -> None:
        for number, key in enumerate(keys):
            self._put(key, padding if number % 3 == 1 else 0)

    def _end_by_key(self) -> None:
        key = self.canaries.ended
        self._put(key)
        self._read(key)
        self._invalidate(key)
        self._read(key)
        if self._number % 2:
            self._put(key)
            self._read(key)

    def _end_by_floor(self) -> None:
        """Raise the floor of a scope, by turns after and before a Put."""
        key = self.canaries.floored
        self._put(key)
        self._read(key)
        self._raise_floor(key)
        self._read(key)
        if self._number % 4 == 1:
            self._put(key)

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
            self._count()
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
        self._count()
        try:
            revision = send(writer.client)
        except RelevoError as error:
            self._record.end(write, error)
            return None
        self._record.end(write, revision)
        if writer.reader:  # its near cache has to show its own write at once
            writer.reader.look(self.canaries)
        return revision

    def _count(self) -> None:
        with self._lock:
            self._writes += 1

    def _next(self) -> Writer:
        return self._writers[next(self._turns) % len(self._writers)]

    def _read(self, key: ContextKey) -> None:
        """Read a key from the store, right after a write and mostly through another server."""
        fence = self._record.fence(self.canaries.tenant_id) if self._number % 2 else 0
        client = self._next().client
        with StoreRead(self._record, ContextRef(key, fence), "store") as read:
            read.entry = client.resolve(read.ref, fresh=True)
