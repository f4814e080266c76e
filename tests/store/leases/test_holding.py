"""Leases: the right to write an entry, held by one caller at a time."""

import asyncio

import pytest
from grpc import StatusCode
from relevo.v1.store_pb2 import LeaseRequest, ReleaseRequest
from support.clients.calls import (
    TIMEOUT,
    Stub,
    context,
    get,
    invalidate,
    invalidate_tenant,
    is_alive,
    key,
    put,
    seconds,
)
from support.clients.leasing import lease, release
from support.failures import failure_of
from support.waiting import until_async


async def test_an_entry_that_is_there(stub: Stub) -> None:
    """If a live entry exists, Lease returns it with its context, and grants no lease."""
    version = (await put(stub, key(), context(user_id="u"))).revision
    answer = await lease(stub)
    assert (answer.entry.version, answer.entry.context.user_id) == (version, "u")
    assert answer.revision >= version
    assert not answer.HasField("lease")


async def test_one_caller_has_it(stub: Stub) -> None:
    """The first caller gets a token and a time; the second learns at once when that lease ends."""
    first = await lease(stub)
    assert first.lease.token
    assert first.lease.ttl.seconds == 60
    failure = await failure_of(lease(stub))
    assert (failure.code, failure.reason) == (StatusCode.ABORTED, "LEASE_HELD")
    assert failure.metadata == {"key": "conversation:acme:c1"}
    assert failure.retry_after is not None
    assert 30 < failure.retry_after <= 60
    assert (await lease(stub, key("another"))).lease.token not in ("", first.lease.token)


async def test_the_holder_writes_the_entry(stub: Stub) -> None:
    """A Put with the token creates the entry, and ends the lease."""
    token = (await lease(stub)).lease.token
    version = (await put(stub, key(), context(user_id="u"), lease_token=token)).revision
    assert (await lease(stub)).entry.version == version
    failure = await failure_of(put(stub, key(), lease_token=token))
    assert (failure.code, failure.reason) == (StatusCode.FAILED_PRECONDITION, "LEASE_LOST")


async def test_another_token_is_refused(stub: Stub) -> None:
    """A Put with any token but the holder's writes nothing, and leaves the lease alone."""
    token = (await lease(stub)).lease.token
    failure = await failure_of(put(stub, key(), lease_token=f"{token}x"))
    assert failure.reason == "LEASE_LOST"
    assert not await is_alive(stub, key())
    await put(stub, key(), lease_token=token)


@pytest.mark.parametrize("how", ["keys", "tenant", "scope", "put", "released"])
async def test_a_late_put_brings_nothing_back(stub: Stub, how: str) -> None:
    """Invalidate of the key, tenant or scope, a Put and Release each end a lease (S4).

    A Put with the ended lease's token is refused, and the next caller gets another lease.
    """
    token = (await lease(stub)).lease.token
    match how:
        case "keys":
            assert (await invalidate(stub, key())).invalidated_count == 0
        case "tenant":
            await invalidate_tenant(stub, "acme")
        case "scope":
            await invalidate_tenant(stub, "acme", "conversation")
        case "put":
            await put(stub, key())
            await invalidate(stub, key())
        case _:
            await release(stub, token)
    failure = await failure_of(put(stub, key(), context(user_id="late"), lease_token=token))
    assert (failure.code, failure.reason) == (StatusCode.FAILED_PRECONDITION, "LEASE_LOST")
    assert not await is_alive(stub, key())
    assert (await lease(stub)).lease.token not in ("", token)


@pytest.mark.parametrize("how", ["other key", "other tenant", "other scope", "earlier"])
async def test_what_leaves_a_lease_alone(stub: Stub, how: str) -> None:
    """Writes and releases of other entries, or from before the lease, do not end it."""
    if how == "earlier":
        await invalidate_tenant(stub, "acme")
        await invalidate(stub, key())
    token = (await lease(stub)).lease.token
    match how:
        case "other key":
            await invalidate(stub, key("another"))
            await release(stub, token, key("another"))
        case "other tenant":
            await invalidate_tenant(stub, "other")
        case "other scope":
            await invalidate_tenant(stub, "acme", "agent_config")
        case _:
            pass
    await release(stub, f"{token}x")
    assert (await failure_of(lease(stub))).reason == "LEASE_HELD"
    await put(stub, key(), lease_token=token)


async def test_a_lease_that_runs_out(brief: Stub, storage_stub: Stub) -> None:
    """An expired lease's Put is refused, whether or not another caller has the lease by then."""
    token = (await lease(brief)).lease.token
    other = (await lease(storage_stub, wait=10)).lease.token
    assert other not in ("", token)
    assert (await failure_of(put(brief, key(), lease_token=token))).reason == "LEASE_LOST"
    await put(brief, key(), context(user_id="other"), lease_token=other)
    assert (await get(brief, key())).entry.context.user_id == "other"


async def test_a_lease_that_runs_out_while_nobody_waits(brief: Stub) -> None:
    """A lease expires even if no other caller waits for it."""
    token = (await lease(brief)).lease.token
    await asyncio.sleep(0.9)  # the test waits for time itself
    assert (await failure_of(put(brief, key(), lease_token=token))).reason == "LEASE_LOST"


async def test_a_repeated_request_is_the_same(stub: Stub) -> None:
    """A Lease with the holder's request_id returns the same lease; another request_id does not."""
    token = (await lease(stub, request_id="r1")).lease.token
    again = await lease(stub, request_id="r1")
    assert again.lease.token == token
    assert 30 < again.lease.ttl.ToTimedelta().total_seconds() <= 60
    assert (await failure_of(lease(stub, request_id="r2"))).reason == "LEASE_HELD"
    await put(stub, key(), lease_token=token)


async def test_renewing_what_is_there(stub: Stub) -> None:
    """One caller may renew the version that it names, while the others get the current entry."""
    version = (await put(stub, key(), context(user_id="one"))).revision
    token = (await lease(stub, renew_version=version)).lease.token
    assert token
    assert (await failure_of(lease(stub, renew_version=version))).reason == "LEASE_HELD"
    assert (await lease(stub)).entry.version == version
    renewed = (await put(stub, key(), context(user_id="two"), lease_token=token)).revision
    assert renewed > version
    # A late caller that names the old version gets the new entry.
    assert (await lease(stub, renew_version=version)).entry.version == renewed


@pytest.mark.parametrize("how", ["put", "keys"])
async def test_a_renewal_that_was_overtaken(stub: Stub, how: str) -> None:
    """A renewal is refused if the entry was written or ended in the meantime (S4)."""
    version = (await put(stub, key())).revision
    token = (await lease(stub, renew_version=version)).lease.token
    await (put(stub, key(), context(user_id="theirs")) if how == "put" else invalidate(stub, key()))
    failure = await failure_of(put(stub, key(), context(user_id="late"), lease_token=token))
    assert failure.reason == "LEASE_LOST"
    assert await is_alive(stub, key()) is (how == "put")


async def test_a_missing_entry_that_somebody_renews(stub: Stub) -> None:
    """If an entry ends during its renewal, other callers wait for that renewal."""
    version = (await put(stub, key(), ttl=seconds(0.05))).revision
    token = (await lease(stub, renew_version=version)).lease.token
    await until_async(lambda: _is_dead(stub))
    waiting = asyncio.create_task(lease(stub, wait=15))
    renewed = (await put(stub, key(), lease_token=token)).revision
    assert (await waiting).entry.version == renewed


async def _is_dead(stub: Stub) -> bool:
    return not await is_alive(stub, key())


@pytest.mark.parametrize(
    "request_, fields",
    [
        (LeaseRequest(key=key("")), ["key.id"]),
        (LeaseRequest(key=key(), wait=seconds(-1)), ["wait"]),
        (LeaseRequest(key=key(), renew_version=-1), ["renew_version"]),
        (LeaseRequest(key=key(), request_id="x" * 129), ["request_id"]),
        (ReleaseRequest(key=key("")), ["key.id", "lease_token"]),
    ],
)
async def test_malformed(
    stub: Stub, request_: LeaseRequest | ReleaseRequest, fields: list[str]
) -> None:
    """Each malformed field of Lease and Release is named by its path."""
    call = (
        stub.Lease(request_, timeout=TIMEOUT)
        if isinstance(request_, LeaseRequest)
        else stub.Release(request_, timeout=TIMEOUT)
    )
    failure = await failure_of(call)
    assert (failure.code, failure.fields) == (StatusCode.INVALID_ARGUMENT, fields)


async def test_a_watcher_does_not_notice_leases(stub: Stub) -> None:
    """Lease and Release change no entry: cached entries remain valid, and versions continue."""
    version = (await put(stub, key())).revision
    token = (await lease(stub, renew_version=version)).lease.token
    await release(stub, token)
    entry = await get(stub, key())
    assert entry.entry.version == version
    assert entry.revision > version
