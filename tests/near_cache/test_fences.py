"""Fences come back: after an answer, no read of the caller is older than what its callee knew."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from relevo.v1.context_pb2 import ContextEntry as Entry
from relevo.v1.store_pb2 import Position, Progress, WatchResponse
from relevo_client import CacheOptions, ContextKey, ContextRef
from relevo_client._context.fences import MAX_TENANTS, Fences
from relevo_client._near_cache.machine import NearCache
from support.entries import entry_of
from support.simulation.calls import WorldOfCalls, answer
from support.simulation.seeds import served_in_all, some_seeds
from support.simulation.store import TENANT

STEPS = 1500


@some_seeds
def test_any_order(seeds: range) -> None:
    """In any order of calls, messages and faults, a call's reads never fall behind.

    Nothing that a call reads is older than what the call, its caller before it, or a callee that
    has answered it has written or seen.
    """
    served = served_in_all(WorldOfCalls, STEPS, seeds)
    assert served > len(seeds) * 5, "the caches were hardly ever used"


class _WithoutReference(Fences):
    """Broken: a call's fence begins at 0, not at its reference's revision."""

    def __init__(self, ref: ContextRef | None = None) -> None:
        super().__init__(ref)
        self.revision = 0


class _Unused(Fences):
    """Broken: reads are not fenced."""

    def raised(self, ref: ContextRef) -> ContextRef:
        return ref


class _Falling(Fences):
    """Broken: the last answer counts, and not the newest."""

    def rise(self, tenant_id: str, revision: int) -> None:
        del tenant_id
        self.revision = revision


def _deaf(caller: Fences, callee: Fences) -> None:
    """Broken: answers bring nothing back."""
    del caller, callee


@pytest.mark.parametrize(
    "broken",
    [
        {"make_fences": _WithoutReference},
        {"make_fences": _Unused},
        {"make_fences": _Falling},
        pytest.param({"answer": _deaf}, marks=pytest.mark.long),  # only late seeds show it
    ],
    ids=["without the reference", "unused", "falling", "deaf"],
)
def test_a_broken_fence_is_seen(broken: dict[str, Callable[..., Any]]) -> None:
    """The checker detects fences that do not come back, or not with everything."""
    with pytest.raises(AssertionError, match="older than the fence"):
        _run_seeds(**broken)


def _run_seeds(**parts: Any) -> None:
    for seed in range(1000):
        WorldOfCalls(seed, **parts).run(STEPS)


def test_fences_come_back() -> None:
    """The simulated calls take newer revisions back, so that there is something to check."""
    world = WorldOfCalls(0)
    world.run(STEPS)
    assert world.answered > 5


SNAPSHOT = ContextKey("snapshot", TENANT, "sha256-" + "0" * 64)
NOW = 1e9
VERSION, POSITION = 7, 9


def _cached(key: ContextKey, *, exists: bool = True) -> NearCache:
    """A near cache that has been told of an entry, or of its absence."""
    cache = NearCache(CacheOptions())
    cache.opened(NOW)
    cache.lookup(key, 0, NOW)
    for request in cache.requests():
        if request.HasField("ping"):
            position = Position(partition=1, revision=POSITION, ping=request.ping.number)
            message = WatchResponse(progress=Progress(positions=[position]))
        else:
            message = WatchResponse(answers=request.subscribe.number)
            if exists:
                message.entry.CopyFrom(Entry(key=key.to_message(), partition=1, version=VERSION))
                message.entry.context.SetInParent()
                message.entry.ttl.FromSeconds(60)
            else:
                message.invalidated.key.CopyFrom(key.to_message())
                message.invalidated.partition = 1
        cache.received(message)
    return cache


def test_a_snapshot_serves_any_fence() -> None:
    """A fence that has risen asks nobody for a snapshot: its content is its name.

    An entry that may change has to be asked for, and so has a snapshot that was not there. What
    this process has written counts: it may have ended the snapshot. And it ends with the stream's
    proof, as any entry does.
    """
    risen = POSITION + 1
    cache = _cached(SNAPSHOT)
    assert cache.lookup(SNAPSHOT, risen, NOW)
    assert cache.lookup(SNAPSHOT, risen, NOW + CacheOptions().max_staleness) is None
    cache.record_write(TENANT, risen, NOW)
    assert cache.lookup(SNAPSHOT, 0, NOW) is None
    for key, exists in (
        (SNAPSHOT, False),
        (ContextKey("snapshot", TENANT, "by hand"), True),
        (ContextKey("conversation", TENANT, SNAPSHOT.id), True),
    ):
        other = _cached(key, exists=exists)
        assert other.lookup(key, POSITION, NOW)
        assert other.lookup(key, risen, NOW) is None


def test_an_answer_ends_the_use_of_older_copies() -> None:
    """A copy from before the callee's write serves the caller until it is answered, and not after.

    If the answer brings nothing back, the caller goes on with what was there before.
    """
    ref = ContextRef(ContextKey("conversation", TENANT, "c"), VERSION)
    cache = _cached(ref.key)
    for bring_back, is_served in ((_deaf, True), (answer, False)):
        caller, callee = Fences(ref), Fences(ref)
        callee.rise(TENANT, POSITION + 1)
        assert cache.lookup(ref.key, caller.raised(ref).revision, NOW)
        bring_back(caller, callee)
        served = cache.lookup(ref.key, caller.raised(ref).revision, NOW)
        assert (served is not None) is is_served


def test_a_snapshot_raises_nothing() -> None:
    """What a call reads raises its fence to the newest version in it; a snapshot does not."""
    fences = Fences(ContextRef(ContextKey("conversation", TENANT, "c"), 5))
    layer = entry_of("u", key=ContextKey("agent_config", TENANT, "a"), revision=8)
    head = replace(entry_of("u", key=SNAPSHOT, revision=6), revision=20, layers=(layer,))
    fences.see(head)
    assert fences.risen() == 0
    fences.see(replace(head, key=ContextKey("conversation", TENANT, "c")))
    assert fences.risen() == 8


def test_many_tenants_are_bounded() -> None:
    """A call keeps the fences of so many other tenants: the one that rose first is forgotten."""
    fences = Fences()
    for number in range(MAX_TENANTS + 1):
        fences.rise(f"t{number}", 1)
        fences.rise("t0", number)
    assert fences.of("t0") == MAX_TENANTS
    assert (fences.of("t1"), fences.of("t2")) == (0, 1)


def test_answers_that_are_outstanding() -> None:
    """An answer that arrives unnoticed is asked for before the fences are used, then no more."""
    fences = Fences(ContextRef(ContextKey("conversation", TENANT, "c"), 5))
    arrived: list[int] = []
    asked: list[int] = []

    def answer() -> bool:
        asked.append(len(arrived))
        for revision in arrived:
            fences.rise(TENANT, revision)
        return bool(arrived)

    fences.expect(answer)
    assert fences.of(TENANT) == 5
    arrived.append(9)
    assert [fences.of(TENANT), fences.risen(), fences.of(TENANT)] == [9, 9, 9]
    assert asked == [0, 1]


def test_tenants_are_apart() -> None:
    """A fence is a revision of one tenant: it raises nothing of another."""
    ref = ContextRef(ContextKey("conversation", TENANT, "c"), 5)
    fences = Fences(ref)
    fences.rise("other", 9)
    assert (fences.of(TENANT), fences.of("other"), fences.of("third")) == (5, 9, 0)
    assert (fences.raised(ref), fences.risen()) == (ref, 0)
