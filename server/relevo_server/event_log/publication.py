"""Events on their way to the streams that they concern, in bounded steps.

No I/O and no clock. Streams are told one after the other, each of all events in their order and
then of its progress. So whoever was told is up to date, and others may be told later: between two
steps, other calls go on, streams subscribe and end, and answers are sent.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from relevo_server.event_log.messages import Message
from relevo_server.event_log.outbox import Outbox
from relevo_server.event_log.subscribers import Subscribers
from relevo_server.event_log.subscriptions import FOLLOW_UP, Requests, Subscription
from relevo_server.keys import Key

STREAMS_TOGETHER = 16
"""Streams that one step tells of events: each wakes up then, and has gRPC send a message."""
_LOOKED_AT_TOGETHER = 512
"""Streams that one step looks at, whether there is something to tell or not."""


class Change(NamedTuple):
    """An event about a key, with what streams are told of it."""

    key: Key
    revision: int
    version: int
    """The entry's version, 0 for no entry."""
    size: int
    """The bytes of its context."""
    value: Message | None
    """The entry. None if there is none, or if it is not sent along."""
    notice: Message
    """The end of earlier versions: for streams without room, and if there is no value."""
    owes_value: bool
    """Whether the value has to follow if it is not sent along."""


class Floor(NamedTuple):
    """The end of all entries of a tenant, or of one of its scopes."""

    tenant_id: str
    scope: str
    message: Message


class Report(Protocol):
    """Reports to a stream that it has been told everything, and answers its ping."""

    def __call__(self, outbox: Outbox, *, soon: bool) -> None:
        """Report at once if `soon`, else with the next message."""


class Publication:
    """Changes and floors that are being published, and `pings` to answer at their end."""

    def __init__(
        self,
        events: Sequence[Change | Floor],
        pings: Mapping[Outbox, int],
        report: Report,
        subscribers: Subscribers,
        requests: Requests,
    ) -> None:
        self.messages = 0
        """Messages about events so far, one for each stream that an event concerns."""
        self._events = events
        self._pings = pings
        self._report = report
        self._subscribers = subscribers
        self._requests = requests
        self._told: set[Outbox] = set()

    def steps(self, streams_together: int) -> Iterator[None]:
        """Publish in steps, one for each `next`: at most this many streams are told in one."""
        looked_at, last = 0, 0
        for outbox in self._streams():
            looked_at += 1
            if self._tell_all(outbox):
                self._report(outbox, soon=True)
                self._told.add(outbox)
            if len(self._told) - last >= streams_together or looked_at >= _LOOKED_AT_TOGETHER:
                looked_at, last = 0, len(self._told)
                yield
        for number, (outbox, ping) in enumerate(self._pings.items(), start=1):
            # Who left meanwhile has no progress in this partition any more.
            if ping and outbox not in self._told and outbox in self._subscribers.keys:
                self._report(outbox, soon=False)
            if number % _LOOKED_AT_TOGETHER == 0:
                yield

    def _streams(self) -> Iterator[Outbox]:
        """The streams that an event may concern, each once."""
        seen: set[Outbox] = set()
        for event in self._events:
            for streams in self._of(event):
                for outbox in list(streams):  # some may end between two steps
                    if outbox not in seen:
                        seen.add(outbox)
                        yield outbox

    def _of(self, event: Change | Floor) -> Iterator[Collection[Outbox]]:
        if isinstance(event, Change):
            yield self._subscribers.of(event.key)
        else:
            yield from self._subscribers.of_tenant(event.tenant_id, event.scope)

    def _tell_all(self, outbox: Outbox) -> bool:
        """Tell a stream of all events that concern it. Returns whether there was one."""
        number = 0
        for event in self._events:
            if isinstance(event, Floor):
                number += self._tell_floor(outbox, event)
            elif subscription := self._subscribers.get(outbox, event.key):
                number += self._tell(subscription, event)
        self.messages += number
        return number > 0

    def _tell_floor(self, outbox: Outbox, floor: Floor) -> bool:
        subscribers = self._subscribers
        concerned = subscribers.of_tenant(floor.tenant_id, floor.scope)
        if not subscribers.is_answered(outbox) or not any(outbox in each for each in concerned):
            return False
        outbox.put(floor.message)
        return True

    def _tell(self, subscription: Subscription, change: Change) -> bool:
        outbox, sent = subscription.outbox, subscription.sent_version or 0
        log_resets = self._subscribers.resets
        # No news: the answer is still to come, or a later version was sent.
        if not subscription.is_answered(log_resets) or sent >= change.revision:
            return False
        owes_value = change.owes_value
        if subscription.owes_value and owes_value and sent > self._subscribers.floor(change.key):
            outbox.supersede(change.size)
            return False
        if change.value and outbox.has_room(change.size, change.key):
            subscription.record_sent(change.version, log_resets)
            outbox.put(change.value)
            return True
        subscription.record_sent(change.version, log_resets, owes_value=owes_value)
        waiting = self._requests.of(subscription)
        if owes_value and not waiting:
            self._requests.add(subscription, FOLLOW_UP)
        elif not owes_value and waiting and waiting.args is FOLLOW_UP:
            self._requests.remove(subscription)
        outbox.put(change.notice)
        return True
