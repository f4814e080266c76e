"""A Redis that may evict any key may lose the order of revisions: the server warns of it."""

from collections.abc import Iterator
from typing import Any

import pytest
from support.redis.cluster import RedisCluster
from support.redis.process import RedisProcess
from support.redis.sentinel import RedisSentinels
from support.servers.process import RelevoProcess, relevo_serve
from support.waiting import until

EVICTING = ("--maxmemory-policy", "allkeys-lru")


def warned(server: RelevoProcess) -> list[Any]:
    """The policies in the server's warnings, one for each warning."""
    return [event["policy"] for event in server.events("store.eviction")]


def test_at_start() -> None:
    """At its start the server logs one warning with the policy, and the one to set instead."""
    with RedisProcess(*EVICTING) as redis, relevo_serve("--store", redis.url) as server:
        (event,) = server.events("store.eviction")
    assert (event["level"], event["policy"]) == ("warning", "allkeys-lru")
    assert "volatile-" in event["advice"]


@pytest.mark.parametrize("policy", ["noeviction", "volatile-lru", "volatile-ttl"])
def test_policies_that_will_do(policy: str) -> None:
    """Policies that evict nothing, or only keys with a time to live, cause no warning."""
    with (
        RedisProcess("--maxmemory-policy", policy) as redis,
        relevo_serve("--store", redis.url) as server,
    ):
        assert warned(server) == []


USER = "user relevo on >pw ~* &* +@all"


@pytest.mark.parametrize(
    "forbidden, policies",
    [
        ("", ["allkeys-lru"]),
        ("-config", ["allkeys-lru"]),
        ("-info", ["allkeys-lru"]),
        ("-info -config", []),
    ],
)
def test_what_may_not_be_asked(forbidden: str, policies: list[str]) -> None:
    """INFO or CONFIG GET is enough; a Redis user that may run neither causes no warning."""
    with RedisProcess(*EVICTING, config=f"{USER} {forbidden}\n") as redis:
        url = redis.url.replace("//", "//relevo:pw@")
        with relevo_serve("--store", url, "--log-level", "debug") as server:
            assert warned(server) == policies
            assert server.events("store.refused") == []


def test_found_again() -> None:
    """A Redis that is reached again may be another one: its policy is checked again."""
    with RedisProcess(*EVICTING) as redis:
        redis.stop()
        flags = ("--health-interval", "0.1", "--store-timeout", "0.3")
        with relevo_serve("--store", redis.url, *flags) as server:
            assert warned(server) == []
            redis.start()
            until(lambda: len(warned(server)) == 1, what="a warning")
            redis.stop()
            until(lambda: len(server.events("store.lost")) == 2)
            redis.start()
            until(lambda: len(warned(server)) == 2, what="another warning")


@pytest.fixture
def one_evicts(redis_cluster: RedisCluster) -> Iterator[RedisCluster]:
    """A Cluster whose last node may evict any key."""
    client = redis_cluster.clients[-1]
    client("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu")
    yield redis_cluster
    client("CONFIG", "SET", "maxmemory-policy", "noeviction")


def test_a_node_of_a_cluster(one_evicts: RedisCluster) -> None:
    """Every master of a Cluster is checked, whichever node the URL names."""
    with relevo_serve("--store", one_evicts.url) as server:
        assert warned(server) == ["allkeys-lfu"]


def test_the_master_of_sentinels() -> None:
    """The policy of the master that the Sentinels report is checked."""
    with RedisSentinels(silence=60) as sentinels:
        with sentinels.master().client() as client:
            client("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
        with relevo_serve("--store", sentinels.url) as server:
            assert warned(server) == ["allkeys-random"]
