"""The messages that wait to be sent on one stream, at most one event for each key.

No I/O and no clock. An event (a message about a key that answers no Subscribe) takes the place of
the event about its key that still waits: whoever reads slowly gets the newest value, and not each
one in between. The watcher sees what it would see if the server had read the value later: a value
may be ahead of the positions that come after it, and is never behind one. Three things are never
replaced, and nothing before them by what comes after them:

- An answer, for its key: an event may not overtake the answer that it follows (N3).
- A reset, for all keys: what comes after it may be of another order of events.
- What is about no key: floors and progress. An event that takes a place before a floor survives
  it, as its version is greater.
"""

from collections import deque
from collections.abc import Set as AbstractSet

from relevo_server.event_log.messages import Message
from relevo_server.keys import Key


class _Waiting:
    """A place in the queue."""

    __slots__ = ("message", "since")

    def __init__(self, message: Message, since: float) -> None:
        self.message = message
        self.since = since


class MessageQueue:
    """A queue of messages, with the bytes that they take."""

    def __init__(self) -> None:
        self.values = 0
        """Bytes of the values that wait."""
        self.news = 0
        """Bytes of all other messages that wait."""
        self._places = deque[_Waiting]()
        self._events: dict[Key, _Waiting] = {}  # the places that newer events may take

    def __len__(self) -> int:
        return len(self._places)

    @property
    def since(self) -> float | None:
        """The time since which the first place has waited, None if the queue is empty."""
        return self._places[0].since if self._places else None

    @property
    def next_size(self) -> int:
        """The bytes of the first message. There must be one."""
        return len(self._places[0].message.body)

    def value_of(self, key: Key) -> int:
        """The bytes of the value whose place a newer event about this key takes, 0 if none."""
        place = self._events.get(key)
        return len(place.message.body) if place and place.message.is_value else 0

    def replace(self, message: Message) -> int | None:
        """Let an event take the place of an older one. Returns the bytes that this one took.

        None if there is none: then the message must be appended.
        """
        if message.answers or message.key is None:
            return None
        place = self._events.get(message.key)
        if place is None:
            return None
        replaced, place.message = place.message, message
        self._count(replaced, -1)
        self._count(message, 1)
        return len(replaced.body)

    def append(self, message: Message, now: float) -> None:
        """Add a message at the end."""
        place = _Waiting(message, now)
        self._places.append(place)
        self._count(message, 1)
        if message.key is None:
            return
        if message.answers:
            self._events.pop(message.key, None)
        else:
            self._events[message.key] = place

    def seal(self) -> None:
        """Let no later event take the place of one that waits now."""
        self._events.clear()

    def pop(self) -> Message:
        """Remove and return the first message."""
        place = self._places.popleft()
        message = place.message
        self._count(message, -1)
        if message.key is not None and self._events.get(message.key) is place:
            del self._events[message.key]
        return message

    def remove(self, keys: AbstractSet[Key]) -> list[Message]:
        """Remove and return the messages about these keys."""
        removed: list[Message] = []
        places, self._places = self._places, deque[_Waiting]()
        for place in places:
            if place.message.key in keys:
                self._count(place.message, -1)
                removed.append(place.message)
            else:
                self._places.append(place)
        for key in keys:
            self._events.pop(key, None)
        return removed

    def clear(self) -> None:
        """Remove all messages."""
        self._places.clear()
        self._events.clear()
        self.values = self.news = 0

    def _count(self, message: Message, sign: int) -> None:
        if message.is_value:
            self.values += sign * len(message.body)
        else:
            self.news += sign * len(message.body)
