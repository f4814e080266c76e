"""GetUsage: how much of its quotas a tenant uses."""

from collections.abc import AsyncIterator

import pytest
from relevo.admin.v1.admin_pb2 import GetUsageRequest
from relevo_server.quotas import Quotas
from relevo_server.settings import Settings
from support.clients.admin import AdminStub
from support.clients.calls import TIMEOUT, Stub, key, put
from support.clients.watching import Watch
from support.contexts import of_size


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Limits for `acme`, of all kinds."""
    limits = {"calls": 5, "watch_streams": 7, "subscriptions": "unlimited", "bytes": 5000}
    quotas = Quotas.model_validate({"tenants": [{"pattern": "acme", **limits}]})
    return settings.model_copy(update={"quotas": quotas})


async def used(admin: AdminStub, tenant: str) -> AsyncIterator[tuple[str, int, int | None]]:
    """Each quota with what is used of it, and its limit."""
    usage = await admin.GetUsage(GetUsageRequest(tenant_id=tenant), timeout=TIMEOUT)
    for each in usage.quotas:
        yield each.quota, each.used, each.limit if each.HasField("limit") else None


async def test_quotas(admin: AdminStub, stub: Stub) -> None:
    """Each quota that has a number is there: what is used of it, and its limit if it has one.

    Entries and bytes are there if one of them is limited.
    """
    await put(stub, key("c0"), of_size(1000))
    await put(stub, key("c1"), of_size(500))
    async with Watch(stub) as watch:
        for i in range(3):
            await watch.answer(watch.subscribe(key(f"c{i}")))
        assert [each async for each in used(admin, "acme")] == [
            ("calls", 0, 5),
            ("lease_waits", 0, 1024),
            ("watch_streams", 1, 7),
            ("subscriptions", 3, None),
            ("entries", 2, None),
            ("bytes", 1500, 5000),
        ]
    assert [each async for each in used(admin, "globex")] == [
        ("calls", 0, 2048),
        ("lease_waits", 0, 1024),
        ("watch_streams", 0, 5000),
        ("subscriptions", 0, 250_000),
    ]
