"""The near cache's rules hold in any order of events, and the checker detects violations."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from relevo.v1.store_pb2 import Invalidated, Position, Reset, WatchResponse
from relevo_client import CacheOptions, ContextEntry, ContextKey, ContextRef, IncompleteContextError
from relevo_client._near_cache.clock import LONG_AGO, ServerClock
from relevo_client._near_cache.contexts import cached_composition, resolve
from relevo_client._near_cache.machine import NearCache
from relevo_client._near_cache.state import ABSENT, Copy
from relevo_server.event_log.fanout import Fanout
from relevo_server.event_log.message_queue import MessageQueue
from relevo_server.event_log.messages import Message
from relevo_server.event_log.outbox import Outbox
from relevo_server.event_log.proofs import LogPoll
from support.simulation.seeds import served_in_all, some_seeds
from support.simulation.store import LAYER, TENANT
from support.simulation.world import DRIFT, DriftingClock, SimulatedCache, World

pytestmark = pytest.mark.timeout(600)  # the amount of work is fixed: seconds to minutes of CPU

STEPS = 1500
SHOWING = (5, 7, 8, 11, 32, 36, 49, 67, 89, 92, 106, 276, 299, 323, 339, 3042)
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


class _WithoutFence(SimulatedCache):
    """N1 broken: positions are ignored."""

    def lookup(self, key: ContextKey, fence: int, now: float) -> Copy | None:
        del fence
        return super().lookup(key, 0, now)


class _WithoutOwnWrites(SimulatedCache):
    """N1 broken: a writer uses cached entries from before its write."""

    def record_write(self, tenant_id: str, revision: int, now: float) -> None:
        del tenant_id, revision, now


class _WithoutStaleness(SimulatedCache):
    """N2 broken: a cached entry is trusted forever."""

    def __init__(self, options: CacheOptions) -> None:
        super().__init__(replace(options, max_staleness=1e9))


class _TrustingArrival(SimulatedCache):
    """N2 broken: a sign of life counts from its arrival."""

    def lookup(self, key: ContextKey, fence: int, now: float) -> Copy | None:
        self._now = now
        return super().lookup(key, fence, now)

    def _advance(self, positions: Iterable[Position], now: float) -> bool:
        is_newer = super()._advance(positions, now)
        for position in positions:
            partition = self._partitions[position.partition]
            partition.as_of = max(partition.as_of, getattr(self, "_now", 0.0))
        return is_newer


class _SteadyClock(DriftingClock):
    def __init__(self) -> None:
        super().__init__(drift=0.0)


class _WithoutDrift(SimulatedCache):
    """N2 broken: the clocks of all servers are taken for as fast as the client's."""

    make_clock: Callable[[], ServerClock] = _SteadyClock


class _ArrivalClock(DriftingClock):
    def learn(self, sent: float, moment: int, now: float) -> None:
        del sent
        super().learn(now, moment, now)


class _MappedAtArrival(SimulatedCache):
    """N2 broken: the server's clock is mapped by the arrival of its answer."""

    make_clock: Callable[[], ServerClock] = _ArrivalClock


class _BackwardClock(DriftingClock):
    def earliest(self, moment: int, now: float) -> float:
        known, self._moment = self._moment, min(self._moment, moment)
        self._sent -= (known - self._moment) / 1e6 * (1 + DRIFT)
        return super().earliest(moment, now)


class _MappedBackwards(SimulatedCache):
    """N2 broken: moments before the exchange are mapped, too."""

    make_clock: Callable[[], ServerClock] = _BackwardClock


class _FirstClock(DriftingClock):
    def learn(self, sent: float, moment: int, now: float) -> None:
        if self._sent == LONG_AGO:
            super().learn(sent, moment, now)


class _MappedForEver(SimulatedCache):
    """N2 broken: the map of one server's clock is used for the next server's."""

    def __init__(self, options: CacheOptions) -> None:
        clock = _FirstClock()
        self.make_clock = lambda: clock
        super().__init__(options)


class _TakingAnything(SimulatedCache):
    """N3 broken: any message about a key counts as the answer to its subscription."""

    def _copy_of_event(self, key: ContextKey, answers: int, partition: int) -> Copy | None:
        del answers
        copy = self._copies.get(key)
        if copy is not None:
            copy.is_answered = True
            self._partitions.assign(copy, partition)
        return copy


class _Backwards(SimulatedCache):
    """N3 broken: the messages of a batch are applied in reverse order."""

    def received(self, message: WatchResponse, now: float = 0.0) -> bool:
        if message.HasField("batch"):
            message.batch.messages.reverse()
        return super().received(message, now)


class _WithoutVerifying(SimulatedCache):
    """N4 broken: after a reconnect, cached entries are used without verification."""

    def stream_ended(self) -> None:
        answered = [copy for copy in self._copies.values() if copy.is_answered]
        super().stream_ended()
        for copy in answered:
            copy.is_answered = True


class _WithoutResets(SimulatedCache):
    """N4 broken: a reset changes nothing."""

    def _apply_reset(self, reset: Reset) -> None:
        del reset


class _WithoutBounds(SimulatedCache):
    """N6 broken: nothing is evicted."""

    def _evict(self) -> None:
        pass


class _WithoutInvalidations(SimulatedCache):
    """N7 broken: an entry that has ended stays cached."""

    def _apply_invalidation(self, invalidated: Invalidated, answers: int) -> None:
        if answers:
            super()._apply_invalidation(invalidated, answers)


class _Overtaking(Outbox):
    """N5 broken: progress is sent before the events that it confirms."""

    def next(self) -> bytes | None:
        self._queue, waiting = MessageQueue(), self._queue
        self._queue_progress()
        while waiting:
            self._queue.append(waiting.pop(), 0.0)
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
        self._queue.clear()
        self._superseded = 0


class _Oldest(MessageQueue):
    """Of the events about a key that wait, the oldest stays."""

    def replace(self, message: Message) -> int | None:
        place = self._events.get(message.key) if message.key and not message.answers else None
        return super().replace(place.message) if place else None


class _KeepingTheOldest(Outbox):
    """N5 broken: a newer event about a key is dropped while an older one waits."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self._queue = _Oldest()


class _ProvingEarly(Fanout):
    """N2 broken: a poll is a proof before its events are published."""

    def begin_poll(self, time: int = 0) -> LogPoll:
        self._proofs.prove(time)
        return super().begin_poll(time)


class _ProvingByAnyRead(Fanout):
    """N2 broken: a read is a proof although the log has events that are not published."""

    def confirm_read(self, poll: LogPoll, revision: int) -> None:
        del revision
        self._proofs.prove(poll.time)


class _Torn(SimulatedCache):
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
        _WithoutDrift,
        _MappedAtArrival,
        _MappedBackwards,
        _MappedForEver,
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


@pytest.mark.parametrize(
    "broken", [_Overtaking, _OvertakingInBatch, _Forgetting, _KeepingTheOldest]
)
def test_a_broken_server_is_seen(broken: Callable[[int], Outbox]) -> None:
    """The checker detects a server that breaks one rule."""
    with pytest.raises(AssertionError):
        _run_seeds(make_outbox=broken)


@pytest.mark.parametrize("broken", [_ProvingEarly, _ProvingByAnyRead])
def test_a_server_that_proves_too_early_is_seen(broken: Callable[..., Fanout]) -> None:
    """The checker detects signs of life that are as of a look at the log with later events."""
    with pytest.raises(AssertionError):
        _run_seeds(make_fanout=broken)


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
