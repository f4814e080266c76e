"""The near cache's state machine: the copies of entries, and the rules by which they are used.

It does no I/O and reads no clock (N8): messages of a Watch stream and times go in, decisions and
requests for the stream come out. Times are seconds of any clock that never goes back. The other
rules, by their names in the design:

- N1. A copy serves a call with the fence R only if its subscription is answered and the
  partition's position is at least R; or, for an entry without layers, its version is.
- N2. And only for `max_staleness` seconds after the sending of the last ping that the
  partition has answered. So a copy is never older than that, however slow the network is.
- N3. Copies come from the stream only, and in its order.
- N4. After a reconnect or a reset a copy is not used until the stream has answered for it
  again: with the same version, or with another one that replaces it.
- N6. The number and the bytes of entries are bounded; the least recently used are evicted.
- N7. The absence of an entry is cached by the same rules.
- N9. Copies are composed only if there is a revision as of which the store had them all.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from relevo.v1.context_pb2 import ContextEntry as EntryMessage
from relevo.v1.store_pb2 import (
    ClientInfo,
    Invalidated,
    Position,
    Reset,
    WatchRequest,
    WatchResponse,
)

from relevo_client._context.keys import ContextKey
from relevo_client._near_cache.options import CacheOptions
from relevo_client._near_cache.partitions import Partitions
from relevo_client._near_cache.state import ABSENT, LONG_AGO, UNKNOWN, Copy, OwnWrites, Stream
from relevo_client._near_cache.stream_rules import SLICE
from relevo_client._telemetry.counts import CacheCounts, CacheFigures


class NearCache:
    """The copies of one client. Not thread-safe: the driver must lock it.

    Entries of `renewed_scopes` are reported as ageing in the last fifth of their time to live.
    """

    def __init__(
        self, options: CacheOptions, *, renewed_scopes: AbstractSet[str] = frozenset()
    ) -> None:
        self._max_staleness = options.max_staleness
        self._max_entries = options.max_entries
        self._max_bytes = options.max_bytes
        self._copies: OrderedDict[ContextKey, Copy] = OrderedDict()  # least recently used first
        self._bytes = 0
        self._partitions = Partitions()
        self._stream = Stream()
        self._renewed_scopes = renewed_scopes
        self._own_writes = OwnWrites(options.max_staleness)
        self.ageing: list[tuple[ContextKey, int]] = []
        """Keys and versions of the entries in use that are in the last fifth of their time."""
        self.counts = CacheCounts()

    def figures(self, now: float) -> CacheFigures:
        """The present state, for telemetry. May be called in another thread than the rest."""
        staleness = self._partitions.staleness(now)
        return CacheFigures(len(self._copies), self._bytes, staleness, self._stream.is_live)

    def age(self, key: ContextKey, now: float) -> float | None:
        """The seconds since the copy of a key was last proven current; None if never."""
        return self._partitions.age(self._copies.get(key), now)

    def lookup(self, key: ContextKey, fence: int, now: float) -> Copy | None:
        """The copy of a key if a call with this fence may use it, else None: ask the store.

        In both cases the key is subscribed, and is now the most recently used one.
        """
        copy = self._copies.get(key)
        if copy is None:
            copy = self._add(key)
            self._evict()
        else:
            self._copies.move_to_end(key)
        if self._own_writes:
            position = self._partitions.position(copy)
            fence = max(fence, self._own_writes.fence(key.tenant_id, position, now))
        return copy if self._may_serve(copy, fence, now) else None

    def is_whole(self, copies: Sequence[Copy]) -> bool:
        """Whether there is a revision as of which the store had all of these copies (N9)."""
        return self._partitions.is_whole(copies)

    def record_write(self, tenant_id: str, revision: int, now: float) -> None:
        """Record an own write: copies of the tenant as of an earlier revision are not used."""
        self._own_writes.add(tenant_id, revision, now)

    def allows_cached_read(self, key: ContextKey, fence: int) -> bool:
        """Whether a server that has reached the fence may answer from its memory."""
        return fence > 0 and key.tenant_id not in self._own_writes

    def pop_ageing(self) -> list[tuple[ContextKey, int]]:
        """Remove and return the keys and versions in `ageing`."""
        taken, self.ageing = self.ageing, []
        return taken

    def last_known(self, key: ContextKey, now: float) -> Copy | None:
        """The copy of a key even if it may be stale; None if it has expired or is invalidated."""
        copy = self._copies.get(key)
        is_alive = copy is not None and copy.version != ABSENT and copy.deadline > now
        return copy if is_alive else None

    @property
    def has_requests(self) -> bool:
        """Whether requests wait to be sent on the open stream."""
        return bool(self._stream.requests)

    def requests(self) -> list[WatchRequest]:
        """Remove and return a slice of the requests to be sent on the open stream."""
        return self._stream.pop_requests(SLICE)

    def ping(self, now: float) -> None:
        """Queue a ping for the stream."""
        self._stream.ping(now, keep=self._max_staleness, reporter=self)

    def is_silent(self, now: float) -> bool:
        """Whether the stream has answered nothing for `max_staleness`. Call it regularly.

        Other messages do not count: the stream's requests may be lost on their way.
        """
        is_asked = bool(self._copies)  # without subscriptions the server does not answer
        return self._stream.silence(now, is_asked=is_asked) > self._max_staleness

    def opened(self, now: float, client: ClientInfo | None = None) -> None:
        """Begin a stream: subscribe to every key on it, the most recently used first."""
        self._stream = Stream(now, self._stream.number, heard=now, client=client)
        self.ping(now)
        for copy in reversed(self._copies.values()):
            self._subscribe(copy)

    def stream_ended(self) -> None:
        """End the stream: no copy is used until another stream has answered for it (N4)."""
        self._stream = Stream(number=self._stream.number)
        has_answered = any(copy.is_answered for copy in self._copies.values())
        for copy in self._copies.values():
            if has_answered and not copy.is_answered:
                copy.confirmed = 0
            self._distrust(copy)
        self._partitions.stream_ended()

    def received(self, message: WatchResponse) -> bool:
        """Apply a message of the stream. Returns whether it answers a new request."""
        self._stream.accepts_batches |= message.accepts_batches
        if message.HasField("batch"):
            return True in [self.received(each) for each in message.batch.messages]
        positions = [*message.progress.positions, *message.positions]
        newest = max(message.answers, *(each.ping for each in positions), 0)
        is_new_stream = not self._stream.is_live
        is_answer = self._stream.record_answer(newest)
        self.counts.streams += is_new_stream and is_answer
        match message.WhichOneof("event"):
            case "entry":
                self._apply_entry(message.entry, message.answers)
            case "invalidated":
                self._apply_invalidation(message.invalidated, message.answers)
            case "reset":
                self._apply_reset(message.reset)
            case _:
                pass  # only progress, or an event of a newer contract
        self._advance(positions)
        return is_answer

    def _advance(self, positions: Iterable[Position]) -> None:
        self._partitions.advance(positions, self._stream.pings)

    def _may_serve(self, copy: Copy, fence: int, now: float) -> bool:
        partition = self._partitions.of(copy)
        if not copy.is_answered or partition is None:
            return False
        if now - partition.as_of >= self._max_staleness:
            return False
        is_reached = partition.position >= fence
        if copy.version == ABSENT:
            return is_reached
        if copy.version is None or copy.deadline <= now:
            # Too large to be pushed, or a Touch elsewhere may have prolonged its life.
            self._distrust(copy)
            self._subscribe(copy)
            return False
        self._keep_alive(copy, now)
        if copy.key.scope in self._renewed_scopes:
            self._report_ageing(copy, copy.version, now)
        return is_reached or (copy.version >= fence and not copy.has_layers)

    def _apply_entry(self, entry: EntryMessage, answers: int) -> None:
        copy = self._copy_of_event(ContextKey.from_message(entry.key), answers, entry.partition)
        if copy is None:
            return
        if entry.HasField("ttl"):
            # The earliest time at which the server can have sent the message.
            opened = LONG_AGO if self._stream.opened is None else self._stream.opened
            copy.prolong(entry, sent=max(opened, self._partitions.as_of(copy)))
        if entry.HasField("context"):
            self._replace(copy, entry)
            copy.version = copy.entry_version
            for include in map(ContextKey.from_message, entry.context.includes):
                if include not in self._copies:  # composing the entry will need it
                    self._add(include)
        elif copy.entry_version == entry.version:
            copy.version = copy.entry_version
        else:
            copy.version = None
        self._evict()

    def _apply_invalidation(self, invalidated: Invalidated, answers: int) -> None:
        if invalidated.WhichOneof("target") == "key":
            key = ContextKey.from_message(invalidated.key)
            copy = self._copy_of_event(key, answers, invalidated.partition)
            if copy and (answers or (copy.version or ABSENT) <= invalidated.revision):
                copy.version = None if invalidated.is_changed else ABSENT
            return
        tenant = invalidated.tenant
        for copy in self._copies.values():
            is_named = copy.key.tenant_id == tenant.tenant_id
            if is_named and copy.is_answered and tenant.scope in ("", copy.key.scope):
                self.counts.pushes += 1
                # An unknown version may be newer than the invalidation: the store must say.
                if copy.version is not None and copy.version <= invalidated.revision:
                    copy.version = ABSENT

    def _copy_of_event(self, key: ContextKey, answers: int, partition: int) -> Copy | None:
        """The copy that an event is about, or None if the event does not apply to it."""
        copy = self._copies.get(key)
        if copy is None:
            return None
        if answers:
            # With an earlier number it answers a subscription that was replaced since (N3).
            if answers != copy.number:
                return None
            copy.is_answered = True
            self._partitions.assign(copy, partition)
        elif not copy.is_answered:
            return None
        else:
            self.counts.pushes += 1
        return copy

    def _apply_reset(self, reset: Reset) -> None:
        self._partitions.reset(reset)
        for copy in self._copies.values():
            # A copy without an answer may be of this partition, and its answer lost too.
            if copy.partition in (reset.partition, UNKNOWN):
                copy.is_answered, copy.confirmed = False, 0
                self._subscribe(copy)
                # The answer will be as of now, and the store may have lost the own write.
                self._own_writes.discard(copy.key.tenant_id)

    def _keep_alive(self, copy: Copy, now: float) -> None:
        """Touch an entry in use once half of its time is over. The copy stays usable."""
        half = copy.lifetime / 2
        if copy.deadline - now < half and now - copy.touched >= half:
            copy.touched = now
            self._stream.touch(copy.key)
            self._subscribe(copy)  # the answer has the new time to live

    def _report_ageing(self, copy: Copy, version: int, now: float) -> None:
        """Report an entry in the last fifth of its time; again if it was not renewed since."""
        if (
            copy.deadline - now < copy.full_lifetime / 5
            and now - copy.ageing_reported >= copy.full_lifetime / 20
        ):
            copy.ageing_reported = now
            self.ageing.append((copy.key, version))

    def _add(self, key: ContextKey) -> Copy:
        copy = self._copies[key] = Copy(key)
        self._subscribe(copy)
        return copy

    def _subscribe(self, copy: Copy) -> None:
        if self._stream.opened is None:
            return  # `opened` will subscribe to it
        position = self._partitions.position(copy)
        copy.number = self._stream.subscribe(copy.key, copy.entry_version, position)

    def _distrust(self, copy: Copy) -> None:
        """Do not use a copy until the stream has answered for it again."""
        copy.confirmed = self._partitions.confirmed(copy)
        copy.is_answered = False

    def _replace(self, copy: Copy, message: EntryMessage | None) -> None:
        if message and message.version == copy.entry_version:
            return  # the same entry: its decoded and composed forms stay valid
        self._bytes += copy.hold(message)

    def _evict(self) -> None:
        while len(self._copies) > self._max_entries or self._bytes > self._max_bytes:
            key, copy = self._copies.popitem(last=False)
            self._replace(copy, None)
            self._partitions.release(copy)
            self.counts.evictions += 1
            self._stream.unsubscribe(key)
