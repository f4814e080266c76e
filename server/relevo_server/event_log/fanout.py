"""Who subscribed to what in one partition, and what each of them is to be told.

No I/O and no clock. The invariants that it keeps, for each stream and each key:

- Every event after the revision that an answer was as of is told after the answer.
- An answer that an event has overtaken is never told: it is asked for again.
- A change is told at once. If there is no room for its value, that follows when there is, as
  an answer does; of what changes meanwhile only the newest is told.
- Progress is told after everything up to it, and only when the log was looked at.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import Invalidated, ResetReason, TenantSelector, WatchResponse

from relevo_server.errors import StoreError
from relevo_server.event_log.outbox import Outbox
from relevo_server.event_log.subscriptions import FOLLOW_UP, Asked, Requests, Subscription
from relevo_server.keys import Key
from relevo_server.storage.interface import Event, Gap, Stored
from relevo_server.wire.entries import Entries
from relevo_server.wire.opaque import WatchResponse as OpaqueResponse

_REASONS = {
    Gap.TRIMMED: ResetReason.RESET_REASON_LOG_TRIMMED,
    Gap.CHANGED: ResetReason.RESET_REASON_ORDER_CHANGED,
}


class Look(NamedTuple):
    """A look at the log: what there was before it."""

    position: int | None
    seen: Sequence[int]
    """Revisions as of which something was told, and that the log has still to show."""
    pings: Mapping[Outbox, int]
    """The pings that had arrived."""


class Fanout:
    """The subscriptions of one partition."""

    def __init__(self, partition: int, entries: Entries, max_push_bytes: int) -> None:
        self.partition = partition
        self.position: int | None = None
        """Everything up to this revision is told; None before the log was looked at."""
        self.resets = 0
        """How often the order was lost: what was read before is of another one."""
        self.requests = Requests()
        """What has been asked for: the answers are still to come."""
        self._entries = entries
        self._max_push_bytes = max_push_bytes
        self._by_key: defaultdict[Key, dict[Outbox, Subscription]] = defaultdict(dict)
        self._by_tenant: defaultdict[str, set[Key]] = defaultdict(set)
        self._by_outbox: defaultdict[Outbox, set[Key]] = defaultdict(set)
        self._unconfirmed: set[Outbox] = set()
        self._seen: set[int] = set()

    @property
    def has_unconfirmed(self) -> bool:
        """Whether a stream has had no sign of life of this partition yet."""
        return bool(self._unconfirmed)

    @property
    def is_idle(self) -> bool:
        """Whether nobody subscribes."""
        return not self._by_key

    def subscribe(self, outbox: Outbox, key: Key) -> Subscription:
        """Begin, or go on with what was begun. `answer` has to follow."""
        subscription = self._by_key[key].get(outbox)
        if subscription:
            return subscription
        subscription = self._by_key[key][outbox] = Subscription(outbox, key)
        self._by_tenant[key.tenant_id].add(key)
        if outbox not in self._by_outbox:
            self._unconfirmed.add(outbox)
        self._by_outbox[outbox].add(key)
        outbox.partitions.add(self.partition)
        return subscription

    def unsubscribe(self, outbox: Outbox, key: Key) -> None:
        """End a subscription, if there is one."""
        if key not in self._by_outbox.get(outbox, ()):
            return
        self.requests.remove(self._by_key[key][outbox])
        _remove(self._by_outbox, outbox, key)
        if outbox not in self._by_outbox:
            self._unconfirmed.discard(outbox)
            outbox.partitions.discard(self.partition)
        del self._by_key[key][outbox]
        if not self._by_key[key]:
            del self._by_key[key]
            _remove(self._by_tenant, key.tenant_id, key)

    def drop(self, outbox: Outbox) -> None:
        """End all subscriptions of a stream, and what it has asked for."""
        self.requests.drop(outbox)
        for key in list(self._by_outbox.get(outbox, ())):
            self.unsubscribe(outbox, key)

    def answer(
        self, subscription: Subscription, asked: Asked, stored: Stored | None, revision: int
    ) -> bool:
        """Tell the value as of a revision. False if it was overtaken: read it again."""
        key, outbox = subscription.key, subscription.outbox
        if self._by_key.get(key, {}).get(outbox) is not subscription:
            return True  # ended, and perhaps begun anew
        if not asked.number and not (subscription.is_owed and subscription.is_told):
            return True  # it has ended since, or the stream was reset: nothing follows
        if revision < subscription.latest:
            return False
        if revision < asked.position:
            outbox.reset(self.partition, ResetReason.RESET_REASON_ORDER_CHANGED)
        self._seen.add(revision)
        message = self._value(key, stored, revision)
        message.answers = asked.number
        outbox.put(message, is_value=True)
        subscription.tell(stored.version if stored else 0)
        if self.position is not None:
            outbox.progress(self.partition, self.position, 0, soon=True)
        return True

    def wanted(self, events: Iterable[Event]) -> list[Key]:
        """The keys whose values are to be read before these events are told."""
        put = dict.fromkeys(event.key for event in events if event.key and event.kind == "put")
        return [key for key in put if any(each.is_told for each in self._of(key))]

    def look(self) -> Look:
        """Begin to look at the log."""
        pings = {outbox: outbox.ping for outbox in self._by_outbox}
        return Look(self.position, sorted(self._seen), pings)

    def tell(
        self,
        events: Sequence[Event],
        values: Mapping[Key, Stored | None],
        revisions: Iterable[int],
        look: Look,
        *,
        is_all: bool = True,
    ) -> None:
        """Tell events that a look has found, in order.

        `values` has what `wanted` asked for, as it was at `revisions`, after the events; a value
        that is larger than what is pushed, or was too much to be read, has no context. `is_all`:
        there was nothing in the log after them, so that the streams' pings are answered.
        """
        self._prove(look)
        self._seen.update(revisions)
        outboxes: set[Outbox] = set()
        for event in events:
            outboxes.update(self._tell(event, values))
        self.position = events[-1].revision
        for outbox in self._by_outbox:
            soon = outbox in outboxes
            ping = look.pings.get(outbox, 0) if is_all else 0
            outbox.progress(self.partition, self.position, ping, soon=soon)

    def confirm(self, look: Look) -> None:
        """Tell that a look has found nothing new."""
        self._prove(look)
        if self.position is not None:
            for outbox in self._by_outbox:
                ping = look.pings.get(outbox, 0)
                # The first one is waited for: until then a client cannot use its copies.
                soon = ping > 0 and outbox in self._unconfirmed
                if soon:
                    self._unconfirmed.remove(outbox)
                outbox.progress(self.partition, self.position, ping, soon=soon)

    def reset(self, revision: int, gap: Gap) -> None:
        """Go on from a revision, and tell everyone that events are missing before it."""
        self.position = revision
        self._seen.clear()
        self.resets += 1
        for outbox in self._by_outbox:
            outbox.reset(self.partition, _REASONS[gap])
        for found in self._by_key.values():
            for subscription in found.values():
                # What was read before is no answer any more; clients ask again.
                subscription.latest, subscription.told = revision, None

    def _prove(self, look: Look) -> None:
        """Forget revisions that the log has shown, once the position, which it shows too, is later.

        Values may be told ahead of the position, and a failover may lose just these writes: the
        log goes on from the position as if nothing had happened. And an answer may be late: the
        position that has passed it by then may be of a log that does not have it.
        """
        position = look.position or 0
        self._seen.difference_update(each for each in look.seen if each <= position)

    def _tell(self, event: Event, values: Mapping[Key, Stored | None]) -> Iterator[Outbox]:
        if event.kind == "floor":
            yield from self._tell_floor(event)
            return
        key = event.key
        subscriptions = self._of(key) if key and event.kind != "release" else ()
        if not key or not subscriptions:
            return
        # Whoever had no answer yet when `wanted` was asked may have one by now.
        unread = Stored(event.revision, event.revision, ttl_ms=0, context=None, left_out=1)
        stored = values.get(key, unread) if event.kind == "put" else None
        version = stored.version if stored else 0
        size = stored.size if stored else 0
        # What is too large is not sent to everyone: who needs it asks.
        value = self._value(key, stored, event.revision)
        is_whole = value.WhichOneof("event") == "entry"
        has_value = is_whole and size <= self._max_push_bytes
        notice = self._invalidated(key, stored, event.revision) if is_whole else value
        # What is broken does not become whole by being read again.
        is_unread = stored is not None and stored.left_out > 0
        is_owed = (has_value or is_unread) and size <= self._max_push_bytes
        for subscription in subscriptions:
            subscription.latest = max(subscription.latest, event.revision)
            # The answer is still to come; or a later version was told: no news.
            if not subscription.is_told or (subscription.told or 0) >= event.revision:
                continue
            outbox = subscription.outbox
            if subscription.is_owed and is_owed:
                outbox.supersede(size)
                continue
            if has_value and outbox.has_room(size):
                subscription.tell(version)
                outbox.put(value, is_value=True)
            else:
                subscription.tell(version, is_owed=is_owed)
                waiting = self.requests.of(subscription)
                if is_owed and not waiting:
                    self.requests.add(subscription, FOLLOW_UP)
                elif not is_owed and waiting and waiting.asked is FOLLOW_UP:
                    self.requests.remove(subscription)
                outbox.put(notice)
            yield outbox

    def _tell_floor(self, event: Event) -> Iterator[Outbox]:
        tenant = TenantSelector(tenant_id=event.tenant_id, scope=event.scope)
        invalidated = Invalidated(tenant=tenant, revision=event.revision, partition=self.partition)
        message = WatchResponse(invalidated=invalidated)
        told: set[Outbox] = set()
        for key in self._by_tenant.get(event.tenant_id, ()):
            if event.scope not in ("", key.scope):
                continue
            for subscription in self._of(key):
                subscription.latest = max(subscription.latest, event.revision)
                if not subscription.is_told:
                    continue
                if (subscription.told or 0) <= event.revision:
                    subscription.tell(0)
                if subscription.outbox not in told:
                    told.add(subscription.outbox)
                    subscription.outbox.put(message)
                    yield subscription.outbox

    def _of(self, key: Key) -> Collection[Subscription]:
        return self._by_key[key].values() if key in self._by_key else ()

    def _value(self, key: Key, stored: Stored | None, revision: int) -> WatchResponse:
        if stored is not None and not stored.left_out:
            with suppress(StoreError):  # what is broken is asked for, and that ends with an error
                entry = self._entries.serialized(key, self.partition, stored, body=True)
                return OpaqueResponse(entry=entry)
        return self._invalidated(key, stored, revision)

    def _invalidated(self, key: Key, stored: Stored | None, revision: int) -> WatchResponse:
        if stored and stored.version > 0:
            revision = stored.version - 1
        invalidated = Invalidated(
            key=ContextKey(scope=key.scope, tenant_id=key.tenant_id, id=key.id),
            revision=revision,
            partition=self.partition,
            is_changed=stored is not None,
        )
        return WatchResponse(invalidated=invalidated)


def _remove(sets: dict[Any, set[Key]], name: object, key: Key) -> None:
    """Take a key out of a set, and the set away where it was the last."""
    sets[name].discard(key)
    if not sets[name]:
        del sets[name]
