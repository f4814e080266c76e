"""Who subscribed to what in one partition, and what each of them is to be told.

No I/O and no clock. The invariants that it keeps, for each stream and each key:

- Every event after the revision that an answer was as of is told after the answer.
- An answer that an event has overtaken is never told: it is asked for again.
- Progress is told after everything up to it, and only when the log was looked at.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from relevo.v1.context_pb2 import ContextKey
from relevo.v1.store_pb2 import Invalidated, ResetReason, TenantSelector, WatchResponse

from relevo_server.entries import Entries
from relevo_server.errors import StoreError
from relevo_server.keys import Key
from relevo_server.storage.interface import Event, Gap, Stored
from relevo_server.watching.outbox import Outbox
from relevo_server.wire import WatchResponse as OpaqueResponse

_REASONS = {
    Gap.TRIMMED: ResetReason.RESET_REASON_LOG_TRIMMED,
    Gap.CHANGED: ResetReason.RESET_REASON_ORDER_CHANGED,
}


class Asked(NamedTuple):
    """A Subscribe: its number, the version that the client has, and its position."""

    number: int
    known: int
    position: int


class Look(NamedTuple):
    """A look at the log: what there was before it."""

    position: int | None
    seen: Sequence[int]
    """Revisions as of which something was told, and that the log has still to show."""
    pings: Mapping[Outbox, int]
    """The pings that had arrived."""


class Subscription:
    """A stream's interest in a key."""

    def __init__(self, outbox: Outbox, key: Key) -> None:
        self.outbox = outbox
        self.key = key
        self.latest = 0
        """The last event about the key."""
        self.told: int | None = None
        """The version that was told last, 0 for none; None before the answer."""


class Fanout:
    """The subscriptions of one partition."""

    def __init__(self, partition: int, entries: Entries, max_push_bytes: int) -> None:
        self.partition = partition
        self.position: int | None = None
        """Everything up to this revision is told; None before the log was looked at."""
        self.resets = 0
        """How often the order was lost: what was read before is of another one."""
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
        _remove(self._by_outbox, outbox, key)
        if outbox not in self._by_outbox:
            self._unconfirmed.discard(outbox)
            outbox.partitions.discard(self.partition)
        del self._by_key[key][outbox]
        if not self._by_key[key]:
            del self._by_key[key]
            _remove(self._by_tenant, key.tenant_id, key)

    def drop(self, outbox: Outbox) -> None:
        """End all subscriptions of a stream."""
        for key in list(self._by_outbox.get(outbox, ())):
            self.unsubscribe(outbox, key)

    def answer(
        self, subscription: Subscription, asked: Asked, stored: Stored | None, revision: int
    ) -> bool:
        """Tell the value as of a revision. False where it was overtaken: read it again."""
        key, outbox = subscription.key, subscription.outbox
        if self._by_key.get(key, {}).get(outbox) is not subscription:
            return True  # ended, and perhaps begun anew
        if revision < subscription.latest:
            return False
        if revision < asked.position:
            outbox.reset(self.partition, ResetReason.RESET_REASON_ORDER_CHANGED)
        self._seen.add(revision)
        message = self._value(key, stored, revision, limit=None)
        message.answers = asked.number
        outbox.put(message)
        subscription.told = stored.version if stored else 0
        if self.position is not None:
            outbox.progress(self.partition, self.position, 0, soon=True)
        return True

    def wanted(self, events: Iterable[Event]) -> list[Key]:
        """The keys whose values are to be read before these events are told."""
        put = dict.fromkeys(event.key for event in events if event.key and event.kind == "put")
        return [key for key in put if key in self._by_key]

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
    ) -> None:
        """Tell the events that a look has found, in order.

        `values` has what `wanted` asked for, as it was at `revisions`, after the events.
        """
        self._prove(look)
        self._seen.update(revisions)
        outboxes: set[Outbox] = set()
        for event in events:
            outboxes.update(self._tell(event, values))
        self.position = events[-1].revision
        for outbox in self._by_outbox:
            soon = outbox in outboxes
            outbox.progress(self.partition, self.position, look.pings.get(outbox, 0), soon=soon)

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
        if key is None or event.kind == "release":
            return
        message: WatchResponse | None = None
        stored = values.get(key) if event.kind == "put" else None
        for subscription in self._by_key.get(key, {}).values():
            subscription.latest = max(subscription.latest, event.revision)
            told = subscription.told
            # None: the answer is still to come. A later version was told: no news.
            if told is None or told >= event.revision:
                continue
            limit = self._max_push_bytes
            message = message or self._value(key, stored, event.revision, limit=limit)
            subscription.told = stored.version if stored else 0
            subscription.outbox.put(message)
            yield subscription.outbox

    def _tell_floor(self, event: Event) -> Iterator[Outbox]:
        tenant = TenantSelector(tenant_id=event.tenant_id, scope=event.scope)
        invalidated = Invalidated(tenant=tenant, revision=event.revision, partition=self.partition)
        message = WatchResponse(invalidated=invalidated)
        told: set[Outbox] = set()
        for key in self._by_tenant.get(event.tenant_id, ()):
            if event.scope not in ("", key.scope):
                continue
            for subscription in self._by_key[key].values():
                subscription.latest = max(subscription.latest, event.revision)
                if subscription.told is None:
                    continue
                if subscription.told <= event.revision:
                    subscription.told = 0
                if subscription.outbox not in told:
                    told.add(subscription.outbox)
                    subscription.outbox.put(message)
                    yield subscription.outbox

    def _value(
        self, key: Key, stored: Stored | None, revision: int, *, limit: int | None
    ) -> WatchResponse:
        if stored is not None:
            # What is too large, or broken, is not sent to everyone: who needs it asks.
            revision = stored.version - 1
            with suppress(StoreError):
                if limit is None or len(stored.context or b"") <= limit:
                    entry = self._entries.serialized(key, self.partition, stored, body=True)
                    return OpaqueResponse(entry=entry)
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
