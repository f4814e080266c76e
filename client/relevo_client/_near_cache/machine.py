"""The near cache's state machine: the copies of entries, and the rules by which they are used.

It does no I/O and reads no clock (N8): messages of a Watch stream and times go in, decisions and
requests for the stream come out. Times are seconds of any clock that never goes back. The other
rules, by their names in the design:

- N1. A copy serves a call with the fence R only if its subscription is answered and the
  partition's position is at least R; or, for an entry without layers, its version is. A snapshot,
  which never changes, serves any R.
- N2. And only for `max_staleness` seconds after the time as of which the partition's last sign of
  life proves it (`signs`). So a copy is never older than that, however slow the network is.
- N3. Copies come from the stream only, and in its order.
- N4. After a reconnect or a reset a copy is not used until the stream has answered for it
  again: with the same version, or with another one that replaces it.
- N7. The absence of an entry is cached by the same rules.
- N9. Copies are composed only if there is a revision as of which the store had them all.
"""

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

from relevo_client._context.keys import ContextKey, valid_keys
from relevo_client._near_cache.clock import LONG_AGO
from relevo_client._near_cache.copies import Copies
from relevo_client._near_cache.options import CacheOptions
from relevo_client._near_cache.signs import EVEN, Pace, Signs
from relevo_client._near_cache.state import ABSENT, UNKNOWN, Copy, OwnWrites
from relevo_client._near_cache.stream import Stream
from relevo_client._near_cache.stream_rules import SLICE


class NearCache(Copies):
    """The copies of one client. Not thread-safe: the driver must lock it.

    Entries of `renewed_scopes` are reported as ageing in the last fifth of their time to live.
    """

    def __init__(
        self, options: CacheOptions, *, renewed_scopes: AbstractSet[str] = frozenset()
    ) -> None:
        super().__init__(options)
        self._max_staleness = options.max_staleness
        self._renewed_scopes = renewed_scopes
        self._own_writes = OwnWrites(options.max_staleness)
        self.ageing: list[tuple[ContextKey, int]] = []
        """Keys and versions of the entries in use that are in the last fifth of their time.
        Always the same list."""
        self.asked = LONG_AGO
        """The time of the last lookup that may have queued requests for the stream."""
        self._used = LONG_AGO

    def lookup(self, key: ContextKey, fence: int, now: float) -> Copy | None:
        """The copy of a key if a call with this fence may use it, else None: ask the store.

        In both cases the key is subscribed, and is now the most recently used one.
        """
        # In the path of every call: rules that wait for a time are left to `_attend`.
        self._used = now
        copy = self._copies.get(key)
        if copy is None:
            self.asked = now
            self._add(key)
            self._evict()
            self._resume(now)
            return None
        self._copies.move_to_end(key)
        partition = self._partitions.get(copy.partition)
        if partition is None or not copy.is_answered:
            self._resume(now)
            return None
        own = 0
        if self._own_writes:
            own = self._own_writes.fence(key.tenant_id, partition.position, now)
        if now - partition.as_of >= self._max_staleness:
            self._resume(now)
            return None
        is_reached = partition.position >= fence and not own
        is_absent = copy.version == ABSENT
        is_due = now >= copy.next_due or copy.version is None
        if not is_absent and is_due and not self._attend(copy, now):
            return None
        if is_reached or (not is_absent and copy.is_as_of(fence, own)):
            return copy
        self._seek(now)
        return None

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
        taken = self.ageing.copy()
        self.ageing.clear()
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
        self._stream.ping(now, reporter=self)

    def tick(self, now: float) -> None:
        """Queue what is due for the stream. Call it every `ping_interval`."""
        stream = self._stream
        signs, is_waiting = stream.signs, stream.answered < stream.subscribed
        if signs.is_given and not signs.is_paused and now - self._used >= self._options.idle_after:
            signs.pause()
            self.ping(now)
        elif signs.is_ping_due(now, is_waiting=is_waiting):
            self.ping(now)

    def is_silent(self, now: float) -> bool:
        """Whether the stream has given no sign of life for `max_staleness`. Call it regularly."""
        # Without subscriptions there are none.
        return self._stream.signs.are_missing(now, is_asked=bool(self._copies))

    def opened(self, now: float, client: ClientInfo | None = None, pace: Pace = EVEN) -> None:
        """Begin a stream: subscribe to every key on it, the most recently used first."""
        signs = Signs(self._options, self.make_clock(), opened=now, pace=pace)
        self._stream = Stream(signs, now, self._stream.number, client=client)
        self.ping(now)
        for copy in reversed(self._copies.values()):
            self._subscribe(copy)

    def stream_ended(self) -> None:
        """End the stream: no copy is used until another stream has answered for it (N4)."""
        signs = Signs(self._options, self.make_clock())
        self._stream = Stream(signs, number=self._stream.number)
        has_answered = any(copy.is_answered for copy in self._copies.values())
        for copy in self._copies.values():
            if has_answered and not copy.is_answered:
                copy.confirmed = 0
            self._distrust(copy)
        self._partitions.stream_ended()

    def received(self, message: WatchResponse, now: float = LONG_AGO) -> bool:
        """Apply a message that has arrived, at `now` or before; without `now`, no clock is mapped.

        Returns whether it answers a new request, or proves something new.
        """
        self._stream.accepts_batches |= message.accepts_batches
        if message.HasField("clock"):
            self._stream.signs.learn(message.clock, now)
        if message.HasField("batch"):
            return True in [self.received(each, now) for each in message.batch.messages]
        positions = [*message.progress.positions, *message.positions]
        newest = max(message.answers, *(each.ping for each in positions), 0)
        is_new_stream = not self._stream.is_live
        is_answer = self._stream.record_answer(newest)
        self.counts.streams += is_new_stream and is_answer
        event = message.WhichOneof("event")
        if event == "reset":
            self._apply_reset(message.reset)
        # Before an entry: its time to live counts from the time as of which they are true.
        is_newer = self._advance(positions, now)
        if event == "entry":
            self._apply_entry(message.entry, message.answers)
        elif event == "invalidated":
            self._apply_invalidation(message.invalidated, message.answers)
        # Else there is only progress, or an event of a newer contract.
        return is_newer or is_answer

    def _advance(self, positions: Iterable[Position], now: float) -> bool:
        signs = self._stream.signs
        is_newer = self._partitions.advance(positions, lambda each: signs.as_of(each, now))
        if is_newer:
            signs.hear()
        return is_newer

    def _resume(self, now: float) -> None:
        """Ask for signs of life again if there are none because nobody has read the copies."""
        if self._stream.signs.is_paused:
            self.asked = now
            self._stream.signs.resume(now)
            self.ping(now)

    def _seek(self, now: float) -> None:
        """Ask for a later position, if the last one was not asked for just now."""
        if self._stream.signs.may_seek(now):
            self.asked = now
            self.ping(now)

    def _attend(self, copy: Copy, now: float) -> bool:
        """Do what is due for an entry in use. Returns whether it may still be used."""
        self.asked = now
        if copy.version is None or copy.deadline <= now:
            # Too large to be pushed, or a Touch elsewhere may have prolonged its life.
            if copy.may_ask(now):
                self._distrust(copy)
                self._subscribe(copy)
            return False
        if copy.is_to_be_touched(now):  # it stays usable
            copy.touched = now
            self._stream.touch(copy.key)
            self._subscribe(copy)  # the answer has the new time to live
        is_renewed = copy.key.scope in self._renewed_scopes
        if is_renewed and copy.is_to_be_reported(now):
            copy.ageing_reported = now
            self.ageing.append((copy.key, copy.version))
        copy.find_next_due(is_renewed=is_renewed)
        return True

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
            for include in valid_keys(entry.context.includes):
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
                copy.is_declined = answers > 0 and invalidated.is_changed
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
        # With an earlier number it answers a subscription that was replaced since (N3).
        if copy is None or answers not in (0, copy.number):
            return None
        if answers:
            copy.is_answered, copy.is_declined = True, False
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
