"""Two decisions of the near cache's machine that depend on time alone: ageing and silence."""

import hypothesis.strategies as st
from hypothesis import given
from relevo.v1.context_pb2 import ContextEntry
from relevo.v1.store_pb2 import Position, Progress, WatchResponse
from relevo_client import CacheOptions, ContextKey
from relevo_client._near_cache.machine import NearCache

LOADED = ContextKey("agent_config", "acme", "a1")
PLAIN = ContextKey("conversation", "acme", "c1")
WRITTEN = 1_700_000_000  # seconds since 1970
MAX_STALENESS = 2.0
NOW = 1000.0

pauses = st.lists(st.floats(0.0, 0.5), min_size=1, max_size=200)
twentieths = st.lists(st.floats(0.0, 2.0), min_size=20, max_size=60)
"""Pauses in twentieths of an entry's time: most lists go beyond its end."""


def answer(cache: NearCache, lifetime: float) -> None:
    """Answer the cache's requests: each entry exists, and was just written."""
    for request in cache.requests():
        if request.HasField("ping"):
            position = Position(partition=1, revision=1, ping=request.ping.number)
            cache.received(WatchResponse(progress=Progress(positions=[position])))
        elif request.HasField("subscribe"):
            entry = ContextEntry(
                key=request.subscribe.key, partition=1, version=WRITTEN * 1000 << 20
            )
            entry.context.user_id = "u"
            entry.ttl.FromMilliseconds(round(lifetime * 1000))
            entry.expire_time.FromMilliseconds(round((WRITTEN + lifetime) * 1000))
            cache.received(WatchResponse(entry=entry, answers=request.subscribe.number))


@given(lifetime=st.integers(1000, 60_000).map(lambda ms: ms / 1000), pauses=twentieths)
def test_ageing(lifetime: float, pauses: list[float]) -> None:
    """A used entry of a scope with a loader ages in its last fifth, at most once per twentieth.

    Any entry is used until its end, and no longer, and touched in the first use of its second half.
    """
    cache = NearCache(CacheOptions(MAX_STALENESS), renewed_scopes={LOADED.scope})
    cache.opened(NOW)
    for key in (LOADED, PLAIN):
        cache.lookup(key, 0, NOW)
    answer(cache, lifetime)
    end = NOW + lifetime
    whole = max(
        lifetime, round((WRITTEN + lifetime) * 1000) / 1000 - WRITTEN
    )  # as the cache rounds
    said: list[float] = []
    touched: list[str] = []
    now = NOW
    for pause in pauses:
        now += pause * lifetime / 20
        cache.ping(now)
        pings = [each for each in cache.requests() if each.HasField("ping")]
        position = Position(partition=1, revision=1, ping=pings[-1].ping.number)
        cache.received(WatchResponse(progress=Progress(positions=[position])))
        served = cache.lookup(LOADED, 0, now)
        assert bool(served) is bool(cache.lookup(PLAIN, 0, now)) is (now < end)
        touched += [each.touch.key.id for each in cache.requests() if each.HasField("touch")]
        if served:
            in_second_half = end - now < lifetime / 2
            assert touched == [LOADED.id, PLAIN.id] * in_second_half
        left = end - now
        ageing = cache.pop_ageing()
        assert [key for key, _ in ageing] in ([], [LOADED])
        is_due = left < whole / 5 and (not said or now - said[-1] >= whole / 20)
        assert bool(ageing) is (served is not None and is_due)
        said += [now] * len(ageing)


@given(pauses=pauses)
def test_silence(pauses: list[float]) -> None:
    """A stream is silent if a subscription or a ping has no answer for `max_staleness`.

    Other messages do not count as answers. Without a subscription, no answer is due.
    """
    cache = NearCache(CacheOptions(max_staleness=MAX_STALENESS))
    now = NOW
    cache.opened(now)
    for pause in pauses:
        now += pause
        assert not cache.is_silent(now)
        cache.ping(now)
    cache.lookup(PLAIN, 0, now)
    answer(cache, 60.0)
    assert not cache.is_silent(now)
    heard = now
    for pause in pauses:
        now += pause
        cache.ping(now)
        unasked = Position(partition=1, revision=2)
        cache.received(WatchResponse(progress=Progress(positions=[unasked])))
        assert cache.is_silent(now) is (now - heard > MAX_STALENESS)
