"""Subscriptions of streams, and their requests that are not answered yet.

No I/O and no clock. A subscription has at most one request: a newer one replaces it, and it
ends with its subscription or its stream, even if its answer is being read.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from relevo_server.event_log.outbox import Outbox
from relevo_server.keys import Key

_OVERHEAD = 160
"""The most bytes that an answer has in addition to its context and its key."""


class SubscribeArgs(NamedTuple):
    """The arguments of a Subscribe."""

    number: int
    """The client's number for it, which the answer repeats; 0 in a follow-up."""
    known_version: int
    """The version that the client has, or 0."""
    position: int
    """The client's position in the partition, or 0."""


FOLLOW_UP = SubscribeArgs(0, 0, 0)
"""A request of the server's own: the value of a change that was published without it."""


class Subscription:
    """A stream's subscription to one key."""

    __slots__ = ("_resets", "key", "outbox", "owes_value", "sent_version")

    def __init__(self, outbox: Outbox, key: Key) -> None:
        self.outbox = outbox
        self.key = key
        self.sent_version: int | None = None
        """The version sent last, 0 for no entry; None before the answer."""
        self.owes_value = False
        """Whether that version was published without its value, which is still to follow."""
        self._resets = 0

    def is_answered(self, log_resets: int) -> bool:
        """Whether events are published to it: an answer was sent, and no reset has undone it.

        `log_resets` is the number of resets of the partition's log.
        """
        # Neither of the two numbers goes back, so their sum tells whether one has changed.
        return self.sent_version is not None and self._resets == self.outbox.resets + log_resets

    def record_sent(self, version: int, log_resets: int, *, owes_value: bool = False) -> None:
        """Record the version that is sent, 0 for no entry."""
        self.sent_version = version
        self.owes_value = owes_value
        self._resets = self.outbox.resets + log_resets


@dataclass(eq=False, slots=True)
class Request:
    """A Subscribe that waits for its answer."""

    subscription: Subscription
    args: SubscribeArgs
    size: int | None = None
    """The bytes of the answer's context; None until it is sized."""

    @property
    def bytes(self) -> int:
        """The room in bytes that the answer needs, without its context before it is sized."""
        return _OVERHEAD + sum(map(len, self.subscription.key)) + (self.size or 0)


class Requests:
    """The requests of one partition, in a queue for each stream; streams take turns.

    A request is new until it is sized; then it waits for room.
    """

    def __init__(self) -> None:
        self._new: dict[Outbox, dict[Key, Request]] = {}
        self._sized: dict[Outbox, dict[Key, Request]] = {}

    def __bool__(self) -> bool:
        """Whether there is a request."""
        return bool(self._new or self._sized)

    def __contains__(self, request: Request) -> bool:
        """Whether the request still waits: it has neither ended nor been replaced."""
        return self.of(request.subscription) is request

    def of(self, subscription: Subscription) -> Request | None:
        """The request of a subscription, or None."""
        for queues in (self._new, self._sized):
            found = queues.get(subscription.outbox, {}).get(subscription.key)
            if found:
                return found
        return None

    def add(self, subscription: Subscription, args: SubscribeArgs) -> None:
        """Add a request, which replaces the subscription's older one."""
        self.remove(subscription)
        self._put(self._new, Request(subscription, args))

    def resize(self, request: Request, size: int | None) -> None:
        """Set the bytes of the answer's context; None makes the request new again."""
        if request.size is not None and size is not None:
            request.size = size  # it keeps its place in the queue
            return
        self.remove(request.subscription)
        request.size = size
        self._put(self._new if size is None else self._sized, request)

    def remove(self, subscription: Subscription) -> None:
        """Remove the request of a subscription, if there is one."""
        for queues in (self._new, self._sized):
            queue = queues.get(subscription.outbox, {})
            if queue.pop(subscription.key, None) and not queue:
                del queues[subscription.outbox]

    def drop(self, outbox: Outbox) -> None:
        """Remove all requests of a stream."""
        self._new.pop(outbox, None)
        self._sized.pop(outbox, None)

    def new(self, limit: int, is_taken: Callable[[Request], bool]) -> list[Request]:
        """Up to `limit` new requests that `is_taken` accepts, by turns of the streams."""
        return _in_turn(self._new, limit, is_taken)

    def sized(self, limit: int, is_taken: Callable[[Request], bool]) -> list[Request]:
        """Up to `limit` sized requests that `is_taken` accepts, by turns of the streams."""
        return _in_turn(self._sized, limit, is_taken)

    def first_sized(self, outbox: Outbox) -> Request | None:
        """The first sized request of a stream, or None."""
        return next(iter(self._sized.get(outbox, {}).values()), None)

    @staticmethod
    def _put(queues: dict[Outbox, dict[Key, Request]], request: Request) -> None:
        subscription = request.subscription
        queues.setdefault(subscription.outbox, {})[subscription.key] = request


def _in_turn(
    queues: dict[Outbox, dict[Key, Request]], limit: int, is_taken: Callable[[Request], bool]
) -> list[Request]:
    """One request of each stream per round; a stream's first one not taken ends its turns."""
    taken: list[Request] = []
    turns: dict[Outbox, Iterator[Request]] = {}
    offered: list[Outbox] = []
    for outbox, queue in queues.items():  # the first round ends at the limit
        turn = iter(queue.values())
        first = next(turn)
        offered.append(outbox)
        if is_taken(first):
            turns[outbox] = turn
            taken.append(first)
            if len(taken) == limit:
                break
    while turns and len(taken) < limit:
        for outbox, turn in list(turns.items()):
            request = next(turn, None)
            if request is None or not is_taken(request):
                del turns[outbox]
                continue
            taken.append(request)
            if len(taken) == limit:
                break
    for outbox in offered:
        queues[outbox] = queues.pop(outbox)  # to the end: the other streams go first next time
    return taken
