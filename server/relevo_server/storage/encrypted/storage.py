"""A storage that encrypts values before another one has them.

The other storage holds, caches and sends only encrypted values. What is above this one holds them
decrypted: the server's own cache of entries, and the clients' near caches.
"""

from collections.abc import Sequence
from time import monotonic
from typing import Literal

from cryptography.exceptions import InvalidTag

from relevo_server import errors
from relevo_server.errors import StoreError
from relevo_server.keys import Key
from relevo_server.logs import LogThrottle, log
from relevo_server.quotas import LimitsOf
from relevo_server.storage.encrypted.checks import check_ring, record_ring, rewrap
from relevo_server.storage.encrypted.rings import Rings
from relevo_server.storage.encrypted.sources import Source
from relevo_server.storage.encrypted.tenant_keys import TenantKeys
from relevo_server.storage.encrypted.values import OVERHEAD, is_encrypted, key_id_of
from relevo_server.storage.events import Tail
from relevo_server.storage.interface import (
    CORRUPT,
    LeaseAttempt,
    Leased,
    Limits,
    Once,
    Read,
    Storage,
    Stored,
    Write,
    Written,
    within,
)
from relevo_server.storage.key_records import ChangedKeyError, Rewrapped, Shredded

Values = Literal["write", "read", "only"]
"""The values that are encrypted: those that are written, or none yet (`read`), or all (`only`: any
other is refused). Encrypted ones are read in any case."""

_ATTEMPTS = 8
"""Data keys that a write tries, while the tenant is shredded again and again."""


class EncryptedStorage(Storage):
    """Encrypts the values of `storage` by the data keys of their tenants.

    `max_tenants` data keys are kept in memory, each for `lifetime` seconds.
    """

    def __init__(
        self, storage: Storage, source: Source, *, values: Values, max_tenants: int, lifetime: float
    ) -> None:
        super().__init__(storage.partitions)
        self.inspection = storage.inspection
        self.data_keys = storage.data_keys
        self._storage = storage
        self._values = values
        self._rings = Rings(source)
        self._keys = TenantKeys(
            storage.data_keys, self._rings, max_tenants=max_tenants, lifetime=lifetime
        )
        self._unreadable = LogThrottle()
        self._checked = False

    def limit(self, limits_of: LimitsOf) -> None:
        """Limit the storage: bytes are counted as they are stored."""
        super().limit(limits_of)
        self._storage.limit(limits_of)

    async def check(self) -> None:
        """Check the storage, and the first time that the key ring is the store's.

        Raises KeyRingError.
        """
        await self._storage.check()
        if self._values != "read":
            await record_ring(self._rings, self.data_keys)
        if not self._checked:
            # Not later: a mistake in the file of a running server must not end it.
            await check_ring(self._rings, self.data_keys)
            self._checked = True
        self._rings.follow()
        self._keys.forget_old()

    async def eviction_policies(self) -> frozenset[str]:
        """As the storage."""
        return await self._storage.eviction_policies()

    async def close(self) -> None:
        """Close the storage."""
        await self._rings.close()
        await self._storage.close()

    async def read(
        self,
        keys: Sequence[Key],
        known_versions: Sequence[int] = (),
        limits: Limits | None = None,
    ) -> Read:
        """Read and decrypt. A size without a context is that of the encrypted value."""
        roomy = limits and _roomy(limits, len(keys))
        read = await self._storage.read(keys, known_versions, roomy)
        return _within(await self._decrypted(keys, read), limits)

    async def read_within(
        self, keys: Sequence[Key], limits: Limits, *, position: int | None = None
    ) -> Read:
        """The same."""
        roomy = _roomy(limits, len(keys))
        read = await self._storage.read_within(keys, roomy, position=position)
        return _within(await self._decrypted(keys, read), limits)

    async def write(self, write: Write) -> Written:
        """Encrypt and write."""
        if self._values == "read":
            return await self._storage.write(write)
        await self._require_check()
        tenant_id = write.key.tenant_id
        for _ in range(_ATTEMPTS):
            key = await self._keys.existing_or_new(tenant_id)
            once = write.once and write.once._replace(fingerprint=key.keyed(write.once.fingerprint))
            context = key.encrypt(write.key, write.context)
            try:
                return await self._storage.write(
                    write._replace(context=context, key_id=key.id, once=once)
                )
            except ChangedKeyError:  # the tenant was shredded meanwhile
                self._keys.forget(tenant_id)
        raise errors.contention(write.key)

    async def recall(self, key: Key, once: Once) -> Written | None:
        """As the storage, by the fingerprint that `write` has recorded."""
        data_key = None
        if self._values != "read":
            data_key = await self._keys.existing(key.tenant_id)
        if data_key:
            once = once._replace(fingerprint=data_key.keyed(once.fingerprint))
        return await self._storage.recall(key, once)

    async def invalidate(
        self, keys: Sequence[Key], once: Once | None = None, principal: str = ""
    ) -> tuple[int, int]:
        """As the storage."""
        return await self._storage.invalidate(keys, once, principal)

    async def invalidate_tenant(
        self, tenant_id: str, scope: str, once: Once | None = None, principal: str = ""
    ) -> int:
        """As the storage."""
        return await self._storage.invalidate_tenant(tenant_id, scope, once, principal)

    async def lease(self, attempt: LeaseAttempt) -> Leased:
        """Lease, or read and decrypt."""
        leased = await self._storage.lease(attempt)
        if leased.entry is None:
            return leased
        return leased._replace(entry=await self._entry(attempt.key, leased.entry))

    async def release(self, key: Key, token: str) -> None:
        """As the storage."""
        await self._storage.release(key, token)

    async def touch(self, key: Key) -> None:
        """As the storage."""
        await self._storage.touch(key)

    async def tail(
        self, partition: int, position: int | None, limit: int, *, seen: Sequence[int] = ()
    ) -> Tail:
        """As the storage. The data key of a tenant that is ended may be deleted: forget it."""
        tail = await self._storage.tail(partition, position, limit, seen=seen)
        for event in tail.events:
            if event.kind == "floor" and not event.scope:
                self._keys.forget(event.tenant_id)
        return tail

    async def wait(self, partition: int, position: int, seconds: float) -> None:
        """As the storage."""
        await self._storage.wait(partition, position, seconds)

    async def shred(self, tenant_id: str, principal: str) -> Shredded:
        """As the storage, and forget the data key."""
        shredded = await super().shred(tenant_id, principal)
        self._keys.forget(tenant_id)
        return shredded

    async def rewrap(self, partition: int) -> Rewrapped:
        """Wrap every data key that another key than the primary one has wrapped."""
        return await rewrap(self._rings, self.data_keys, partition)

    async def _decrypted(self, keys: Sequence[Key], read: Read) -> Read:
        entries = [
            stored and await self._entry(key, stored)
            for key, stored in zip(keys, read.entries, strict=True)
        ]
        return Read(read.revision, entries)

    async def _entry(self, key: Key, stored: Stored) -> Stored:
        """The entry with its context decrypted; CORRUPT if that is not possible.

        Raises UNAVAILABLE if the data key cannot be had now.
        """
        value = stored.context
        if value is None or stored is CORRUPT:
            return stored
        if not is_encrypted(value):
            return self._refused(key, "plaintext") if self._values == "only" else stored
        await self._require_check()
        try:
            data_key = await self._keys.with_id(key.tenant_id, key_id_of(value))
        except StoreError as error:
            if error.reason is not errors.Reason.CORRUPT_ENTRY:
                raise
            return self._refused(key, "data_key")
        if data_key is None:
            return self._refused(key, "no_data_key")
        try:
            return stored._replace(context=data_key.decrypt(key, value))
        except InvalidTag:
            return self._refused(key, "value")

    def _refused(self, key: Key, cause: str) -> Stored:
        if self._unreadable.is_due(monotonic()):
            log.error(
                "encryption.unreadable", key=str(key), cause=cause, count=self._unreadable.count
            )
        return CORRUPT

    async def _require_check(self) -> None:
        if not self._checked:  # the store could not be reached when the server started
            await self.check()


def _roomy(limits: Limits, count: int) -> Limits:
    """The limits for so many encrypted values. If no context is wanted, none is read."""
    if not limits.each:
        return limits
    return Limits(limits.each + OVERHEAD, limits.total + count * OVERHEAD)


def _within(read: Read, limits: Limits | None) -> Read:
    """A decrypted read, without the contexts that exceed the limits."""
    if limits is None or not limits.each:
        return read
    return Read(read.revision, within(read.entries, limits))
