"""A key ring and its store: whether the two belong together, and the change of the primary key.

The store's record of its ring is a fixed text that the primary key has wrapped. Nothing is read or
written by a server that cannot unwrap it.
"""

from cryptography.exceptions import InvalidTag

from relevo_server.logs import log
from relevo_server.storage.encrypted.ring import KeyRingError, UnknownKeyError, name_in
from relevo_server.storage.encrypted.rings import Rings
from relevo_server.storage.encrypted.values import rewrapped
from relevo_server.storage.key_records import ID_BYTES, KeyRecords, Rewrapped

_TEXT = b"relevo key ring"
_TOGETHER = 100
"""Data keys that one step examines."""


async def record_ring(rings: Rings, records: KeyRecords) -> None:
    """Record the ring if the store has no record of one: it is new, or has lost all data."""
    ring = await rings.ring()
    await records.ring_check(new=ring.wrap(_TEXT, _TEXT))


async def check_ring(rings: Rings, records: KeyRecords) -> None:
    """Compare the ring with the store's record of one. Raises KeyRingError."""
    ring = await rings.ring()
    record = await records.ring_check()
    if not record:
        return
    try:
        ring.unwrap(record, _TEXT)
    except UnknownKeyError as error:
        raise KeyRingError(
            f"key ring: does not have the key {error.name!a}, which encrypts the store's data"
        ) from None
    except InvalidTag:
        raise KeyRingError(
            "key ring: is not the store's: the key that encrypts the store's data has the same "
            "name, but is another one"
        ) from None


async def rewrap(rings: Rings, records: KeyRecords, partition: int) -> Rewrapped:
    """Wrap the data keys of a partition, and the record of the ring, by the primary key.

    A data key that cannot be unwrapped is left as it is, and logged. Raises UNAVAILABLE if the ring
    lacks a key.
    """
    ring = await rings.newest()
    await _rewrap_record(rings, records)
    found, changed, cursor = set[str](), 0, ""
    while True:
        page = await records.page(partition, cursor, _TOGETHER)
        for tenant_id, wrapped in page.keys:
            if tenant_id not in found:
                found.add(tenant_id)
                changed += await _rewrap(rings, records, tenant_id, wrapped)
        cursor = page.cursor
        if not cursor:
            return Rewrapped(ring.primary, len(found), changed)


async def _rewrap_record(rings: Rings, records: KeyRecords) -> None:
    record = await records.ring_check()
    try:
        if not record or name_in(record) == (await rings.ring()).primary:
            return
        # Unwrapped first: a ring that lacks the key must not become the store's.
        new = await rings.using(lambda ring: ring.wrap(ring.unwrap(record, _TEXT), _TEXT))
    except InvalidTag:
        log.error("encryption.key_corrupt", tenant="")
        return
    await records.ring_check(before=record, new=new)


async def _rewrap(rings: Rings, records: KeyRecords, tenant_id: str, wrapped: bytes) -> bool:
    """Whether a data key was wrapped anew."""
    try:
        if name_in(wrapped[ID_BYTES:]) == (await rings.ring()).primary:
            return False
        new = await rings.using(lambda ring: rewrapped(ring, tenant_id, wrapped))
    except InvalidTag:
        log.error("encryption.key_corrupt", tenant=tenant_id)
        return False
    # Unless the tenant was shredded meanwhile: its data key must not come back.
    return await records.wrapped_key(tenant_id, before=wrapped, new=new) == new
