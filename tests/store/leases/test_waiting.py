"""Callers that wait for a lease get the entry, or the right to write it."""

import asyncio

import pytest
from grpc import StatusCode
from relevo.v1.store_pb2 import LeaseRequest
from relevo_server import deadline
from relevo_server.server import Server
from relevo_server.settings import Settings
from relevo_server.storage.interface import LeaseAttempt, Leased
from relevo_server.storage.memory import MemoryStorage
from support.clients.calls import (
    Stub,
    context,
    invalidate,
    invalidate_tenant,
    key,
    put,
    seconds,
)
from support.clients.leasing import lease, release
from support.failures import failure_of
from support.servers.serving import serving, serving_from, stub_of


async def test_a_thousand_wait_for_one(stub: Stub) -> None:
    """All waiting callers get the entry that the holder writes; none gets a lease."""
    token = (await lease(stub)).lease.token
    waiting = [asyncio.create_task(lease(stub, wait=15)) for _ in range(1000)]
    version = (await put(stub, key(), context(user_id="u"), lease_token=token)).revision
    answers = await asyncio.gather(*waiting)
    assert {answer.entry.version for answer in answers} == {version}
    assert {answer.entry.context.user_id for answer in answers} == {"u"}


@pytest.mark.parametrize("how", ["released", "keys", "tenant"])
async def test_the_next_one_takes_over(stub: Stub, how: str) -> None:
    """If the lease ends without an entry, one waiting caller gets it, and the others still wait."""
    token = (await lease(stub)).lease.token
    waiting = {asyncio.create_task(lease(stub, wait=15)) for _ in range(5)}
    match how:
        case "released":
            await release(stub, token)
        case "keys":
            await invalidate(stub, key())
        case _:
            await invalidate_tenant(stub, "acme")
    done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    (first,) = done
    assert first.result().lease.token not in ("", token)
    version = (await put(stub, key(), lease_token=first.result().lease.token)).revision
    assert {answer.entry.version for answer in await asyncio.gather(*waiting)} == {version}


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
async def test_others_on_another_server(settings: Settings, stub: Stub) -> None:
    """A caller that waits on one server gets what was written or released through another one."""
    async with Server(settings) as other, stub_of(other.address) as elsewhere:
        token = (await lease(stub)).lease.token
        waiting = asyncio.create_task(lease(elsewhere, wait=15))
        await release(stub, token)
        token = (await waiting).lease.token
        waiting = asyncio.create_task(lease(stub, wait=15))
        version = (await put(elsewhere, key(), lease_token=token)).revision
        assert (await waiting).entry.version == version


async def test_each_waits_for_as_long_as_it_said(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each caller waits until its own timeout or deadline, and the others still wait."""
    # Long enough that an answer that is seconds late is still in time.
    monkeypatch.setattr(deadline, "WAIT_SHARE", 0.2)
    request = LeaseRequest(key=key(), wait=seconds(15))
    async with serving(settings) as stub:
        token = (await lease(stub)).lease.token
        patient = stub.Lease(request, timeout=100)
        failure = await failure_of(lease(stub, wait=0.05))
        assert (failure.code, failure.reason) == (StatusCode.ABORTED, "LEASE_HELD")
        assert (await failure_of(stub.Lease(request, timeout=5))).reason == "LEASE_HELD"
        assert not patient.done()
        version = (await put(stub, key(), lease_token=token)).revision
        assert (await patient).entry.version == version


async def test_who_has_gone_gets_nothing(stub: Stub) -> None:
    """A cancelled caller never gets a lease: the next waiting caller gets it."""
    token = (await lease(stub)).lease.token
    gone = [asyncio.create_task(lease(stub, wait=15)) for _ in range(5)]
    next_one = asyncio.create_task(lease(stub, wait=15))
    await failure_of(lease(stub, wait=0.05))  # after one more round trip, all of them wait
    for each in gone:
        each.cancel()
    await asyncio.wait(gone)
    await release(stub, token)
    assert (await next_one).lease.token not in ("", token)


class LateGrants(MemoryStorage):
    """A memory backend that grants leases, and says so once its gate is open, as it is at first."""

    def __init__(self) -> None:
        super().__init__(4, log_length=1000, request_ttl_ms=600_000)
        self.gate = asyncio.Event()
        self.gate.set()
        self.granted = asyncio.Event()

    async def lease(self, attempt: LeaseAttempt) -> Leased:
        """Grant a lease, and wait at the gate."""
        leased = await super().lease(attempt)
        if leased.token:
            self.granted.set()
            await self.gate.wait()
        return leased


@pytest.mark.parametrize("store_url", ["memory"], indirect=True)
async def test_a_lease_that_comes_too_late(settings: Settings) -> None:
    """A lease that arrives when nobody waits for it any more is free at once for the next one."""
    storage = LateGrants()
    async with serving_from(storage, settings) as stub:
        token = (await lease(stub)).lease.token
        waiting = asyncio.create_task(lease(stub, wait=15))
        await failure_of(lease(stub, wait=0.05))  # a round trip later, it waits
        storage.gate.clear()
        storage.granted.clear()
        await release(stub, token)
        await storage.granted.wait()
        waiting.cancel()
        await asyncio.wait([waiting])
        await failure_of(lease(stub))  # a round trip later, the server knows
        storage.gate.set()
        assert (await lease(stub, wait=15)).lease.token not in ("", token)


async def test_a_server_that_stops(settings: Settings) -> None:
    """When a server stops, waiting callers learn it at once, and nothing waits for them."""
    async with Server(settings) as server, stub_of(server.address) as stub:
        await lease(stub)
        waiting = asyncio.create_task(lease(stub, wait=15))
        await failure_of(lease(stub, wait=0.05))
        await server.__aexit__()
        failure = await failure_of(waiting)
    assert (failure.code, failure.reason) == (StatusCode.UNAVAILABLE, "SERVER_STOPPING")
