"""Publishes one partition's events and answers to the streams that subscribe to them.

No I/O and no clock. Its invariants, for each stream and each key:

- Every event after the revision of an answer is published after the answer.
- An answer that an event has overtaken is never sent: the entry is read again (N3).
- A change is published at once. If there is no room for its value, the value follows once there
  is, as an answer does; of several changes in between only the newest value is sent.
- Progress follows everything up to its revision, and needs a poll of the log (N2, N5).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from relevo.v1.store_pb2 import ResetReason

from relevo_server.event_log.messages import Messages
from relevo_server.event_log.outbox import Outbox
from relevo_server.event_log.proofs import LogPoll, Proofs
from relevo_server.event_log.publication import STREAMS_TOGETHER, Change, Floor, Publication
from relevo_server.event_log.subscribers import Subscribers
from relevo_server.event_log.subscriptions import Requests, SubscribeArgs, Subscription
from relevo_server.keys import Key
from relevo_server.storage.events import Event, Gap
from relevo_server.storage.interface import Stored
from relevo_server.wire.entries import Entries
from relevo_server.wire.pushes import Place

_REASONS = {
    Gap.TRIMMED: ResetReason.RESET_REASON_LOG_TRIMMED,
    Gap.CHANGED: ResetReason.RESET_REASON_ORDER_CHANGED,
}


class Fanout:
    """The subscriptions of one partition.

    One step of `publish` tells `streams_together` streams.
    """

    def __init__(
        self,
        partition: int,
        entries: Entries,
        max_push_bytes: int,
        streams_together: int = STREAMS_TOGETHER,
    ) -> None:
        self.partition = partition
        self.position: int | None = None
        """Everything up to this revision is published; None before the first poll."""
        self.messages = 0
        """Messages about events so far, one for each stream that an event concerned."""
        self.requests = Requests()
        """The requests that wait for their answers."""
        self._messages = Messages(partition, entries)
        self._max_push_bytes = max_push_bytes
        self._streams_together = streams_together
        self._subscribers = Subscribers()
        self._proofs = Proofs(partition)
        self._seen: set[int] = set()

    @property
    def resets(self) -> int:
        """The number of resets. A read from before a reset answers nothing after it."""
        return self._subscribers.resets

    @property
    def sign(self) -> Place:
        """The partition's sign of life for all streams: its position, and as of when that was."""
        return self._proofs.sign(self.position or 0)

    @property
    def keys(self) -> Mapping[Outbox, Collection[Key]]:
        """The keys that each stream subscribes to."""
        return self._subscribers.keys

    def subscribe(self, outbox: Outbox, key: Key) -> Subscription:
        """The subscription of a stream to a key, added if there is none.

        Must be followed by `answer`.
        """
        subscription = self._subscribers.get(outbox, key)
        if subscription:
            return subscription
        if outbox not in self.keys:
            self._proofs.join(outbox)
            outbox.partitions.add(self.partition)
        return self._subscribers.add(outbox, key)

    def unsubscribe(self, outbox: Outbox, key: Key) -> int:
        """End a subscription, if there is one.

        Returns the number of its Subscribe that is not answered, 0 if there is none.
        """
        subscription = self._subscribers.remove(outbox, key)
        if subscription is None:
            return 0
        request = self.requests.of(subscription)
        self.requests.remove(subscription)
        if outbox not in self.keys:
            self._leave(outbox)
        return request.args.number if request else 0

    def drop(self, outbox: Outbox) -> None:
        """End all subscriptions and requests of a stream."""
        self.requests.drop(outbox)
        for key in list(self.keys.get(outbox, ())):
            self.unsubscribe(outbox, key)
        self._leave(outbox)

    def answer(
        self, subscription: Subscription, args: SubscribeArgs, stored: Stored | None, revision: int
    ) -> bool:
        """Send the value as of a revision. False if an event overtook it: read it again."""
        key, outbox = subscription.key, subscription.outbox
        if self._subscribers.get(outbox, key) is not subscription:
            return True  # ended; there may be a new subscription in its place
        if not args.number and not self._owes_value(subscription):
            return True  # a follow-up whose entry ended, or whose stream was reset
        if revision < self._subscribers.latest(key):
            return False
        if revision < args.position:
            outbox.reset(self.partition, ResetReason.RESET_REASON_ORDER_CHANGED)
        self._seen.add(revision)
        subscription.record_sent(stored.version if stored else 0, self.resets)
        self._subscribers.record_answer(outbox)
        outbox.put(self._messages.answer(key, stored, revision, args.number))
        if self.position is not None:
            self._proofs.report(outbox, self.position, soon=True)
        return True

    def expect(self, outbox: Outbox) -> None:
        """Report the next proof to a stream of the partition at once: it has pinged."""
        if outbox in self.keys:
            self._proofs.expect(outbox)

    def record_read(self, revision: int) -> None:
        """Record the revision of a read: polls look for it from now on."""
        self._seen.add(revision)

    def keys_to_read(self, events: Iterable[Event]) -> list[Key]:
        """The keys whose values must be read before these events are published."""
        put = dict.fromkeys(event.key for event in events if event.key and event.kind == "put")
        return [key for key in put if self._has_answered(key)]

    def begin_poll(self, time: int = 0) -> LogPoll:
        """The state with which to poll the log now, at this time of the server."""
        return LogPoll(self.position, sorted(self._seen), self._proofs.pings(), time)

    def publish(
        self,
        events: Sequence[Event],
        values: Mapping[Key, Stored | None],
        revisions: Iterable[int],
        poll: LogPoll,
        *,
        is_complete: bool = True,
    ) -> Iterator[None]:
        """Publish the events that a poll returned, in order, in bounded steps.

        Each `next` of the iterator is a step, the last one ends it. Until then there must be no
        other publication or reset. An iterator that is given up has published some of the events
        to some of the streams: to publish them again tells the others.

        Args:
            events: at least one event.
            values: the entries of `keys_to_read`, read after the events. An entry above the
                limit of pushed bytes, or of one read, has no context.
            revisions: the revisions as of which `values` were read.
            poll: the poll's state.
            is_complete: whether the log had no later events. If so, the poll is a proof (N2).

        """
        self._forget_shown(poll)
        self._seen.update(revisions)
        pings: Mapping[Outbox, int] = poll.pings if is_complete else {}
        revision, time = events[-1].revision, poll.time if is_complete else 0

        def report(outbox: Outbox, *, soon: bool) -> None:
            # Whoever was told everything has the poll's proof, whether others were told or not.
            self._proofs.report(outbox, revision, pings.get(outbox, 0), time, soon=soon)

        publication = Publication(
            self._changes(events, values), pings, report, self._subscribers, self.requests
        )
        for _ in publication.steps(self._streams_together):
            yield
        self.messages += publication.messages
        self.position = revision
        if is_complete:
            self._proofs.prove(poll.time)
        self._proofs.report_first(revision)

    def confirm(self, poll: LogPoll) -> None:
        """Report progress after a poll that returned no events: it is a proof (N2)."""
        self._forget_shown(poll)
        if self.position is not None:
            self._proofs.prove(poll.time)
            self._proofs.report_poll(self.position, poll.pings)

    def confirm_read(self, poll: LogPoll, revision: int) -> None:
        """Record that a read as of this revision is a proof too, if it is: that saves a poll (N2).

        It is if the log had no event after the poll's position, which the read has looked for. If
        another revision was seen and not shown yet, only a poll tells whether it was lost.
        """
        if revision == poll.position and not {*poll.seen} - {revision}:
            self._proofs.prove(poll.time)

    def report_first(self) -> bool:
        """Report the last proof to new streams that wait for one. Returns whether others wait."""
        self._proofs.report_first(self.position or 0)
        return self._proofs.has_unconfirmed

    def reset(self, revision: int, gap: Gap) -> None:
        """Continue from a revision after a gap in the log, and reset the partition's streams."""
        self.position = revision
        self._seen.clear()
        # Earlier reads answer nothing any more; clients subscribe again.
        self._subscribers.reset(revision)
        for outbox in self.keys:
            outbox.reset(self.partition, _REASONS[gap])

    def _forget_shown(self, poll: LogPoll) -> None:
        """Forget the seen revisions up to the poll's position: the log has shown both.

        Values may be read ahead of the position, and a failover may lose just these writes: the
        log then continues from the position without a gap, even past a late answer.
        """
        self._seen.difference_update(each for each in poll.seen if each <= (poll.position or 0))

    def _changes(
        self, events: Iterable[Event], values: Mapping[Key, Stored | None]
    ) -> Sequence[Change | Floor]:
        """What the streams are told of events, which are recorded for the answers to come."""
        changes: list[Change | Floor] = []
        last: dict[Key, tuple[int, Change]] = {}  # the last change of a key, and its place
        for event in events:
            key = event.key
            if event.kind == "floor":
                self._subscribers.record_floor(event.tenant_id, event.scope, event.revision)
                changes.append(Floor(event.tenant_id, event.scope, self._messages.floor(event)))
            elif key and event.kind in {"put", "invalidate"} and self._subscribers.of(key):
                self._subscribers.record_change(key, event.revision)
                place, before = last.get(key, (0, None))
                if before and before.version >= event.revision:
                    # The value that was read is of this event or a later one.
                    change = before._replace(revision=event.revision)
                    changes[place] = change
                else:
                    place, change = len(changes), self._change(event, key, values)
                    changes.append(change)
                last[key] = place, change
        return changes

    def _change(self, event: Event, key: Key, values: Mapping[Key, Stored | None]) -> Change:
        # A subscription that had no answer when `keys_to_read` was called may have one by now.
        unread = Stored(event.revision, event.revision, ttl_ms=0, context=None, left_out=1)
        stored = values.get(key, unread) if event.kind == "put" else None
        size = stored.size if stored else 0
        # Too large a value is not pushed: a client that needs it reads it from the store.
        is_small = size <= self._max_push_bytes
        value = self._messages.entry(key, stored) if is_small else None
        # A broken record stays broken when it is read again.
        is_unread = stored is not None and stored.left_out > 0
        return Change(
            key,
            event.revision,
            stored.version if stored else 0,
            size,
            value,
            notice=self._messages.ended(key, stored, event.revision),
            owes_value=is_small and (value is not None or is_unread),
        )

    def _owes_value(self, subscription: Subscription) -> bool:
        """Whether a value is to follow, which nothing has ended since."""
        sent = subscription.sent_version or 0
        is_owed = subscription.owes_value and subscription.is_answered(self.resets)
        return is_owed and sent > self._subscribers.floor(subscription.key)

    def _has_answered(self, key: Key) -> bool:
        subscriptions = self._subscribers.of(key).values()
        return any(each.is_answered(self.resets) for each in subscriptions)

    def _leave(self, outbox: Outbox) -> None:
        """Record that a stream has no subscriptions in the partition."""
        self._proofs.leave(outbox)
        outbox.partitions.discard(self.partition)
