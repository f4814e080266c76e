"""Finds out whether a store is ready for calls: the rights of the user, and the layout."""

from relevo_server import errors
from relevo_server.errors import StoreError
from relevo_server.storage.redis import records, rights
from relevo_server.storage.redis.client import Client, Script
from relevo_server.storage.unusable import LayoutError, MissingRightsError

LAYOUT = 1
_CLAIM = Script("claim")


class Readiness:
    """The checks of one store."""

    def __init__(self, client: Client, prefix: str, partitions: int, *, is_encrypted: bool) -> None:
        self._client = client
        self._is_encrypted = is_encrypted
        self._prefix = prefix
        self._partitions = partitions
        self.has_layout = False
        """Whether the store is known to have this server's layout."""

    async def check(self) -> None:
        """Try the commands that calls need, and check the layout. Two scripts.

        Raises as `Storage.check` does.
        """
        unused = records.unused(records.hash_tag(self._prefix, 0))
        refused = rights.needed(await self._client.refusals(unused))
        if refused:
            raise errors.unavailable() from MissingRightsError(refused)
        try:
            await self.check_layout()
        except StoreError as error:
            refused = rights.named(str(error.__cause__))
            if refused:
                raise errors.unavailable() from MissingRightsError(refused)
            raise

    async def check_layout(self) -> None:
        """Record the layout if there is none yet, and compare it with this server's."""
        found = await self._client.run(
            _CLAIM, [f"{self._prefix}:layout"], [self._partitions, LAYOUT]
        )
        partitions, layout = int(found[0]), int(found[1])
        if (partitions, layout) != (self._partitions, LAYOUT):
            raise LayoutError(
                f"the store has {partitions} partitions in layout {layout}; "
                f"this server is set to {self._partitions} in layout {LAYOUT}"
            )
        # Not later: the first server that encrypts must not end those that do not yet.
        if found[2] and not (self._is_encrypted or self.has_layout):
            raise LayoutError("the store's values are encrypted; set `encryption`")
        self.has_layout = True
