"""A server's limits hold however many workers it has: each of them has its part."""

import asyncio
import math
from collections.abc import Awaitable
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import builds, integers, just, none
from pydantic import SecretStr
from relevo_cli import main
from relevo_server.quotas import Limits, Quota, Quotas, TenantQuota
from relevo_server.service.shares import Shares
from relevo_server.service.store import ContextStore
from relevo_server.settings import Settings
from relevo_server.telemetry.counts import Counts
from relevo_server.workers import Worker
from support.clients.calls import get, key, put
from support.failures import failure_of
from support.servers.serving import serving_service
from support.servers.storages import GatedStorage
from support.waiting import until_async

_limits = none() | just(math.inf) | integers(0, 100_000)
_STORED = {"entries", "bytes"}
_RATES = {"writes", "invalidations"}


@given(
    builds(
        TenantQuota,
        calls=_limits,
        lease_waits=_limits,
        subscriptions=_limits,
        writes=_limits,
        writes_burst=_limits,
        entries=_limits,
    ),
    integers(1, 5000),
    integers(1, 64),
)
def test_parts_are_the_whole(quota: TenantQuota, max_calls: int, workers: int) -> None:
    """The parts of all workers are a limit, or some more than it, but less than one for each.

    What is in the store is not divided: the workers share it. Without workers all is as it was.
    """
    whole = Quotas(default=quota).of_tenant("acme", max_calls)
    part = whole.of_worker(workers)
    assert whole.of_worker(1) == whole
    for name, limit, own in zip(Limits._fields, whole, part, strict=True):
        if name in _STORED or limit == math.inf:
            assert own == limit
        elif name in _RATES:
            assert own * workers == pytest.approx(limit)
        else:
            assert own == int(own)
            assert limit <= own * workers < limit + workers


async def _answer(call: Awaitable[Any]) -> Any:
    return await call


async def test_calls_of_a_worker() -> None:
    """A worker admits its part of a tenant's calls, and of all calls."""
    storage = GatedStorage()
    quotas = Quotas(default=TenantQuota(calls=3))
    settings = Settings(quotas=quotas, max_concurrent_calls=6)
    service = ContextStore(storage, settings, worker=Worker(2, 2))
    async with serving_service(service) as stub:
        tenants = ("acme", "acme", "globex")
        for each in tenants:
            await put(stub, key(tenant=each))
        storage.gate.clear()
        calls = [asyncio.create_task(_answer(get(stub, key(tenant=each)))) for each in tenants]
        await until_async(lambda: storage.waiting == 3)
        refused = await failure_of(get(stub, key(tenant="initech")))
        assert refused.reason == "TOO_MANY_REQUESTS", "half of 6"
        calls.pop().cancel()
        await until_async(lambda: service.parts.admission.active_calls == 2)
        refused = await failure_of(get(stub, key()))
        assert (refused.reason, refused.metadata["limit"]) == ("QUOTA_EXCEEDED", "2")
        storage.gate.set()
        await asyncio.gather(*calls)


def test_an_operator_sees_the_part() -> None:
    """The usage of a tenant is that of a worker, with the worker's limits."""
    shares = Shares(Quotas(), 4096, Counts(), workers=4)
    limits = {each.quota: each.limit for each in shares.usage("acme")}
    assert limits[Quota.CALLS] == 512
    assert limits[Quota.WATCH_STREAMS] == 1250


@pytest.mark.parametrize("workers", ["2", "auto"])
@pytest.mark.parametrize(
    "flags, text",
    [
        (["--store", "memory://"], "workers: each would have a memory of its own: set store"),
        (["--store", "redis://h", "--listen", "unix:/s"], "workers: cannot share a Unix socket"),
    ],
    ids=["memory", "unix"],
)
def test_what_cannot_be_shared(
    workers: str, flags: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A memory or a Unix socket belongs to one process: the server says so, and does not start."""
    assert main(["serve", "--workers", workers, *flags]) == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("workers", ["0", "-1", "1025", "some", "1.5"])
def test_no_number(workers: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A number of workers is a whole number from 1 on, or `auto`."""
    assert main(["serve", "--workers", workers, "--store", "redis://h"]) == 2
    assert "workers" in capsys.readouterr().err


def test_one_may_have_a_memory() -> None:
    """One worker is a server of one process."""
    assert Settings(workers=1).workers == 1
    assert Settings(workers="auto", store=SecretStr("redis://h")).workers == "auto"
