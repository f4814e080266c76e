"""ListKeys: the live keys of a tenant, without their contexts."""

import math
from collections.abc import AsyncGenerator, Sequence

from relevo.admin.v1.admin_pb2 import ListKeysResponse

from relevo_server.keys import Key
from relevo_server.storage.interface import CORRUPT, SIZES_ONLY, Storage, Stored
from relevo_server.wire.contexts import message_of
from relevo_server.wire.requests.admin import ListKeys

_SIZED_TOGETHER = 256
"""Entries that one read sizes."""
SEARCHED_TOGETHER = 1000
"""The most keys of the database that one step searches: other commands wait for one step only."""
_STEPS = 64
"""The most steps for one page."""


class Keys:
    """Lists keys, by a search through the names in the database."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def list_keys(self, request: ListKeys) -> ListKeysResponse:
        """A page of keys: about as many as were asked for, or fewer after enough of a search."""
        found: dict[Key, None] = {}
        cursor, searched = request.cursor, 0
        for _ in range(_STEPS):
            count = _next_count(request.size - len(found), len(found), searched)
            scanned = await self._storage.inspection.scan(
                request.tenant_id, request.scope, cursor, count
            )
            found.update(dict.fromkeys(scanned.keys))
            cursor, searched = scanned.cursor, searched + count
            if not cursor or len(found) >= request.size:
                break
        response = ListKeysResponse(next_page_token=request.next_page_token(cursor))
        async for key, stored in _live_entries(self._storage, list(found)):
            info = response.keys.add(version=stored.version, size_bytes=stored.size)
            info.key.CopyFrom(message_of(key))
            info.ttl.FromMilliseconds(stored.ttl_ms)
        return response


async def _live_entries(
    storage: Storage, keys: Sequence[Key]
) -> AsyncGenerator[tuple[Key, Stored], None]:
    """The live entries of one tenant's keys, without their contexts.

    Records that are no entries are left out.
    """
    for i in range(0, len(keys), _SIZED_TOGETHER):
        some = keys[i : i + _SIZED_TOGETHER]
        read = await storage.read_within(some, SIZES_ONLY)
        for key, stored in zip(some, read.entries, strict=True):
            if stored and stored.version != CORRUPT.version:
                yield key, stored


def _next_count(wanted: int, found: int, searched: int) -> int:
    """How many keys to search next, to find `wanted` more.

    Keys are spread evenly over the database's table of names. So as many are expected to be found
    as of those that were searched; if none was, at most one.
    """
    if not searched:
        return wanted
    return min(SEARCHED_TOGETHER, math.ceil(wanted * searched / max(1, found)))
