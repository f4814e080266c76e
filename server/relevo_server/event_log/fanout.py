"""Publishes one partition's events and answers to the streams that subscribe to them.

No I/O and no clock. Its invariants, for each stream and each key:

- Every event after the revision of an answer is published after the answer.
- An answer that an event has overtaken is never sent: the entry is read again (N3).
- A change is published at once. If there is no room for its value, the value follows once there
  is, as an answer does; of several changes in between only the newest value is sent.
- Progress follows everything up to its revision, and needs a poll of the log (N2, N5).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from relevo.v1.store_pb2 import ResetReason

from relevo_server.event_log.messages import Messages
from relevo_server.event_log.outbox import Outbox
from relevo_server.event_log.subscriptions import FOLLOW_UP, Requests, SubscribeArgs, Subscription
from relevo_server.keys import Key
from relevo_server.storage.events import Event, Gap
from relevo_server.storage.interface import Stored
from relevo_server.wire.entries import Entries

_REASONS = {
    Gap.TRIMMED: ResetReason.RESET_REASON_LOG_TRIMMED,
    Gap.CHANGED: ResetReason.RESET_REASON_ORDER_CHANGED,
}


class LogPoll(NamedTuple):
    """The state of a fan-out at the start of a poll of the log."""

    position: int | None
    """The revision after which to poll; None for the first poll."""
    seen: Sequence[int]
    """Revisions of published values that the log has not shown yet."""
    pings: Mapping[Outbox, int]
    """The last ping that had arrived on each stream."""


class Fanout:
    """The subscriptions of one partition."""

    def __init__(self, partition: int, entries: Entries, max_push_bytes: int) -> None:
        self.partition = partition
        self.position: int | None = None
        """Everything up to this revision is published; None before the first poll."""
        self.resets = 0
        """The number of resets. A read from before a reset answers nothing after it."""
        self.requests = Requests()
        """The requests that wait for their answers."""
        self._messages = Messages(partition, entries)
        self._max_push_bytes = max_push_bytes
        self._by_key: defaultdict[Key, dict[Outbox, Subscription]] = defaultdict(dict)
        self._by_tenant: defaultdict[str, set[Key]] = defaultdict(set)
        self._by_outbox: defaultdict[Outbox, set[Key]] = defaultdict(set)
        self._unconfirmed: set[Outbox] = set()
        self._declined: set[Outbox] = set()
        self._seen: set[int] = set()

    @property
    def has_unconfirmed(self) -> bool:
        """Whether a new stream still waits for the first answered ping of this partition."""
        return bool(self._unconfirmed)

    @property
    def keys(self) -> Mapping[Outbox, Collection[Key]]:
        """The keys that each stream subscribes to."""
        return self._by_outbox

    def subscribe(self, outbox: Outbox, key: Key) -> Subscription:
        """The subscription of a stream to a key, added if there is none.

        Must be followed by `answer`.
        """
        subscription = self._by_key[key].get(outbox)
        if subscription:
            return subscription
        subscription = self._by_key[key][outbox] = Subscription(outbox, key)
        self._by_tenant[key.tenant_id].add(key)
        self._join(outbox).add(key)
        return subscription

    def decline(self, outbox: Outbox, key: Key, number: int) -> None:
        """Answer a Subscribe so that the client asks the store for the entry each time.

        The stream gets the partition's progress nevertheless: it must know that it lives.
        """
        self._join(outbox)
        self._declined.add(outbox)
        outbox.put(self._messages.changed(key, number))
        if self.position is not None:
            outbox.progress(self.partition, self.position, 0, soon=True)

    def unsubscribe(self, outbox: Outbox, key: Key) -> None:
        """End a subscription, if there is one."""
        if key not in self._by_outbox.get(outbox, ()):
            return
        self.requests.remove(self._by_key[key][outbox])
        self._by_outbox[outbox].discard(key)
        self._leave(outbox)
        del self._by_key[key][outbox]
        if not self._by_key[key]:
            del self._by_key[key]
            keys = self._by_tenant[key.tenant_id]
            keys.discard(key)
            if not keys:
                del self._by_tenant[key.tenant_id]

    def drop(self, outbox: Outbox) -> None:
        """End all subscriptions and requests of a stream."""
        self.requests.drop(outbox)
        for key in list(self._by_outbox.get(outbox, ())):
            self.unsubscribe(outbox, key)
        self._declined.discard(outbox)
        self._leave(outbox)

    def answer(
        self, subscription: Subscription, args: SubscribeArgs, stored: Stored | None, revision: int
    ) -> bool:
        """Send the value as of a revision. False if an event overtook it: read it again."""
        key, outbox = subscription.key, subscription.outbox
        if self._by_key.get(key, {}).get(outbox) is not subscription:
            return True  # ended; there may be a new subscription in its place
        if not args.number and not (subscription.owes_value and subscription.is_answered):
            return True  # a follow-up whose entry ended, or whose stream was reset
        if revision < subscription.latest:
            return False
        if revision < args.position:
            outbox.reset(self.partition, ResetReason.RESET_REASON_ORDER_CHANGED)
        self._seen.add(revision)
        message = self._messages.value(key, stored, revision)
        message.answers = args.number
        outbox.put(message, is_value=True)
        subscription.record_sent(stored.version if stored else 0)
        if self.position is not None:
            outbox.progress(self.partition, self.position, 0, soon=True)
        return True

    def record_read(self, revision: int) -> None:
        """Record the revision of a read: polls look for it from now on."""
        self._seen.add(revision)

    def keys_to_read(self, events: Iterable[Event]) -> list[Key]:
        """The keys whose values must be read before these events are published."""
        put = dict.fromkeys(event.key for event in events if event.key and event.kind == "put")
        return [key for key in put if any(each.is_answered for each in self._of(key))]

    def begin_poll(self) -> LogPoll:
        """The state with which to poll the log now."""
        pings = {each: each.ping for each in self._by_outbox}
        return LogPoll(self.position, sorted(self._seen), pings)

    def publish(
        self,
        events: Sequence[Event],
        values: Mapping[Key, Stored | None],
        revisions: Iterable[int],
        poll: LogPoll,
        *,
        is_complete: bool = True,
    ) -> int:
        """Publish the events that a poll returned, in order.

        Returns the number of messages about them, one for each stream that an event concerns.

        Args:
            events: at least one event.
            values: the entries of `keys_to_read`, read after the events. An entry above the
                limit of pushed bytes, or of one read, has no context.
            revisions: the revisions as of which `values` were read.
            poll: the poll's state.
            is_complete: whether the log had no later events. If so, pings are answered (N2).

        """
        self._forget_shown(poll)
        self._seen.update(revisions)
        published = [outbox for event in events for outbox in self._publish_event(event, values)]
        outboxes = set(published)
        self.position = events[-1].revision
        for outbox in self._by_outbox:
            soon = outbox in outboxes
            ping = poll.pings.get(outbox, 0) if is_complete else 0
            outbox.progress(self.partition, self.position, ping, soon=soon)
        return len(published)

    def confirm(self, poll: LogPoll) -> None:
        """Report progress after a poll that returned no events, and answer its pings."""
        self._forget_shown(poll)
        if self.position is not None:
            for outbox in self._by_outbox:
                ping = poll.pings.get(outbox, 0)
                # A client cannot use its cached entries before its first ping is answered.
                soon = ping > 0 and outbox in self._unconfirmed
                if soon:
                    self._unconfirmed.remove(outbox)
                outbox.progress(self.partition, self.position, ping, soon=soon)

    def reset(self, revision: int, gap: Gap) -> None:
        """Continue from a revision after a gap in the log, and reset the partition's streams."""
        self.position = revision
        self._seen.clear()
        self.resets += 1
        for outbox in self._by_outbox:
            outbox.reset(self.partition, _REASONS[gap])
        for found in self._by_key.values():
            for subscription in found.values():
                # Earlier reads answer nothing any more; clients subscribe again.
                subscription.latest, subscription.sent_version = revision, None

    def _forget_shown(self, poll: LogPoll) -> None:
        """Forget the seen revisions up to the poll's position: the log has shown both.

        Values may be read ahead of the position, and a failover may lose just these writes: the
        log then continues from the position without a gap, even past a late answer.
        """
        self._seen.difference_update(each for each in poll.seen if each <= (poll.position or 0))

    def _publish_event(self, event: Event, values: Mapping[Key, Stored | None]) -> Iterator[Outbox]:
        if event.kind == "floor":
            yield from self._publish_floor(event)
            return
        key = event.key
        subscriptions = self._of(key) if key and event.kind != "release" else ()
        if not key or not subscriptions:
            return
        # A subscription that had no answer when `keys_to_read` was called may have one by now.
        unread = Stored(event.revision, event.revision, ttl_ms=0, context=None, left_out=1)
        stored = values.get(key, unread) if event.kind == "put" else None
        version = stored.version if stored else 0
        size = stored.size if stored else 0
        # Too large a value is not pushed: a client that needs it reads it from the store.
        value = self._messages.value(key, stored, event.revision)
        is_whole = value.WhichOneof("event") == "entry"
        has_value = is_whole and size <= self._max_push_bytes
        notice = self._messages.invalidated(key, stored, event.revision) if is_whole else value
        # A broken record stays broken when it is read again.
        is_unread = stored is not None and stored.left_out > 0
        owes_value = (has_value or is_unread) and size <= self._max_push_bytes
        for subscription in subscriptions:
            subscription.latest = max(subscription.latest, event.revision)
            # No news: the answer is still to come, or a later version was sent.
            if not subscription.is_answered or (subscription.sent_version or 0) >= event.revision:
                continue
            outbox = subscription.outbox
            if subscription.owes_value and owes_value:
                outbox.supersede(size)
                continue
            if has_value and outbox.has_room(size):
                subscription.record_sent(version)
                outbox.put(value, is_value=True)
            else:
                subscription.record_sent(version, owes_value=owes_value)
                waiting = self.requests.of(subscription)
                if owes_value and not waiting:
                    self.requests.add(subscription, FOLLOW_UP)
                elif not owes_value and waiting and waiting.args is FOLLOW_UP:
                    self.requests.remove(subscription)
                outbox.put(notice)
            yield outbox

    def _publish_floor(self, event: Event) -> Iterator[Outbox]:
        message = self._messages.floor(event)
        notified: set[Outbox] = set()
        for key in self._by_tenant.get(event.tenant_id, ()):
            if event.scope not in ("", key.scope):
                continue
            for subscription in self._of(key):
                subscription.latest = max(subscription.latest, event.revision)
                if not subscription.is_answered:
                    continue
                if (subscription.sent_version or 0) <= event.revision:
                    subscription.record_sent(0)
                if subscription.outbox not in notified:
                    notified.add(subscription.outbox)
                    subscription.outbox.put(message)
                    yield subscription.outbox

    def _of(self, key: Key) -> Collection[Subscription]:
        return self._by_key[key].values() if key in self._by_key else ()

    def _join(self, outbox: Outbox) -> set[Key]:
        """Give a stream the partition's progress. Returns its keys."""
        if outbox not in self._by_outbox:
            self._unconfirmed.add(outbox)
            outbox.partitions.add(self.partition)
        return self._by_outbox[outbox]

    def _leave(self, outbox: Outbox) -> None:
        """Undo `_join`, if the stream has neither subscriptions nor declined ones."""
        if outbox in self._declined or self._by_outbox.get(outbox):
            return
        self._by_outbox.pop(outbox, None)
        self._unconfirmed.discard(outbox)
        outbox.partitions.discard(self.partition)
