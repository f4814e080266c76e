"""The near cache's rules for riders hold in any order of events; the checker sees violations."""

from collections.abc import Callable
from typing import Any

import pytest
from relevo.v1.store_pb2 import Invalidated
from relevo_client import ContextEntry
from relevo_client._context.riders import Rider
from relevo_client._near_cache.endings import Endings
from relevo_client._near_cache.riding import RiderCache
from relevo_client._near_cache.state import Copy
from support.simulation.riders import RiderWorld
from support.simulation.seeds import SEEDS
from support.simulation.store import PARTITION

STEPS = 1500


def test_any_order() -> None:
    """In any order of messages and faults, a cache keeps the rules of riders.

    A rider serves its call unless its snapshot has ended; once a cache that is in touch with the
    store follows the snapshot, an end reaches it within `max_staleness`. That the store has no
    entry yet does not end a rider. A kept one serves other calls under the rules of any copy,
    and counts for the bounds.
    """
    rode = refused = kept = 0
    for seed in range(max(10, SEEDS // 30)):
        world = RiderWorld(seed)
        try:
            world.run(STEPS)
        except AssertionError as error:
            error.add_note(f"seed {seed}")
            raise
        rode, refused, kept = rode + world.rode, refused + world.refused, kept + world.kept
    assert min(rode, refused, kept) > 10, "riders were hardly ever used"


class _WithoutEndings(Endings):
    """Riders outlive invalidations."""

    def have_ended(self, rider: ContextEntry) -> bool:
        del rider
        return False


class _DeafToAnswers(Endings):
    """Riders outlive invalidations that were missed: answers are not listened to."""

    def record(self, invalidated: Invalidated, *, is_answer: bool) -> None:
        if not is_answer:
            super().record(invalidated, is_answer=False)


class _EndedByAbsence(Endings):
    """A rider whose Put is on its way is refused."""

    def record(self, invalidated: Invalidated, *, is_answer: bool) -> None:
        del is_answer
        super().record(invalidated, is_answer=False)


def _with(endings: Callable[[int], Endings]) -> type[RiderCache]:
    class Broken(RiderCache):
        def __init__(self, options: Any) -> None:
            super().__init__(options)
            self._endings = endings(1024)

    return Broken


class _Unconfirmed(RiderCache):
    """A kept rider serves before the stream has answered for it."""

    def _keep(self, copy: Copy, rider: Rider, now: float) -> None:
        super()._keep(copy, rider, now)
        copy.is_answered, copy.version = True, rider.entry.version
        self._partitions.assign(copy, PARTITION)


class _Unsubscribed(RiderCache):
    """A kept rider is not subscribed."""

    def _subscribe(self, copy: Copy) -> None:
        if copy.entry is None:
            super()._subscribe(copy)


class _Uncounted(RiderCache):
    """The bytes of kept riders do not count."""

    def _keep(self, copy: Copy, rider: Rider, now: float) -> None:
        super()._keep(copy, rider, now)
        self._bytes -= copy.size


class _Unbounded(RiderCache):
    """Kept riders evict nothing."""

    def accept_rider(self, rider: Rider, now: float, *, keep: bool) -> bool:
        self._evict, evict = lambda: None, self._evict  # type: ignore[method-assign]
        try:
            return super().accept_rider(rider, now, keep=keep)
        finally:
            self._evict = evict  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "broken",
    [
        _with(_WithoutEndings),
        _with(_DeafToAnswers),
        _with(_EndedByAbsence),
        _Unconfirmed,
        _Unsubscribed,
        _Uncounted,
        _Unbounded,
    ],
    ids=lambda broken: broken.__name__,
)
def test_a_broken_cache_is_seen(broken: Callable[..., RiderCache]) -> None:
    """The checker detects a cache that breaks one rule of riders."""
    with pytest.raises(AssertionError):
        _run_seeds(broken)


def _run_seeds(make_cache: Callable[..., RiderCache]) -> None:
    for seed in range(300):
        RiderWorld(seed, make_cache=make_cache).run(STEPS)
