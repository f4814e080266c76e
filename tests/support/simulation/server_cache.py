"""A simulated world for the server's cache: a store, one follower, and reads that take time.

The copies are real, the store is a model. The scheduler decides when the result of a poll of
the log or of a read arrives, in any order that separate connections could have.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from relevo_server.event_log.copies import OVERHEAD, Copies
from relevo_server.keys import Key
from relevo_server.storage.events import Tail
from relevo_server.storage.interface import ABSENT, Read, Stored

from support.simulation.store import KEYS, PARTITION, Era, Store

MAX_STALENESS = 1.0
MAX_ENTRIES = 4
MAX_BYTES = (
    MAX_ENTRIES * OVERHEAD + 16
)  # room for this many absent entries, or one present entry less


@dataclass
class Reading:
    """A read of the store whose answer is in flight."""

    keys: list[Key]
    read: Read
    begun: float


class CacheWorld:
    """The world and its scheduler. `make_copies` makes the server's copies."""

    def __init__(self, seed: int, make_copies: Callable[..., Copies] = Copies) -> None:
        self.random = random.Random(seed)  # noqa: S311 - to be replayed
        self.now = 1000.0
        self.store = Store(self.random, lambda: self.now)
        self.copies = make_copies(
            max_entries=MAX_ENTRIES, max_bytes=MAX_BYTES, max_staleness=MAX_STALENESS
        )
        self._position: int | None = None
        self._tail: tuple[Tail, float] | None = None
        self._readings: deque[Reading] = deque(maxlen=8)
        self._expiries: dict[tuple[Key, int], float] = {}
        self.served = 0
        """How often the copies have served entries."""

    def run(self, steps: int) -> None:
        """Run this many steps, then check convergence without faults. Raises AssertionError."""
        for _ in range(steps):
            match self.random.choices(
                ["look", "time", "write", "follow", "ask", "answer", "fault"],
                [60, 10, 10, 60, 20, 20, 1],
            )[0]:
                case "look":
                    self._look()
                case "time":
                    self.now += self.random.choices([0.01, 0.1, 0.5, 1.5], [10, 10, 2, 1])[0]
                case "write":
                    self._write()
                case "follow":
                    self._follow()
                case "ask":
                    self._ask(self.random.sample(KEYS, self.random.choice([1, 1, 3])))
                case "answer":
                    self._answer()
                case _:
                    self._fault()
        self._settle()

    def _write(self) -> None:
        key = self.random.choice(KEYS)
        match self.random.choices(["put", "invalidate", "floor"], [8, 2, 1])[0]:
            case "put":
                self.store.put(key)
                stored = self.store.contexts[key]
                self._expiries[key, stored.version] = self.now + stored.ttl_ms / 1000
            case "invalidate":
                self.store.invalidate(key)
            case _:
                self.store.raise_floor(self.random.choice(["", "conversation"]))

    def _follow(self) -> None:
        """Poll the log, or apply the last poll's result."""
        if self._tail is None:
            # Sometimes there are more events than one poll returns.
            limit = self.random.choice([1, 500])
            tail = self.store.tail(self._position)
            self._tail = tail._replace(events=tail.events[:limit]), self.now
            return
        (tail, begun), self._tail = self._tail, None
        if self._position is None or tail.gap:
            self._position = tail.revision
        elif tail.events:
            self._position = tail.events[-1].revision
        self.copies.apply(PARTITION, tail, begun)

    def _ask(self, keys: list[Key]) -> None:
        """Start a read of entries."""
        read = Read(self.store.reached, [self._read(key) for key in keys])
        self._readings.append(Reading(keys, read, self.now))

    def _read(self, key: Key) -> Stored | None:
        stored = self.store.read(key)
        left = self._expiries[key, stored.version] - self.now if stored else 0
        return stored._replace(ttl_ms=int(left * 1000)) if stored and left > 0 else None

    def _answer(self) -> None:
        """Deliver one of the answers, not always in their order."""
        if self._readings:
            self._readings.rotate(self.random.randrange(len(self._readings)))
            arrived = self._readings.popleft()
            self.copies.keep(PARTITION, arrived.keys, arrived.read, arrived.begun)
            assert len(self.copies) <= MAX_ENTRIES, "more entries than allowed"
            assert self.copies.size <= MAX_BYTES, "more bytes than allowed"

    def _fault(self) -> None:
        match self.random.choice(["trim", "lose", "rest"]):
            case "trim":
                self.store.trim()
            case "lose":
                self.store.lose(self.random.randint(1, 4))
                for eras in self.store.eras.values():  # a state that is restored has existed before
                    eras[-1].since = min(eras[-1].since, self.store.reached)
            case _:
                self.copies.forget(PARTITION)
                self._position = self._tail = None

    def _look(self) -> None:
        recent = [event.revision for event in self.store.log[-4:]]
        fence = self.random.choice([0, *recent])
        keys = self.random.sample(KEYS, self.random.choice([1, 1, 2]))
        found = self.copies.get(PARTITION, keys, fence, self.now)
        if found is None:
            return
        self.served += 1
        assert found.revision >= fence, f"as of {found.revision}, before the fence {fence}"
        for key, stored in zip(keys, found.entries, strict=True):
            self._check(key, stored, found.revision)

    def _check(self, key: Key, stored: Stored | None, revision: int) -> None:
        """Check that the entry had this state at the revision, and not too long ago."""
        version = stored.version if stored else ABSENT
        name = f"{key}@{version}"
        eras = [
            era
            for era in self.store.eras[key]
            if era.since <= revision
            and (era.until is None or era.until > revision)
            and self._shows(key, era, version)
        ]
        assert eras, f"{name} is not of {revision}"
        age = self.now - max(era.ended or self.now for era in eras)
        assert age <= MAX_STALENESS, f"{name} ended {age:.2f} s ago"
        if stored:
            left = self._expiries[key, version] - self.now
            assert left > 0, f"{name} is served after its time"
            assert stored.ttl_ms / 1000 <= left + 0.001, f"{name} is said to live too long"

    def _shows(self, key: Key, era: Era, version: int) -> bool:
        """Whether readers saw this version in an era: after its expiry they saw no entry."""
        expiry = self._expiries.get((key, era.version))
        is_over = expiry is not None and expiry <= (era.ended or self.now)
        return era.version == version or (version == ABSENT and is_over)

    def _settle(self) -> None:
        """Check that, without further faults, the copies equal the store."""
        self._readings.clear()
        self.store.invalidate(KEYS[0])  # after a total loss there is no revision to be as of
        for _ in range(2 * len(self.store.log) + 6):
            self._follow()
        for key in KEYS:
            self._ask([key])
            self._answer()
            found = self.copies.get(PARTITION, [key], self.store.reached, self.now)
            assert found is not None, f"{key} cannot be had"
            self._check(key, found.entries[0], found.revision)
            current = self._read(key)
            assert (found.entries[0] and found.entries[0].version) == (current and current.version)
