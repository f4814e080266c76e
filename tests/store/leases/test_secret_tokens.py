"""Tokens of leases in Redis: a reader of Redis cannot use them, and a rolling upgrade works."""

from hashlib import sha256

import pytest
from relevo_server.keys import partition_of
from relevo_server.settings import Settings
from support.clients.calls import Stub, context, get, key, put
from support.clients.leasing import lease, release
from support.failures import failure_of
from support.redis.client import RedisClient
from support.servers.key_rings import everything

OLD = "AbC-old_token"
"""A token of a server of version 0.1."""


@pytest.fixture
def store_url(redis_url: str) -> str:
    """These tests are about Redis."""
    return redis_url


@pytest.fixture
def record(settings: Settings) -> str:
    """The name of the record of the lease on `key()`."""
    partition = partition_of("acme", settings.partitions)
    return f"{{{settings.store_prefix}:{partition}}}:lease:conversation:acme:c1"


async def test_redis_has_no_token(
    stub: Stub, settings: Settings, redis: RedisClient, record: str
) -> None:
    """Redis holds neither the token nor the request_id of a lease; a repetition gets the token."""
    token = (await lease(stub, request_id="asked-once")).lease.token
    held = everything(redis, settings.store_prefix)
    assert token.encode() not in held
    assert b"asked-once" not in held
    assert (await lease(stub, request_id="asked-once")).lease.token == token
    assert (await failure_of(lease(stub, request_id="asked-twice"))).reason == "LEASE_HELD"
    await put(stub, key(), context(user_id="u"), lease_token=token)
    assert not redis("EXISTS", record)


async def test_what_redis_has_is_no_token(stub: Stub, redis: RedisClient, record: str) -> None:
    """No field of a lease's record serves as its token, nor does another token's digest."""
    token = (await lease(stub, request_id="r")).lease.token
    fields = [value.decode("latin-1") for value in redis("HGETALL", record).values()]
    digest = sha256(token.encode()).hexdigest()
    assert digest in fields
    for guess in (*filter(None, fields), f"digest:{digest}", f"2.{digest}", f"{token}x"):
        assert (await failure_of(put(stub, key(), lease_token=guess))).reason == "LEASE_LOST"
        await release(stub, guess)
    assert (await failure_of(lease(stub))).reason == "LEASE_HELD"
    await put(stub, key(), lease_token=token)


@pytest.mark.parametrize("end", ["put", "release"])
async def test_leases_of_older_servers(
    stub: Stub, redis: RedisClient, record: str, end: str
) -> None:
    """A lease that a server of version 0.1 granted is held, and its token ends it."""
    await put(stub, key("other"))
    redis("HSET", record, "token", OLD, "revision", "1-0", "request", "r")
    redis("PEXPIRE", record, 60_000)
    assert (await failure_of(lease(stub))).reason == "LEASE_HELD"
    assert (await failure_of(put(stub, key(), lease_token=OLD[:3]))).reason == "LEASE_LOST"
    if end == "put":
        await put(stub, key(), context(user_id="u"), lease_token=OLD)
        assert (await get(stub, key())).entry.context.user_id == "u"
    else:
        await release(stub, OLD)
        assert (await lease(stub)).lease.token


async def test_older_servers_see_the_lease(stub: Stub, redis: RedisClient, record: str) -> None:
    """The record has the fields by which a server of version 0.1 knows that a lease is held.

    If such a server grants the key anew after the lease has ended, the old token is void.
    """
    token = (await lease(stub, request_id="r")).lease.token
    assert redis("HEXISTS", record, "token")
    assert redis("HGET", record, "revision")
    redis("HSET", record, "token", OLD)  # its HSET leaves other fields
    assert (await failure_of(put(stub, key(), lease_token=token))).reason == "LEASE_LOST"
    await put(stub, key(), lease_token=OLD)
