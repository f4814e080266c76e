"""Rules of the near cache's machine that no order of messages can show: each is played once."""

from relevo.v1.context_pb2 import ContextEntry
from relevo.v1.store_pb2 import (
    Batch,
    Invalidated,
    Position,
    Progress,
    Reset,
    Subscribe,
    WatchResponse,
)
from relevo_client import CacheOptions, ContextKey, ContextRef
from relevo_client import ContextEntry as Entry
from relevo_client._near_cache import contexts
from relevo_client._near_cache.contexts import resolve
from relevo_client._near_cache.machine import NearCache
from relevo_client._near_cache.state import ABSENT
from support.clients.subscribing import subscribes

KEYS = [ContextKey("conversation", "acme", f"c{number}") for number in range(10)]
NOW = 1e9
"""Seconds that no clock has reached: a time that the machine reads itself is too old (N8)."""
VERSION = 7
POSITION = 9


def entry_of(asked: Subscribe, size: int = 0) -> ContextEntry:
    """The entry that a cache asks for, with a text of this size."""
    entry = ContextEntry(key=asked.key, partition=1, version=VERSION)
    entry.context.user_id = "u" * size
    entry.ttl.FromSeconds(60)
    return entry


def answer(cache: NearCache, size: int = 0) -> None:
    """Answer what the cache asks for by entries with a text of this size."""
    for asked in subscribes(cache, 1, POSITION):
        cache.received(WatchResponse(entry=entry_of(asked, size), answers=asked.number))


def test_a_stream_resumes_from_its_position() -> None:
    """The next stream is told the version and the position that the cache has reached (N4).

    A server that has not reached this position says so: its store has lost what was seen.
    """
    cache = NearCache(CacheOptions())
    cache.opened(NOW)
    cache.lookup(KEYS[0], 0, NOW)
    answer(cache)
    assert cache.lookup(KEYS[0], POSITION, NOW)
    cache.stream_ended()
    cache.opened(NOW)
    (asked,) = subscribes(cache, 1, POSITION)
    assert (asked.known_version, asked.position) == (VERSION, POSITION)


def test_a_fence_that_is_not_reached() -> None:
    """A copy serves a call from the moment on at which its stream has reached the fence (N1)."""
    cache = NearCache(CacheOptions())
    cache.opened(NOW)
    cache.lookup(KEYS[0], 0, NOW)
    answer(cache)
    assert cache.lookup(KEYS[0], POSITION, NOW)
    assert not cache.lookup(KEYS[0], POSITION + 1, NOW)
    reached = Progress(positions=[Position(partition=1, revision=POSITION + 1)])
    cache.received(WatchResponse(progress=reached))
    assert cache.lookup(KEYS[0], POSITION + 1, NOW)


def test_an_answer_to_a_subscription_that_was_replaced() -> None:
    """After a reset, the answer to the subscription before it is not stored (N3)."""
    cache = NearCache(CacheOptions())
    cache.opened(NOW)
    cache.lookup(KEYS[0], 0, NOW)
    (replaced,) = subscribes(cache, 1, POSITION)
    cache.received(WatchResponse(reset=Reset(partition=1)))
    (asked,) = subscribes(cache, 1, POSITION)
    assert asked.number > replaced.number
    cache.ping(NOW)
    subscribes(cache, 1, POSITION)
    for number, is_stored in ((replaced.number, False), (asked.number, True)):
        cache.received(WatchResponse(entry=entry_of(asked), answers=number))
        assert bool(cache.lookup(KEYS[0], 0, NOW)) is is_stored


def test_the_order_of_a_batch() -> None:
    """The messages of a batch are applied in their order (N3): what it ends stays ended."""
    cache = NearCache(CacheOptions())
    cache.opened(NOW)
    cache.lookup(KEYS[0], 0, NOW)
    (asked,) = subscribes(cache, 1, POSITION)
    answered = WatchResponse(entry=entry_of(asked), answers=asked.number)
    end = Invalidated(key=asked.key, revision=VERSION + 1, partition=1)
    batch = Batch(messages=[answered, WatchResponse(invalidated=end)])
    cache.received(WatchResponse(batch=batch))
    copy = cache.lookup(KEYS[0], 0, NOW)
    assert copy
    assert copy.version == ABSENT


def test_it_is_bounded_by_bytes() -> None:
    """Entries have no more than `max_bytes`; those that were not used for longest go (N6)."""
    size, room = 1000, 3
    cache = NearCache(CacheOptions(max_bytes=(room + 1) * size))
    cache.opened(NOW)
    for key in KEYS:
        cache.lookup(key, 0, NOW)
        answer(cache, size)
        assert cache.figures(NOW).size <= (room + 1) * size
    assert cache.counts.evictions == len(KEYS) - room
    assert all(cache.lookup(key, 0, NOW) for key in KEYS[-room:])
    assert cache.lookup(KEYS[0], 0, NOW) is None


def test_calls_with_one_later_fence_share_an_entry() -> None:
    """Calls with the same fence, later than the entry, get one object, and so compute nothing anew.

    Another fence, or another version of the entry, is another object.
    """
    cache = NearCache(CacheOptions())
    cache.opened(NOW)
    cache.lookup(KEYS[0], 0, NOW)
    answer(cache)

    def found(fence: int) -> tuple[int, Entry]:
        entry = resolve(cache, ContextRef(KEYS[0], fence), NOW)
        assert entry
        return entry.revision, entry

    assert found(0) == found(VERSION)
    assert found(0)[1] is found(VERSION)[1]
    assert found(POSITION)[0] == POSITION
    assert found(POSITION)[1] is found(POSITION)[1]
    earlier = found(POSITION)[1]
    assert found(POSITION - 1)[0] == POSITION - 1
    assert found(POSITION)[0] == POSITION
    pushed = ContextEntry(key=KEYS[0].to_message(), partition=1, version=VERSION + 1)
    pushed.context.user_id = "new"
    pushed.ttl.FromSeconds(60)
    cache.received(WatchResponse(entry=pushed))
    assert (found(POSITION)[1].context.user_id, earlier.context.user_id) == ("new", "")


def test_a_ping_waits_for_no_other_request() -> None:
    """Pings are sent before whatever else waits, in their order (N2).

    A full cache takes seconds to subscribe to all entries, longer than a proof may be old.
    """
    cache = NearCache(CacheOptions())
    for number in range(100):
        cache.lookup(ContextKey("conversation", "acme", f"{number}"), 0, NOW)
    cache.opened(NOW)
    assert cache.requests()[0].ping.number == 1
    cache.ping(NOW + 0.25)
    cache.ping(NOW + 0.5)
    first, second, third, *_ = cache.requests()
    assert first.ping.number < second.ping.number
    assert third.HasField("subscribe")
    cache.ping(NOW + 0.75)
    assert cache.requests()[0].ping.number > second.ping.number


def test_an_entry_with_a_malformed_include() -> None:
    """An entry that names no valid layer ends no stream: its lookups ask the store (S8)."""
    cache = NearCache(CacheOptions())
    cache.opened(NOW)
    for key in KEYS[:2]:
        cache.lookup(key, 0, NOW)
    for asked in subscribes(cache, 1, POSITION):
        entry = entry_of(asked)
        if asked.key.id == KEYS[0].id:
            entry.context.includes.add(scope="tool", tenant_id="acme", id="\n")
        cache.received(WatchResponse(entry=entry, answers=asked.number))
    assert contexts.entry(cache, KEYS[0], 0, NOW) is None
    assert contexts.entry(cache, KEYS[1], 0, NOW)
