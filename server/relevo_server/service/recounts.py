"""Recounts, at regular times, what tenants have in the store."""

import asyncio

from relevo_server.errors import StoreError
from relevo_server.logs import log
from relevo_server.quotas import Quotas
from relevo_server.storage.interface import Storage


class Recounts:
    """Keeps the counts of tenants right whose entries or bytes in the store are limited."""

    def __init__(self, storage: Storage, quotas: Quotas) -> None:
        self._storage = storage
        self._quotas = quotas
        self._changed = asyncio.Event()

    def update(self, quotas: Quotas) -> None:
        """Apply these quotas from now on. A tenant that was not limited before is counted soon."""
        self._quotas = quotas
        self._changed.set()

    async def run(self) -> None:
        """Recount until this is cancelled."""
        while True:
            self._changed.clear()
            interval = self._quotas.recount_interval
            if self._quotas.limit_stores:
                try:
                    await self._storage.inspection.recount(self._storage.limits_of, interval)
                except StoreError as error:
                    log.warning("quotas.uncounted", reason=error.message)
            try:
                async with asyncio.timeout(interval):
                    await self._changed.wait()
            except TimeoutError:
                continue
