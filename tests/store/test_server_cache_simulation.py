"""The server's cache keeps its rules in any order of events, and the checker detects violations."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from relevo_server.event_log.copies import Copies
from relevo_server.keys import Key
from relevo_server.storage.events import Tail
from relevo_server.storage.interface import Read
from support.simulation.seeds import served_in_all, some_seeds
from support.simulation.server_cache import CacheWorld

pytestmark = pytest.mark.timeout(600)  # the amount of work is fixed: seconds of CPU

STEPS = 1000


@some_seeds
def test_any_order(seeds: range) -> None:
    """In any order of reads, events and faults, an answer from memory keeps every promise.

    It is as of its fence or later, was true within the staleness bound, is one snapshot of all its
    entries, and respects times to live; and memory is bounded.
    """
    served = served_in_all(CacheWorld, STEPS, seeds)
    assert served > len(seeds) * 20, "the copies were hardly ever used"


class _KeepingWhatIsOvertaken(Copies):
    """A read is kept even if an event overtook it."""

    def keep(self, partition: int, keys: Sequence[Key], read: Read, begun: float) -> None:
        part = self._partitions.get(partition)
        super().keep(partition, keys, read._replace(revision=part.position if part else 0), begun)


class _KeepingWhatIsAhead(Copies):
    """A read that is ahead of the position, and may belong to another order, is kept."""

    def keep(self, partition: int, keys: Sequence[Key], read: Read, begun: float) -> None:
        part = self._partitions.get(partition)
        if part and read.revision > part.position:
            read = read._replace(revision=part.position)
        super().keep(partition, keys, read, begun)


class _WithoutFence(Copies):
    """The position is not compared with the fence."""

    def get(self, partition: int, keys: Sequence[Key], fence: int, now: float) -> Read | None:
        del fence
        return super().get(partition, keys, 0, now)


class _WithoutStaleness(Copies):
    """Cached entries are trusted forever."""

    def __init__(self, **options: Any) -> None:
        options["max_staleness"] = 1e9
        super().__init__(**options)


class _TrustingAnyLook(Copies):
    """A read that did not reach the end of the log counts as one that did."""

    def apply(self, partition: int, tail: Tail, begun: float) -> None:
        super().apply(partition, tail._replace(revision=0) if tail.events else tail, begun)


class _WithoutResets(Copies):
    """Cached entries are used after a gap in the log."""

    def apply(self, partition: int, tail: Tail, begun: float) -> None:
        super().apply(partition, tail._replace(gap=None), begun)


class _WithoutFloors(Copies):
    """The end of a whole tenant is ignored."""

    def apply(self, partition: int, tail: Tail, begun: float) -> None:
        events = [event._replace(tenant_id="another") for event in tail.events]
        super().apply(partition, tail._replace(events=events), begun)


class _WithoutExpiry(Copies):
    """Times to live count from the answer's arrival, which may be late."""

    def keep(self, partition: int, keys: Sequence[Key], read: Read, begun: float) -> None:
        super().keep(partition, keys, read, begun + 1)


class _WithoutBounds(Copies):
    """Nothing is evicted."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"max_bytes": 1 << 30})


@pytest.mark.parametrize(
    "broken",
    [
        _KeepingWhatIsOvertaken,
        _KeepingWhatIsAhead,
        _WithoutFence,
        _WithoutStaleness,
        _TrustingAnyLook,
        _WithoutResets,
        _WithoutFloors,
        _WithoutExpiry,
        _WithoutBounds,
    ],
)
def test_broken_copies_are_seen(broken: Callable[..., Copies]) -> None:
    """The checker detects a cache that breaks one rule."""
    with pytest.raises(AssertionError):
        _run_seeds(broken)


def _run_seeds(broken: Callable[..., Copies]) -> None:
    for seed in range(1000):
        CacheWorld(seed, broken).run(STEPS)
