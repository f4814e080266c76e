"""What streams subscribe to, and what they have asked for and not been answered yet.

No I/O and no clock. A request lives with the subscription that it is of: a newer one replaces
it, and it ends with the subscription and with the stream, whoever is about to answer it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from relevo_server.event_log.outbox import Outbox
from relevo_server.keys import Key

_OVERHEAD = 160
"""Bytes of an answer beside its context and its key, at most."""


class Asked(NamedTuple):
    """A Subscribe: its number, the version that the client has, and its position."""

    number: int
    known: int
    position: int


FOLLOW_UP = Asked(0, 0, 0)
"""The request for a value that the stream was only told has changed."""


class Subscription:
    """A stream's interest in a key."""

    def __init__(self, outbox: Outbox, key: Key) -> None:
        self.outbox = outbox
        self.key = key
        self.latest = 0
        """The last event about the key."""
        self.told: int | None = None
        """The version that was told last, 0 for none; None before the answer."""
        self.is_owed = False
        """Whether the stream was told of a change, and its value is still to follow."""
        self._resets = 0

    @property
    def is_told(self) -> bool:
        """Whether events are to be told: there was an answer, and the stream may have read it."""
        return self.told is not None and self._resets == self.outbox.resets

    def tell(self, version: int, *, is_owed: bool = False) -> None:
        """Note what is told."""
        self.told = version
        self.is_owed = is_owed
        self._resets = self.outbox.resets


@dataclass(eq=False, slots=True)
class Request:
    """A Subscribe that waits for its answer. `size` is its context's, once it is known."""

    subscription: Subscription
    asked: Asked
    size: int | None = None

    @property
    def bytes(self) -> int:
        """What the answer takes of the stream's room, as far as its context's size is known."""
        return _OVERHEAD + sum(map(len, self.subscription.key)) + (self.size or 0)


class Requests:
    """The requests of one partition. Streams take turns, so that none waits for a large one.

    A request is first looked at, which says how large its answer is; then it waits for room.
    """

    def __init__(self) -> None:
        self._new: dict[Outbox, dict[Key, Request]] = {}
        self._sized: dict[Outbox, dict[Key, Request]] = {}

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self._new or self._sized)

    def __contains__(self, request: Request) -> bool:
        """Whether it still waits: it has not ended, and no newer one has replaced it."""
        return self.of(request.subscription) is request

    def of(self, subscription: Subscription) -> Request | None:
        """The request that waits for a subscription's answer."""
        for lines in (self._new, self._sized):
            found = lines.get(subscription.outbox, {}).get(subscription.key)
            if found:
                return found
        return None

    def add(self, subscription: Subscription, asked: Asked) -> None:
        """Wait for an answer, in place of an older request of the subscription's."""
        self.remove(subscription)
        self._put(self._new, Request(subscription, asked))

    def resize(self, request: Request, size: int | None) -> None:
        """Note how large the answer's context is; None: that is to be looked at again."""
        if request.size is not None and size is not None:
            request.size = size  # it keeps its place
            return
        self.remove(request.subscription)
        request.size = size
        self._put(self._new if size is None else self._sized, request)

    def remove(self, subscription: Subscription) -> None:
        """Wait no more for a subscription's answer."""
        for lines in (self._new, self._sized):
            line = lines.get(subscription.outbox, {})
            if line.pop(subscription.key, None) and not line:
                del lines[subscription.outbox]

    def drop(self, outbox: Outbox) -> None:
        """Forget all requests of a stream."""
        self._new.pop(outbox, None)
        self._sized.pop(outbox, None)

    def new(self, limit: int, is_taken: Callable[[Request], bool]) -> list[Request]:
        """Requests that are to be looked at."""
        return _in_turn(self._new, limit, is_taken)

    def sized(self, limit: int, is_taken: Callable[[Request], bool]) -> list[Request]:
        """Requests whose answers are to be read."""
        return _in_turn(self._sized, limit, is_taken)

    def first_sized(self, outbox: Outbox) -> Request | None:
        """The first of a stream's requests that waits for room."""
        return next(iter(self._sized.get(outbox, {}).values()), None)

    @staticmethod
    def _put(lines: dict[Outbox, dict[Key, Request]], request: Request) -> None:
        subscription = request.subscription
        lines.setdefault(subscription.outbox, {})[subscription.key] = request


def _in_turn(
    lines: dict[Outbox, dict[Key, Request]], limit: int, is_taken: Callable[[Request], bool]
) -> list[Request]:
    """One request of each stream after the other, until one of its requests is not taken."""
    taken: list[Request] = []
    turns: dict[Outbox, Iterator[Request]] = {}
    offered: list[Outbox] = []
    for outbox, line in lines.items():  # the first round ends as soon as there are enough
        turn = iter(line.values())
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
        lines[outbox] = lines.pop(outbox)  # it is the last to have the next turn
    return taken
