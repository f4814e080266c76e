"""`rediss+cluster://` and `rediss+sentinel://`: connections to every node use TLS.

If Redis is built with TLS, it uses TLS itself, also among its nodes; if not, a proxy in front of
each node does.
"""

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from relevo_server.keys import partition_of
from relevo_server.settings import Settings
from relevo_server.storage import open_storage
from support.clients.calls import context, get, invalidate, is_alive, key, put
from support.clients.watching import Watch
from support.failures import failure_of
from support.network.certificates import Pair, signed_by
from support.redis.cluster import NODES, RedisCluster
from support.redis.tls import ProxiedRedisProcess, TlsRedisProcess, is_built_with_tls
from support.servers.process import relevo_serve
from support.servers.serving import serving, stub_of
from support.servers.settings import settings_on
from support.waiting import until

TENANTS = [f"tenant-{i}" for i in range(30)]


@pytest.fixture(scope="module")
def own(folder: Path, signer: Pair) -> Pair:
    """The certificate of every Redis."""
    return signed_by(signer, folder, "redis")


@pytest.fixture(scope="module")
def cluster(own: Pair, signer: Pair) -> Iterator[RedisCluster]:
    """Three nodes that report their TLS ports to clients."""
    if is_built_with_tls():
        started = RedisCluster(partial(TlsRedisProcess, own, signer), "--tls-cluster", "yes")
    else:
        started = RedisCluster(partial(ProxiedRedisProcess, own, signer))
    with started as cluster:
        yield cluster


def settings_for(url: str) -> Settings:
    """Settings of a server on this store, with the test's own keys.

    The timeout is long: on a busy machine, dozens of simultaneous TLS handshakes take more than a
    second.
    """
    return settings_on(url, store_timeout=20.0)


async def test_every_node(cluster: RedisCluster) -> None:
    """Put, Get, Invalidate and Watch work on all nodes, and MOVED is followed over TLS."""
    settings = settings_for(cluster.url)
    assert settings.store.get_secret_value().startswith("rediss+cluster://")

    async with serving(settings) as stub:

        async def use(tenant: str) -> int:
            named = key(tenant=tenant)
            first = await put(stub, named, context(user_id=tenant))
            async with Watch(stub) as watch:
                answer = await watch.answer(watch.subscribe(named))
                assert answer.entry.version == first.revision
                second = await put(stub, named, context(user_id="u"))
                assert (await watch.news()).entry.version == second.revision
                assert (await get(stub, named)).entry.version == second.revision
                await invalidate(stub, named)
            assert not await is_alive(stub, named)
            tag = f"{{{settings.store_prefix}:{partition_of(tenant, settings.partitions)}}}"
            return cluster.node_of(tag)

        nodes = await asyncio.gather(*map(use, TENANTS))
    assert set(nodes) == set(range(NODES))


async def test_a_slot_that_moves(cluster: RedisCluster) -> None:
    """The connection to a node that ASK or MOVED names later uses TLS too."""
    settings = settings_for(cluster.url)
    async with serving(settings) as stub:
        named = key(tenant="moving")
        first = await put(stub, named)
        tag = f"{{{settings.store_prefix}:{partition_of('moving', settings.partitions)}}}"
        slot, home = cluster.slot_of(tag), cluster.node_of(tag)
        away = (home + 1) % NODES
        here, there = cluster.clients[home], cluster.clients[away]
        there("CLUSTER", "SETSLOT", slot, "IMPORTING", here("CLUSTER", "MYID"))
        here("CLUSTER", "SETSLOT", slot, "MIGRATING", there("CLUSTER", "MYID"))
        names = here("CLUSTER", "GETKEYSINSLOT", slot, 1000)
        here("MIGRATE", "127.0.0.1", cluster.nodes[away].port, "", 0, 5000, "KEYS", *names)
        assert (await get(stub, named)).entry.version == first.revision  # by ASK
        cluster.give(slot, away)
        assert (await put(stub, named)).revision > first.revision  # by MOVED
        there("DEL", *there("CLUSTER", "GETKEYSINSLOT", slot, 1000))
    cluster.give(slot, home)


async def test_nodes_that_are_not_trusted(cluster: RedisCluster) -> None:
    """Without the authority in `ssl_ca_certs`, no node is used, and the log has the reason."""
    with relevo_serve("--store", cluster.url.partition("?")[0]) as server:
        async with stub_of(server.address) as stub:
            assert (await failure_of(put(stub, key()))).reason == "STORE_UNAVAILABLE"
        assert "CERTIFICATE_VERIFY_FAILED" in server.events("store.lost")[0]["cause"]


@pytest.mark.skipif(not is_built_with_tls(), reason="this Redis is built without TLS")
async def test_sentinels_over_tls(own: Pair, signer: Pair) -> None:
    """Connections to Sentinels, and to the master that they report, use TLS."""
    redis = partial(TlsRedisProcess, own, signer)
    with redis() as master:
        config = f"sentinel monitor mymaster 127.0.0.1 {master.port} 1\n"
        with redis("--sentinel", config=config) as sentinel:
            address, _, options = sentinel.url.removeprefix("rediss://").partition("?")
            settings = settings_for(f"rediss+sentinel://{address}/mymaster?{options}")
            async with serving(settings) as stub:
                first = await put(stub, key())
                assert (await get(stub, key())).entry.version == first.revision
            with master.client() as client:
                until(lambda: client.names(settings.store_prefix))


def test_options_of_the_url(tmp_path: Path) -> None:
    """The URL has the TLS options of `rediss://`, and a missing file is named."""
    url = f"rediss+cluster://:s3cret@127.0.0.1?ssl_ca_certs={tmp_path}/none.pem"
    with pytest.raises(ValueError, match="TLS files") as caught:
        open_storage(url, partitions=1)
    assert "s3cret" not in str(caught.value)
