"""The data keys of tenants, decrypted, for a while."""

from collections import OrderedDict
from time import monotonic
from typing import NamedTuple

from cryptography.exceptions import InvalidTag

from relevo_server import errors
from relevo_server.storage.encrypted.rings import Rings
from relevo_server.storage.encrypted.values import DataKey, new_data_key, unwrapped
from relevo_server.storage.key_records import KeyRecords


class _Cached(NamedTuple):
    key: DataKey
    until: float


class TenantKeys:
    """A cache of `max_tenants` data keys, each of which is forgotten after `lifetime` seconds.

    So a server cannot decrypt a tenant's values for longer than that after the tenant was shredded.
    """

    def __init__(
        self, records: KeyRecords, rings: Rings, *, max_tenants: int, lifetime: float
    ) -> None:
        self._records = records
        self._rings = rings
        self._max_tenants = max_tenants
        self._lifetime = lifetime
        self._cached: OrderedDict[str, _Cached] = OrderedDict()  # the oldest first

    def __len__(self) -> int:
        return len(self._cached)

    async def existing(self, tenant_id: str) -> DataKey | None:
        """The data key of a tenant, None if it has none.

        Raises DATA_LOSS if what is recorded as one cannot be decrypted.
        """
        return self._get(tenant_id) or await self._fetch(tenant_id)

    async def existing_or_new(self, tenant_id: str) -> DataKey:
        """The data key of a tenant, made now if it has none. Raises as `existing` does."""
        key = await self.existing(tenant_id)
        if key is None:
            new = new_data_key(await self._rings.ring(), tenant_id)
            # Another server may have been faster: then the key is that server's.
            wrapped = await self._records.wrapped_key(tenant_id, new=new)
            key = await self._unwrapped(tenant_id, wrapped)
        return key

    async def with_id(self, tenant_id: str, key_id: bytes) -> DataKey | None:
        """The data key of a tenant, None if the tenant has another one now, or none."""
        key = self._get(tenant_id)
        if key is None or key.id != key_id:
            key = await self._fetch(tenant_id)
        return key if key and key.id == key_id else None

    def forget(self, tenant_id: str) -> None:
        """Forget a tenant's data key: it may have another one now."""
        self._cached.pop(tenant_id, None)

    def forget_old(self) -> None:
        """Forget the data keys whose time is over."""
        now = monotonic()
        while self._cached and next(iter(self._cached.values())).until <= now:
            self._cached.popitem(last=False)

    def _get(self, tenant_id: str) -> DataKey | None:
        cached = self._cached.get(tenant_id)
        return cached.key if cached and cached.until > monotonic() else None

    async def _fetch(self, tenant_id: str) -> DataKey | None:
        wrapped = await self._records.wrapped_key(tenant_id)
        if not wrapped:
            self.forget(tenant_id)
            return None
        return await self._unwrapped(tenant_id, wrapped)

    async def _unwrapped(self, tenant_id: str, wrapped: bytes) -> DataKey:
        until = monotonic() + self._lifetime
        try:
            key = await self._rings.using(lambda ring: unwrapped(ring, tenant_id, wrapped))
        except InvalidTag:
            raise errors.corrupt_key(tenant_id) from None
        self.forget(tenant_id)
        self._cached[tenant_id] = _Cached(key, until)
        if len(self._cached) > self._max_tenants:
            self._cached.popitem(last=False)
        return key
