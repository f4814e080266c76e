"""Samples of a store over time: how it does, what near caches save, and how old copies are.

Counters of near caches only grow, and begin at 0 with each client. So what happened between two
samples is the sum of what each client's counters grew by.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf.duration_pb2 import Duration
from relevo.admin.v1 import admin_pb2

KEPT = 15 * 60.0
"""Seconds that samples are kept."""


@dataclass(frozen=True)
class Health:
    """One sample of a server and its store."""

    at: float
    """Seconds since 1970."""
    latency: float | None
    """Seconds that the store took to answer, None if it did not."""
    memory: int | None
    """Bytes that the database uses, None if unknown."""
    calls: int
    """Calls in progress."""
    watchers: int


@dataclass(frozen=True)
class Effect:
    """One sample of the near caches of all clients."""

    at: float
    elapsed: float
    """Seconds since the sample before."""
    hits: int
    """Lookups that near caches answered, since the sample before."""
    misses: int
    """Lookups that the store had to answer."""
    staleness: float
    """Seconds since the oldest proof that copies are current."""
    lag: float
    """Seconds that the oldest waiting message has waited."""
    clients: int

    @property
    def near(self) -> float:
        """Lookups a second that near caches answered."""
        return self.hits / self.elapsed

    @property
    def store(self) -> float:
        """Lookups a second that the store had to answer."""
        return self.misses / self.elapsed


@dataclass(frozen=True)
class _Absence:
    at: float
    reads: int
    """Reads that found no entry, since the sample before."""


@dataclass(frozen=True)
class Totals:
    """The lookups of all near caches within the time of all samples."""

    near: int = 0
    store: int = 0
    absent: int = 0
    """Reads that found no entry. Only for these can the owner of a configuration be asked."""

    @property
    def share(self) -> float | None:
        """The share that near caches answered, None of nothing."""
        return self.near / (self.near + self.store) if self.near + self.store else None


_Counts = Mapping[tuple[str, int], tuple[int, int]]
"""Hits and misses of each client, by its address and the time at which it connected."""


@dataclass
class Samples:
    """The samples of the last minutes."""

    health: deque[Health] = field(default_factory=deque[Health])
    effect: deque[Effect] = field(default_factory=deque[Effect])
    _counts: _Counts | None = None
    _counted: float = 0.0
    _absent: int | None = None
    _absences: deque[_Absence] = field(default_factory=deque[_Absence])

    def add_status(self, status: admin_pb2.GetStatusResponse, at: float) -> None:
        """Add the state of a server that has answered."""
        store, server = status.store, status.server
        latency = store.latency.ToMicroseconds() / 1e6 if store.HasField("latency") else None
        self._add(
            Health(at, latency, store.used_bytes or None, server.active_calls, server.watchers)
        )

    def add_failure(self, at: float) -> None:
        """Add that the server has not answered: a gap in the charts."""
        self._add(Health(at, None, None, 0, 0))

    def add_clients(self, clients: Sequence[admin_pb2.ConnectedClient], at: float) -> None:
        """Add the reports of all clients."""
        counts = {
            (each.peer, each.connect_time.ToNanoseconds()): (each.cache.hits, each.cache.misses)
            for each in clients
        }
        hits, misses = (0, 0) if self._counts is None else _growth(self._counts, counts)
        elapsed = max(at - self._counted, 0.001)
        stale = max(_seconds(each.cache.staleness for each in clients), default=0.0)
        lag = max(_seconds(each.lag for each in clients), default=0.0)
        self.effect.append(Effect(at, elapsed, hits, misses, stale, lag, len(clients)))
        self._counts, self._counted = counts, at
        self._forget(at)

    def add_tenants(self, tenants: Iterable[admin_pb2.TenantActivity], at: float) -> None:
        """Add what the server did for tenants."""
        absent = sum(each.misses for each in tenants)
        if self._absent is not None:  # a server that has started again begins at 0
            before = self._absent if absent >= self._absent else 0
            self._absences.append(_Absence(at, absent - before))
        self._absent = absent

    @property
    def totals(self) -> Totals:
        """The lookups within the time of all samples."""
        return Totals(
            sum(each.hits for each in self.effect),
            sum(each.misses for each in self.effect),
            sum(each.reads for each in self._absences),
        )

    def _add(self, sample: Health) -> None:
        self.health.append(sample)
        self._forget(sample.at)

    def _forget(self, now: float) -> None:
        for samples in (self.health, self.effect, self._absences):
            while samples and samples[0].at < now - KEPT:
                samples.popleft()


def _growth(before: _Counts, after: _Counts) -> tuple[int, int]:
    """The growth of hits and misses. A client that has just connected began at 0."""
    new_hits = new_misses = 0
    for name, (hits, misses) in after.items():
        old_hits, old_misses = before.get(name, (0, 0))
        new_hits += max(hits - old_hits, 0)
        new_misses += max(misses - old_misses, 0)
    return new_hits, new_misses


def _seconds(durations: Iterable[Duration]) -> list[float]:
    return [each.ToMicroseconds() / 1e6 for each in durations]
