"""A probe finds tenants by which every partition has one, by trying a few."""

from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from relevo_probe.partitions import Search, names, tenants_of
from relevo_server.keys import partition_of

Hash = Callable[[str, int], int]


def searched(partitions: int, hashed: Hash = partition_of, prefix: str = "p") -> tuple[Search, int]:
    """A search of a store, and the number of tenants that it has tried."""
    search = Search(prefix)
    for tried, name in enumerate(names(prefix)):
        if search.is_over:
            return search, tried
        search.add(name, hashed(name, partitions))
    raise AssertionError


@given(st.integers(1, 2000), st.text("ab-", min_size=1, max_size=5))
def test_every_partition_has_a_tenant(partitions: int, prefix: str) -> None:
    """A few answers give the number of partitions, and so a tenant for each of them."""
    search, tried = searched(partitions, prefix=prefix)
    found = {partition_of(tenant, partitions) for tenant in search.tenants().values()}
    assert found == set(range(partitions))
    assert tried <= 20


@pytest.mark.parametrize("partitions", [1, 2, 5, 64])
def test_an_unknown_hash(partitions: int) -> None:
    """If tenants are shared out by another hash, they are tried until all partitions were seen."""

    def other(tenant: str, partitions: int) -> int:
        return sha256(tenant.encode()).digest()[0] % partitions

    search, _ = searched(partitions, other)
    assert set(search.tenants()) == set(range(partitions))
    for partition, tenant in search.tenants().items():
        assert other(tenant, partitions) == partition


@pytest.mark.parametrize("partitions", [1, 64, 1000])
def test_tenants_of_a_known_number(partitions: int) -> None:
    """The tenants of a store whose number of partitions is known, each in its partition."""
    found = tenants_of("relevo-probe", partitions)
    assert list(found) == list(range(partitions))
    assert all(partition_of(tenant, partitions) == each for each, tenant in found.items())


@pytest.mark.parametrize("partitions", range(1, 8))
def test_few_answers(partitions: int) -> None:
    """If only the tenants that are needed may be used, their few answers suffice."""
    needed = tenants_of("relevo-probe", partitions)
    search = Search("relevo-probe")
    for partition, tenant in needed.items():
        search.add(tenant, partition)
    assert search.few_tenants() == needed
