"""How long a writer waits so that no near cache has the old value; no shorter wait is enough."""

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relevo.v1.context_pb2 import ContextEntry
from relevo.v1.store_pb2 import Position, WatchResponse
from relevo_client import CacheOptions, ContextKey
from relevo_client._near_cache.machine import NearCache

KEY = ContextKey("agent_config", "acme", "support")
OLD, PUT = 7, 9
OPTIONS = CacheOptions(max_staleness=2.0)
BEGIN = 100.0
SECONDS = st.floats(0, 10, allow_nan=False)


class Ping(NamedTuple):
    """A sign of life: when the cache asks, when the server looks into the log, and the arrival."""

    sent: float
    looked: float
    arrived: float


pings = st.lists(
    st.tuples(SECONDS, SECONDS, SECONDS).map(
        lambda times: Ping(BEGIN + times[0], BEGIN + times[0] + times[1], BEGIN + sum(times))
    ),
    max_size=8,
)


def is_old_served(signs: Sequence[Ping], put: float, read: float) -> bool:
    """Whether a cache serves the old value at `read`, of which `put` is the replacement's time.

    The network is as bad as the rules allow: nothing that the server sends after it has seen the
    replacement arrives before the read, and everything that it sent before does so in order.
    """
    cache = NearCache(OPTIONS)
    cache.opened(BEGIN)
    assert cache.lookup(KEY, 0, BEGIN) is None
    (subscribed,) = [each.subscribe for each in cache.requests() if each.HasField("subscribe")]
    entry = ContextEntry(key=KEY.to_message(), partition=1, version=OLD)
    entry.ttl.FromSeconds(600)
    entry.context.user_id = "u"
    cache.received(WatchResponse(entry=entry, answers=subscribed.number))
    before = sorted(each for each in signs if each.looked < put)
    numbers: list[int] = []
    for sign in before:
        cache.ping(sign.sent)
        numbers += [each.ping.number for each in cache.requests() if each.HasField("ping")]
    for sign, number in zip(before, numbers, strict=True):
        if sign.arrived <= read:
            position = Position(partition=1, revision=OLD, ping=number)
            cache.received(WatchResponse(positions=[position]))
    found = cache.lookup(KEY, 0, read)
    return found is not None and found.version == OLD


@given(signs=pings, put=SECONDS, answer=SECONDS, later=SECONDS)
def test_the_wait_is_long_enough(
    signs: Sequence[Ping], put: float, answer: float, later: float
) -> None:
    """From `max_staleness` after the Put's answer on, no cache serves what the Put replaced.

    However late signs of life arrive: each counts from its sending, and an answer that does not
    know the Put is to a ping that was sent before the Put.
    """
    acknowledged = BEGIN + put + answer
    read = acknowledged + OPTIONS.max_staleness + later
    assert not is_old_served(signs, BEGIN + put, read)


@pytest.mark.parametrize("part", [0.0, 0.5, 0.999])
def test_no_shorter_wait_is(part: float) -> None:
    """A sign of life just before the Put lets a cache serve the old value for all of the time."""
    put = BEGIN + 1
    sign = Ping(put - 1e-6, put - 1e-7, put)
    assert is_old_served([sign], put, put + part * OPTIONS.max_staleness)


def test_whoever_has_heard_of_the_put_need_not_wait() -> None:
    """A read with the Put's revision as its fence is never answered by an older copy."""
    cache = NearCache(OPTIONS)
    cache.opened(BEGIN)
    cache.lookup(KEY, 0, BEGIN)
    ping, subscribed = cache.requests()
    entry = ContextEntry(key=KEY.to_message(), partition=1, version=OLD)
    entry.ttl.FromSeconds(600)
    entry.context.user_id = "u"
    position = Position(partition=1, revision=OLD, ping=ping.ping.number)
    cache.received(
        WatchResponse(entry=entry, answers=subscribed.subscribe.number, positions=[position])
    )
    assert cache.lookup(KEY, OLD, BEGIN)
    assert cache.lookup(KEY, PUT, BEGIN) is None
