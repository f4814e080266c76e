"""The near cache's rules hold in any order of events, and the checker detects violations."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from relevo.v1.store_pb2 import Invalidated, Position, Reset, WatchResponse
from relevo_client import CacheOptions, ContextEntry, ContextKey, ContextRef, IncompleteContextError
from relevo_client._near_cache.contexts import cached_composition, resolve
from relevo_client._near_cache.machine import NearCache
from relevo_client._near_cache.state import ABSENT, Copy
from relevo_server.event_log.outbox import Outbox
from support.simulation.seeds import served_in_all, some_seeds
from support.simulation.store import LAYER, TENANT
from support.simulation.world import World

STEPS = 1500
SHOWING = (5, 7, 8, 11, 32, 67, 92, 106, 299)
"""Seeds that have detected broken variants before: trying them first saves minutes."""


@some_seeds
def test_any_order(seeds: range) -> None:
    """In any order of messages and faults, a cache keeps the rules N1 to N7 and N9.

    A cached entry is never older than its fence or the client's own last write, and never in use
    for longer than `max_staleness` after its end. The parts of a composed context existed together,
    also in the last known one, and its snapshot has exactly those parts. When faults end, every
    cache converges to the store's state.
    """
    served = served_in_all(World, STEPS, seeds)
    assert served > len(seeds) * 5, "the caches were hardly ever used"


class _WithoutFence(NearCache):
    """N1 broken: positions are ignored."""

    def lookup(self, key: ContextKey, fence: int, now: float) -> Copy | None:
        del fence
        return super().lookup(key, 0, now)


class _WithoutOwnWrites(NearCache):
    """N1 broken: a writer uses cached entries from before its write."""

    def record_write(self, tenant_id: str, revision: int, now: float) -> None:
        del tenant_id, revision, now


class _WithoutStaleness(NearCache):
    """N2 broken: a cached entry is trusted forever."""

    def __init__(self, options: CacheOptions) -> None:
        super().__init__(replace(options, max_staleness=1e9))


class _TrustingArrival(NearCache):
    """N2 broken: a sign of life counts from its arrival."""

    def lookup(self, key: ContextKey, fence: int, now: float) -> Copy | None:
        self._now = now
        return super().lookup(key, fence, now)

    def _advance(self, positions: Iterable[Position]) -> None:
        super()._advance(positions)
        for position in positions:
            partition = self._partitions[position.partition]
            partition.as_of = max(partition.as_of, getattr(self, "_now", 0.0))


class _TakingAnything(NearCache):
    """N3 broken: any message about a key counts as the answer to its subscription."""

    def _copy_of_event(self, key: ContextKey, answers: int, partition: int) -> Copy | None:
        del answers
        copy = self._copies.get(key)
        if copy is not None:
            copy.is_answered = True
            self._partitions.assign(copy, partition)
        return copy


class _Backwards(NearCache):
    """N3 broken: the messages of a batch are applied in reverse order."""

    def received(self, message: WatchResponse) -> bool:
        if message.HasField("batch"):
            message.batch.messages.reverse()
        return super().received(message)


class _WithoutVerifying(NearCache):
    """N4 broken: after a reconnect, cached entries are used without verification."""

    def stream_ended(self) -> None:
        answered = [copy for copy in self._copies.values() if copy.is_answered]
        super().stream_ended()
        for copy in answered:
            copy.is_answered = True


class _WithoutResets(NearCache):
    """N4 broken: a reset changes nothing."""

    def _apply_reset(self, reset: Reset) -> None:
        del reset


class _WithoutBounds(NearCache):
    """N6 broken: nothing is evicted."""

    def _evict(self) -> None:
        pass


class _WithoutInvalidations(NearCache):
    """N7 broken: an entry that has ended stays cached."""

    def _apply_invalidation(self, invalidated: Invalidated, answers: int) -> None:
        if answers:
            super()._apply_invalidation(invalidated, answers)


class _Overtaking(Outbox):
    """N5 broken: progress is sent before the events that it confirms."""

    def next(self) -> bytes | None:
        self._items, items = type(self._items)(), self._items
        self._queue_progress()
        self._items.extend(items)
        return super().next()


class _OvertakingInBatch(Outbox):
    """N5 broken: a batch begins with the progress that confirms all of it."""

    def next(self) -> bytes | None:
        sent = WatchResponse.FromString(super().next() or b"")
        if sent.HasField("batch"):
            first, last = sent.batch.messages[0], sent.batch.messages[-1]
            first.positions.extend(last.positions)
            last.ClearField("positions")
        return sent.SerializeToString() or None


class _Forgetting(Outbox):
    """N5 broken: messages that a slow watcher has no room for are dropped without a reset."""

    def _overflow(self) -> None:
        self._items.clear()
        self._news = self._values = self._superseded = 0


class _Torn(NearCache):
    """N9 broken: parts that are ahead of the position are composed with those that are not."""

    def is_whole(self, copies: Sequence[Copy]) -> bool:
        del copies
        return True


@pytest.mark.parametrize(
    "broken",
    [
        _Torn,
        _WithoutFence,
        _WithoutOwnWrites,
        _WithoutStaleness,
        _TrustingArrival,
        _TakingAnything,
        _Backwards,
        _WithoutVerifying,
        _WithoutResets,
        _WithoutBounds,
        _WithoutInvalidations,
    ],
)
def test_a_broken_cache_is_seen(broken: Callable[..., NearCache]) -> None:
    """The checker detects a cache that breaks one rule."""
    with pytest.raises(AssertionError):
        _run_seeds(make_cache=broken)


@pytest.mark.parametrize("broken", [_Overtaking, _OvertakingInBatch, _Forgetting])
def test_a_broken_server_is_seen(broken: Callable[[int], Outbox]) -> None:
    """The checker detects a server that breaks one rule."""
    with pytest.raises(AssertionError):
        _run_seeds(make_outbox=broken)


def _incomplete(cache: NearCache, ref: ContextRef, now: float) -> ContextEntry | None:
    """N9 broken: a layer that may be ahead of the head is reported as missing."""
    layer = cache.lookup(ContextKey(*LAYER), ref.revision, now)
    head = cache.lookup(ref.key, ref.revision, now)
    if head and head.version and head.has_layers and layer and layer.version == ABSENT:
        raise IncompleteContextError(ref.key.text, [layer.key.text])
    return resolve(cache, ref, now)


def _last_copies(cache: NearCache, ref: ContextRef, now: float) -> ContextEntry | None:
    """Promise 6 broken: the last known context is composed from any cached parts."""
    copies = [cache.last_known(key, now) for key in (ref.key, ContextKey(*LAYER))]
    if not all(copies):
        return None
    return cached_composition(
        cache, ref.key, tuple([copy.entry_version for copy in copies if copy]), now
    )


def _of_head(entry: ContextEntry) -> ContextKey:
    """Promise 2 broken: a snapshot's name lacks the versions of the layers."""
    return ContextKey("snapshot", TENANT, f"{entry.version}")


@pytest.mark.parametrize(
    "broken",
    [{"resolve": _incomplete}, {"last_known": _last_copies}, {"snapshot_key": _of_head}],
    ids=["incomplete", "last known", "snapshot"],
)
def test_a_broken_composition_is_seen(broken: Mapping[str, Any]) -> None:
    """The checker detects a client that composes or names contexts wrongly.

    One composes parts that never existed together, another names snapshots too briefly.
    """
    with pytest.raises(AssertionError):
        _run_seeds(**broken)


def _run_seeds(**parts: Any) -> None:
    for seed in (*SHOWING, *range(3000)):
        World(seed, **parts).run(STEPS)
