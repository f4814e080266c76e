"""What a near cache knows: copies, partitions, the stream that is open, and counts."""

from dataclasses import dataclass, field

from relevo.v1.context_pb2 import ContextEntry as EntryMessage
from relevo.v1.store_pb2 import WatchRequest

from relevo_client._keys import ContextKey

ABSENT = 0
"""The version of what is not there."""
LONG_AGO = float("-inf")
UNKNOWN = -1


@dataclass(slots=True, eq=False)
class Copy:
    """What is known of a key."""

    key: ContextKey
    number: int = 0
    """The last Subscribe for it."""
    is_answered: bool = False
    """Whether the stream has answered one since it began, and since the last reset."""
    partition: int = UNKNOWN
    version: int | None = None
    """ABSENT where there is no entry, None where what there is is not known."""
    held: int = ABSENT
    """The version of the last entry that came; it is `version`, unless that is None or ABSENT."""
    size: int = 0
    """Its bytes, serialized."""
    serialized: bytes | None = None
    """That entry, until `value` is made of it; a parsed message is six times as large."""
    has_layers: bool = False
    """Whether it includes others."""
    deadline: float = LONG_AGO
    """When its time to live is over."""
    lifetime: float = 0.0
    """Seconds that it had to live when that was last heard."""
    whole: float = 0.0
    """Seconds that it had to live when it was written."""
    touched: float = LONG_AGO
    renewed: float = LONG_AGO
    """When it was last said to be ageing."""
    value: object = None
    """What the cache's owner has made of the entry, in place of `serialized`."""


@dataclass(slots=True)
class Partition:
    position: int = 0
    as_of: float = LONG_AGO
    """All that was told of it is as of this time, or later."""


@dataclass
class CacheCounts:
    """What a cache has done so far."""

    hits: int = 0
    """Contexts that it had."""
    misses: int = 0
    """Contexts for which the store was asked."""
    pushes: int = 0
    """News that came by itself: new values of entries, and ends."""
    evictions: int = 0
    """Entries that were dropped for want of room."""


@dataclass
class Stream:
    """The stream that is open, or none, and what is to be asked on it."""

    opened: float | None = None
    number: int = 0
    """Of the last Subscribe or Ping, on this or an earlier stream."""
    heard: float = LONG_AGO
    """When it was last known to answer."""
    answered: int = 0
    """The newest Subscribe or Ping that it has answered."""
    has_answered: bool = False
    """Whether it has answered a newer one since `heard`."""
    pings: dict[int, float] = field(default_factory=dict[int, float])
    """When they were sent."""
    requests: list[WatchRequest] = field(default_factory=list[WatchRequest])


def seconds_from_write_to_end(entry: EntryMessage) -> float:
    """How long an entry lives; its version tells when it was written."""
    return entry.expire_time.ToMilliseconds() / 1000 - (entry.version >> 20) / 1000
