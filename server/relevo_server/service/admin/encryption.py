"""ShredTenant and RewrapKeys: the keys that encrypt values."""

from relevo.admin.v1.admin_pb2 import RewrapKeysResponse, ShredTenantResponse

from relevo_server import errors
from relevo_server.logs import log
from relevo_server.service.admin.keys import SEARCHED_TOGETHER
from relevo_server.storage.interface import Storage
from relevo_server.wire.requests.admin import RewrapKeys, ShredTenant


class Encryption:
    """Deletes data keys of tenants, and wraps them anew."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def shred_tenant(self, request: ShredTenant) -> ShredTenantResponse:
        """Make a tenant's data unreadable, and then delete what nobody can read any more.

        The first is one step. The second searches the database, step by step. It also deletes
        values that were written without encryption.
        """
        tenant_id, principal = request
        revision, had_key = await self._storage.shred(tenant_id, principal)
        log.warning(
            "tenant.shredded",
            tenant=tenant_id, principal=principal, revision=revision, had_key=had_key,
        )  # fmt: skip
        cursor, erased = "", 0
        while True:
            scanned = await self._storage.inspection.scan(tenant_id, "", cursor, SEARCHED_TOGETHER)
            erased += await self._storage.data_keys.erase(scanned.keys)
            cursor = scanned.cursor
            if not cursor:
                return ShredTenantResponse(
                    revision=revision, key_deleted=had_key, erased_count=erased
                )

    async def rewrap_keys(self, request: RewrapKeys) -> RewrapKeysResponse:
        """Wrap the data keys of a partition by the primary key of the key ring."""
        partition = request.partition
        if partition >= self._storage.partitions:
            raise errors.invalid([("partition", f"must be below {self._storage.partitions}")])
        done = await self._storage.rewrap(partition)
        if done.rewrapped:
            log.info(
                "encryption.rewrapped",
                partition=partition, keys=done.rewrapped, ring_key=done.primary,
            )  # fmt: skip
        return RewrapKeysResponse(
            primary_key=done.primary, key_count=done.keys, rewrapped_count=done.rewrapped
        )
