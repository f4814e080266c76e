"""Rules of the near cache's machine that no order of messages can show: each is played once."""

from relevo.v1.context_pb2 import ContextEntry
from relevo.v1.store_pb2 import Position, Progress, Subscribe, WatchResponse
from relevo_client import CacheOptions, ContextKey
from relevo_client._near_cache.machine import NearCache

KEYS = [ContextKey("conversation", "acme", f"c{number}") for number in range(10)]
NOW = 1e9
"""Seconds that no clock has reached: a time that the machine reads itself is too old (N8)."""
VERSION = 7
POSITION = 9


def subscribes(cache: NearCache) -> list[Subscribe]:
    """What the cache asks for; its pings are answered."""
    found: list[Subscribe] = []
    for request in cache.requests():
        if request.HasField("subscribe"):
            found.append(request.subscribe)
        elif request.HasField("ping"):
            position = Position(partition=1, revision=POSITION, ping=request.ping.number)
            cache.received(WatchResponse(progress=Progress(positions=[position])))
    return found


def answer(cache: NearCache, size: int = 0) -> None:
    """Answer what the cache asks for by entries with a text of this size."""
    for asked in subscribes(cache):
        entry = ContextEntry(key=asked.key, partition=1, version=VERSION)
        entry.context.user_id = "u" * size
        entry.ttl.FromSeconds(60)
        cache.received(WatchResponse(entry=entry, answers=asked.number))


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
    (asked,) = subscribes(cache)
    assert (asked.known_version, asked.position) == (VERSION, POSITION)


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
