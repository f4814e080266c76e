"""What a probe has written to one tenant, and what of it a read must show.

Pure: no I/O and no clock. Times are seconds of one clock that never goes back, which all writers
and readers of a probe share.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Literal, NamedTuple

from relevo_client import ContextKey

Kind = Literal["put", "invalidate", "floor"]
"""A Put, an Invalidate of a key, or a floor: an Invalidate of a tenant's scope."""
Source = Literal["near_cache", "store", "server"]
"""Who answers a read: a near cache; the store, by a STRONG read; or a server, which may use its
memory."""


@dataclass(eq=False, slots=True)
class Write:
    """One write of the probe."""

    kind: Kind
    key: ContextKey
    """What is written; of a floor, any key of its tenant and scope."""
    begin: float
    """The time at which it was sent."""
    value: int = 0
    """The number that a Put writes, which no other Put of the tenant writes; else 0."""
    ttl: float = inf
    """The time to live that a Put asks for, in seconds."""
    is_void: bool = False
    """Whether it must have no effect: it was refused, or it is under a lease that has ended."""
    writer: str = ""
    """The name of the near cache whose client has written; "" for a client without one."""
    end: float = inf
    """A time by which it has taken effect; infinite if none is known."""
    acknowledged: float = inf
    """The time at which its caller had the answer; infinite if it has none."""
    version: int = 0
    """Its revision, 0 if unknown. A write whose call has failed may take effect later, or never."""
    after: int = 0
    """The greatest revision of the tenant that was known when it was sent."""

    @property
    def ends_entries(self) -> bool:
        """Whether an entry ends with it."""
        return self.kind != "put"

    def names(self, key: ContextKey) -> bool:
        """Whether it writes or ends this key's entry."""
        return key.scope == self.key.scope if self.kind == "floor" else key == self.key


class Part(NamedTuple):
    """One entry of an answer: the head, or a layer."""

    key: ContextKey
    version: int
    """Its version; 0 if there is no such entry."""
    value: int | None = None
    """The number in it; None if there is no entry, or no number in it."""
    shown: int | None = None
    """The number of this part that the composed context shows."""


@dataclass(frozen=True, slots=True)
class Read:
    """One answer, as the probe saw it."""

    reader: str
    """The name of what was asked."""
    source: Source
    begin: float
    end: float
    parts: tuple[Part, ...]
    """The head, and then its layers. A composition of which only a missing layer is known has
    just that one."""
    fence: int = 0
    """The `min_revision` of the read."""
    revision: int = 0
    """The revision as of which the answer says it is; 0 if there was no entry."""


def last_of(writes: Iterable[Write]) -> Write | None:
    """The write with the greatest revision, or None."""
    return max(writes, key=lambda write: write.version, default=None)


class History:
    """The writes of one tenant."""

    def __init__(self) -> None:
        self._known: defaultdict[ContextKey, list[Write]] = defaultdict(list)
        self._floors: list[Write] = []
        self._unknown: list[Write] = []
        self._refused: list[Write] = []
        self._by_value: dict[int, Write] = {}
        self._by_version: dict[int, Write] = {}
        self._forgotten = 0
        self.last = 0
        """The greatest revision that a write was acknowledged with."""

    def __len__(self) -> int:
        ends = sum(write.ends_entries for write in self._by_version.values())
        return len(self._by_value) + ends + len(self._unknown)

    def begin(self, write: Write) -> None:
        """Record that a write is sent. The value of a Put must be greater than all before."""
        write.after = self.last
        self._unknown.append(write)
        if write.kind == "put":
            self._by_value[write.value] = write

    def learn(self, write: Write, version: int, end: float) -> Write | None:
        """Record a write's revision, and a time by which it has taken effect.

        Returns the other write that has this revision too, or None.
        """
        write.version, write.end = version, min(write.end, end)
        self._unknown.remove(write)
        other = self._by_version.setdefault(version, write)
        (self._floors if write.kind == "floor" else self._known[write.key]).append(write)
        self.last = max(self.last, version)
        return None if other is write else other

    def refuse(self, write: Write) -> None:
        """Record that a write was refused: it has no effect, now or later."""
        self._unknown.remove(write)
        self._refused.append(write)
        write.is_void = True

    def of(self, key: ContextKey) -> Iterator[Write]:
        """The key's writes whose revisions are known."""
        yield from self._known.get(key, ())
        yield from (floor for floor in self._floors if floor.names(key))

    def unknown(self, key: ContextKey) -> Iterator[Write]:
        """The key's writes whose revisions are unknown, and that may take effect at any time."""
        return (write for write in self._unknown if write.names(key))

    def with_value(self, value: int) -> Write | None:
        """The Put of a number, or None if the probe has written no such number."""
        return self._by_value.get(value)

    def with_version(self, version: int) -> Write | None:
        """The write with a revision, or None if there is none or it is unknown."""
        return self._by_version.get(version)

    def is_forgotten(self, value: int) -> bool:
        """Whether the number was written so long ago that nothing is known of it any more."""
        return 0 < value <= self._forgotten

    def own_fence(self, writer: str, at: float) -> int:
        """The last revision that a near cache's client had written by a time; 0 for none."""
        own = (each for each in self._by_version.values() if each.writer == writer)
        return max((each.version for each in own if each.acknowledged <= at), default=0)

    def next_version(self, part: Part) -> float:
        """The revision that ended a version of an entry; infinite if it is not known to be over."""
        later = (each.version for each in self.of(part.key) if each.version > part.version)
        return min(later, default=inf)

    def last_end(self, key: ContextKey) -> int:
        """The last revision with which a key's entry ended; 0 if none is known."""
        return max((each.version for each in self.of(key) if each.ends_entries), default=0)

    def forget(self, before: float) -> None:
        """Forget writes that were sent before a time, but for the last of each key.

        What is forgotten must be so old that no read may show it.
        """
        for key, writes in self._known.items():
            last = last_of(writes)
            kept = [each for each in writes if each is last or each.begin >= before]
            self._drop(set(writes).difference(kept))
            self._known[key] = kept
        floors = {each.key.scope: each for each in sorted(self._floors, key=lambda w: w.version)}
        kept = [e for e in self._floors if e is floors[e.key.scope] or e.begin >= before]
        self._drop(set(self._floors).difference(kept))
        self._floors = kept
        for writes in (self._unknown, self._refused):
            self._drop([each for each in writes if each.begin < before])
            writes[:] = [each for each in writes if each.begin >= before]

    def _drop(self, writes: Iterable[Write]) -> None:
        for each in writes:
            if self._by_version.get(each.version) is each:
                del self._by_version[each.version]
            if each.kind == "put":
                del self._by_value[each.value]
                self._forgotten = max(self._forgotten, each.value)
