"""A Sentinel failover under load loses only acknowledged writes that Redis itself lost.

Redis replicates asynchronously, so a failover loses the last writes that the old master
acknowledged. The new master's own log decides which ones those are: a log has every write of its
partition, and a replica has a log up to some write. So the lost writes are one run, all of them
begun while the old master was in use. A write that is missing before others of the old master, or
after the failover, was lost by Relevo.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from relevo.v1.store_pb2 import ResetReason
from relevo_server import revisions
from relevo_server.keys import partition_of
from support.clients.calls import Stub, context, get, key, put
from support.clients.load import KEYS, Load
from support.clients.watching import Watch
from support.pauses import watched
from support.redis.client import RedisClient
from support.redis.process import RedisProcess
from support.redis.sentinel import SERVICE, RedisSentinels
from support.servers.process import relevo_serve
from support.waiting import until, until_async

USER = ("ACL", "SETUSER", "relevo", "on", ">secret", "~*", "+@all")
SLACK = 1.0
"""Seconds after the Sentinels' agreement within which a server may still use the old master.

Seconds in which this process got no CPU do not count: the servers share it.
"""


@pytest.fixture
def sentinels() -> Iterator[RedisSentinels]:
    """Servers and Sentinels that the test may break."""
    with RedisSentinels(silence=1.0) as sentinels:  # a busy machine is no loss
        for server in sentinels.servers:
            with server.client() as client:
                client(*USER)
        yield sentinels


@pytest.fixture
def store_url(sentinels: RedisSentinels) -> str:
    """The server has its own Redis user, so that a test can lock out all others."""
    return sentinels.url.replace("://", "://relevo:secret@")


@pytest.fixture
async def load(store_url: str) -> AsyncIterator[Load]:
    """Writers on one server, and a reader on another."""
    with relevo_serve("--store", store_url) as one, relevo_serve("--store", store_url) as other:
        async with Load(writing=one.address, reading=other.address) as load:
            yield load


def killed(sentinels: RedisSentinels) -> None:
    """The master is killed."""
    sentinels.master().stop()


def stopped(sentinels: RedisSentinels) -> None:
    """The master is stopped, and its connections stay open."""
    sentinels.master().signal(signal.SIGSTOP)


def demoted(sentinels: RedisSentinels) -> None:
    """The master becomes a replica by an operator's command."""
    with sentinels.sentinels[0].client() as client:
        client("SENTINEL", "FAILOVER", SERVICE)


def isolated(sentinels: RedisSentinels) -> None:
    """The servers reach the master; its replicas and the Sentinels do not."""
    shut_out(sentinels.master(), "-@all")


def guarded(sentinels: RedisSentinels) -> None:
    """The same, for a master that refuses writes without a replica."""
    for server in sentinels.servers:
        with server.client() as client:
            client("CONFIG", "SET", "min-replicas-to-write", 1)
    isolated(sentinels)


def shut_out(master: RedisProcess, *rules: str) -> None:
    """Revoke the rights of all users but the servers'; replicas must connect again."""
    with RedisClient(master.url.replace("://", "://relevo:secret@")) as client:
        client("ACL", "SETUSER", "default", *rules)
        client("CLIENT", "KILL", "TYPE", "replica")


def log_of(server: RedisProcess) -> set[int]:
    """The revisions in a Redis server's log."""
    partition = partition_of(KEYS[0].tenant_id, 64)
    with server.client() as client:
        events = client("XRANGE", f"{{relevo:{partition}}}:log", "-", "+")
    return {revisions.from_log_id(log_id) for log_id, _ in events}


FAULTS = [killed, stopped, demoted, isolated, guarded]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_failover_under_load(
    sentinels: RedisSentinels, load: Load, fault: Callable[[RedisSentinels], None]
) -> None:
    """Writes and reads continue with the new master, and only writes that Redis lost are lost.

    The old master gets no more writes if it continues after a stop, or if only the servers still
    reach it. If it requires a replica, it refuses them at once.
    """
    old = sentinels.master()
    await load.settled(writes=20)
    async with watched() as pauses:
        begin = time.monotonic()
        await asyncio.to_thread(fault, sentinels)
        broken = time.monotonic()
        await asyncio.to_thread(until, lambda: sentinels.agreed() not in (None, old), within=20)
        agreed = time.monotonic()
        if fault is stopped:
            old.signal(signal.SIGCONT)
        new = sentinels.master()

        async def goes_on() -> bool:
            log = await asyncio.to_thread(log_of, new)
            return any(
                each.ref.revision in log for each in load.acknowledged if each.began > agreed
            )

        await until_async(goes_on, within=20, what="the new master has writes")
        written = time.monotonic()
    await load.settled()
    converged = await load.converged()
    log = log_of(new)
    lost = [each for each in load.acknowledged if each.ref.revision not in log]
    print(
        f"{fault.__name__}: the Sentinels agreed after {agreed - begin:.2f} s, writes went on "
        f"{written - agreed:.2f} s later, readers converged in {converged:.2f} s; Redis lost "
        f"{len(lost)} of {len(load.acknowledged)} writes"
    )
    if lost:
        missing = {each.ref.revision for each in lost}
        assert not [revision for revision in log if min(missing) < revision < max(missing)]
        in_use = broken if fault is guarded else agreed
        assert max(each.began for each in lost) < in_use + SLACK + sum(pauses)
    await load.check(log, lost)


async def test_a_position_that_the_new_master_does_not_have(
    sentinels: RedisSentinels, stub: Stub
) -> None:
    """A watcher that saw a write which Redis lost is reset, and gets the current value (S3)."""
    kept = (await put(stub, key(), context(user_id="kept"))).revision
    master = sentinels.master()
    async with Watch(stub) as watch:
        await watch.answer(watch.subscribe(key()))
        until(lambda: all(kept in log_of(server) for server in sentinels.servers))
        shut_out(master, "-psync", "-sync")
        lost = (await put(stub, key(), context(user_id="lost"))).revision
        assert (await watch.news()).entry.version == lost
        master.stop()
        reset = await watch.news()
        assert reset.reset.reason == ResetReason.RESET_REASON_ORDER_CHANGED
        answer = await watch.answer(watch.subscribe(key(), known_version=lost))
        assert (answer.entry.version, answer.entry.context.user_id) == (kept, "kept")
    again = await put(stub, key(), context(user_id="again"))
    assert again.revision > lost
    assert (await get(stub, key())).entry.version == again.revision
