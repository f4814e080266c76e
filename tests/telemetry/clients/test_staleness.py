"""How stale a near cache may be: the time since its copies were last proven current."""

from relevo.v1.context_pb2 import ContextEntry as EntryMessage
from relevo.v1.store_pb2 import Position, Progress, Reset, ResetReason, WatchResponse
from relevo_client import CacheOptions, ContextKey
from relevo_client._near_cache.machine import NearCache
from support.telemetry.recorded import Meters

KEYS = [ContextKey("conversation", "acme", f"c-{i}") for i in range(2)]
VERSION = 8


def looked_up(cache: NearCache, key: ContextKey, partition: int) -> None:
    """Look a key up, and answer its Subscribe."""
    cache.lookup(key, 0, now=0)
    number = next(
        request.subscribe.number
        for request in cache.requests()
        if request.WhichOneof("request") == "subscribe"
    )
    entry = EntryMessage(key=key.to_message(), version=VERSION, partition=partition)
    entry.ttl.FromSeconds(300)
    entry.context.SetInParent()
    cache.received(WatchResponse(entry=entry, answers=number))


def ping(cache: NearCache, now: float, *partitions: int) -> None:
    """Send a ping at this time, which is answered for these partitions."""
    cache.ping(now)
    number = max(request.ping.number for request in cache.requests())
    positions = [
        Position(partition=partition, revision=VERSION, ping=number) for partition in partitions
    ]
    cache.received(WatchResponse(progress=Progress(positions=positions)))


def opened(options: CacheOptions | None = None) -> NearCache:
    """A cache with an open stream."""
    cache = NearCache(options or CacheOptions())
    cache.opened(now=0)
    return cache


def test_nothing_is_proven() -> None:
    """A cache has no staleness before the first proof, and is not connected."""
    cache = opened()
    assert cache.figures(now=9) == (0, 0, None, False)
    looked_up(cache, KEYS[0], partition=1)
    figures = cache.figures(now=9)
    assert (figures.entries, figures.staleness, figures.is_connected) == (1, None, True)


def test_it_grows_while_the_stream_is_lost() -> None:
    """The staleness counts from the last proof, whatever became of its stream."""
    cache = opened()
    looked_up(cache, KEYS[0], partition=1)
    ping(cache, 10, 1)
    assert cache.figures(now=12).staleness == 2
    cache.stream_ended()
    assert cache.figures(now=30) == (1, cache.figures(now=0).size, 20, False)
    cache.opened(now=40)
    assert cache.figures(now=41).staleness == 31
    ping(cache, 42, 1)
    assert cache.figures(now=43).staleness == 1
    assert cache.counts.reconnects == 1


def test_the_oldest_partition_counts() -> None:
    """One partition that is silent makes the cache stale, as long as it has copies there."""
    cache = opened(CacheOptions(max_entries=2))
    looked_up(cache, KEYS[0], partition=1)
    looked_up(cache, KEYS[1], partition=2)
    ping(cache, 10, 1, 2)
    ping(cache, 20, 2)
    assert cache.figures(now=21).staleness == 11
    looked_up(cache, ContextKey("conversation", "acme", "c-3"), partition=2)  # evicts the first
    assert cache.figures(now=21).staleness == 1


def test_resets(meters: Meters) -> None:
    """A reset counts by its reason, and proves nothing: the staleness grows on."""
    cache = opened()
    looked_up(cache, KEYS[0], partition=1)
    ping(cache, 10, 1)
    before = meters.figures()
    for reason in (
        ResetReason.RESET_REASON_LOG_TRIMMED,
        ResetReason.RESET_REASON_SLOW_WATCHER,
        ResetReason.RESET_REASON_SLOW_WATCHER,
        ResetReason.RESET_REASON_UNSPECIFIED,
    ):
        cache.received(WatchResponse(reset=Reset(partition=1, reason=reason)))
    assert cache.figures(now=13).staleness == 3
    counted = meters.figures().since(before)
    resets = "relevo.client.watch.resets"
    assert counted.total(resets, relevo__reset__reason="log_trimmed") == 1
    assert counted.total(resets, relevo__reset__reason="slow_watcher") == 2
    assert counted.total(resets, relevo__reset__reason="other") == 1
    assert counted.total(resets) == 4
