"""Finds tenants by whose names every partition of a store has one.

Pure. A store says of each entry in which partition it is, but not how many there are. It shares
tenants out by a hash of their names, CRC-32 modulo the number of partitions. So a few answers give
the number: it divides each hash minus its partition. If they contradict that, the hash is another
one, and tenants are tried until no new partitions turn up.
"""

from collections.abc import Iterator, Mapping
from itertools import count
from math import gcd
from zlib import crc32

_ENOUGH = 8
"""Tenants that agree on a number of partitions. If all of them would also agree on a multiple
of it, some partitions have two tenants, and all have one."""
MOST = 16_384
"""The most partitions that a store may have."""


class Search:
    """The search of one run. The tenants' names are `prefix` with numbers, as `relevo-probe-0`."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._multiple = 0
        """The number of partitions, or a multiple of it, if the hash is the known one; 0 at
        first."""
        self._answers = 0
        self._since_new = 0
        self.found: dict[int, str] = {}
        """A tenant of each partition that was seen."""

    def add(self, tenant_id: str, partition: int) -> None:
        """Record the partition of a tenant."""
        self._since_new = self._since_new + 1 if partition in self.found else 0
        self.found.setdefault(partition, tenant_id)
        self._multiple = gcd(self._multiple, crc32(tenant_id.encode()) - partition)
        self._answers += 1

    @property
    def is_over(self) -> bool:
        """Whether no further tenant needs to be tried."""
        if self._answers < _ENOUGH:
            return False
        if self._hash_is_known:
            return 0 < self._multiple <= MOST
        # With n partitions, each as likely as another, the last one is found after n * ln n
        # tenants or so.
        return self._since_new >= 4 * len(self.found) + _ENOUGH

    def tenants(self) -> Mapping[int, str]:
        """A tenant for each partition, by its number."""
        if self._hash_is_known and self._multiple:
            return tenants_of(self._prefix, self._multiple)
        return self.found

    def few_tenants(self) -> Mapping[int, str]:
        """The same for a caller that may use only some tenants, so that few answers are there.

        Of the numbers of partitions that these allow it is the least.
        """
        least = max(self.found) + 1
        for number in range(least, min(self._multiple, MOST) + 1):
            if self._multiple % number == 0:
                return tenants_of(self._prefix, number)
        return self.found

    @property
    def _hash_is_known(self) -> bool:
        """Whether no answer contradicts the known hash."""
        return not self._multiple or self._multiple > max(self.found, default=0)


def tenants_of(prefix: str, partitions: int) -> dict[int, str]:
    """The first tenant of each partition, by the hash of stores."""
    found: dict[int, str] = {}
    for name in names(prefix):
        found.setdefault(crc32(name.encode()) % partitions, name)
        if len(found) == partitions:
            break
    return dict(sorted(found.items()))


def names(prefix: str) -> Iterator[str]:
    """The names of tenants, in the order in which they are tried."""
    return (f"{prefix}-{number}" for number in count())
