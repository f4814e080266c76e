"""Entries that are made where they are missing, or nearly over, on an event loop."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import TypeAlias

from relevo_client._client.single_flight import AsyncFlights
from relevo_client._context.deadline import Deadline
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import ConflictError, LeaseLostError, NotFoundError, RelevoError
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.model import ExecutionContext
from relevo_client._store import leases, requests
from relevo_client._store.aio import AsyncStore
from relevo_client._store.leases import Lease, Lifetime

Factory: TypeAlias = Callable[[ContextKey], Awaitable[ExecutionContext]]


class AsyncCreating:
    """Makes entries under leases: one process does, the others wait."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self._loads = AsyncFlights[ContextKey, ContextEntry]()
        self._renewals: dict[ContextKey, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """End what is under way."""
        renewals = list(self._renewals.values())
        for task in renewals:
            task.cancel()
        await asyncio.gather(*renewals, return_exceptions=True)
        await self._loads.close()

    async def create(
        self, key: ContextKey, factory: Factory, ttl: Lifetime, deadline: Deadline
    ) -> ContextEntry:
        """The live entry, created where there is none; one load for all callers here.

        The deadline is this caller's: the load goes on without it.
        """
        end = asyncio.timeout(deadline.remaining())
        try:
            async with end:
                return await self._loads.share(key, lambda: self._load(key, factory, ttl))
        except TimeoutError:
            if end.expired():
                raise leases.too_late(key) from None
            raise  # the factory's

    def renew(self, ageing: Iterable[tuple[ContextKey, int, Factory]]) -> None:
        """Begin to make entries anew, by their keys, versions and factories."""
        for key, version, factory in ageing:
            if key not in self._renewals:
                # In a context of its own: nothing of the caller's is current in it.
                task = asyncio.create_task(self._renew(key, version, factory), context=Context())
                self._renewals[key] = task
                task.add_done_callback(partial(self._renewed, key))

    def _renewed(self, key: ContextKey, _: object) -> None:
        del self._renewals[key]

    async def _load(self, key: ContextKey, factory: Factory, ttl: Lifetime) -> ContextEntry:
        for _ in range(leases.ATTEMPTS):
            leased = await self._leased(key)
            if isinstance(leased, ContextEntry):
                return leased
            with suppress(LeaseLostError):  # it has ended meanwhile
                ref = await self._make(leased, factory, ttl)
                request = requests.get_request(key, min_revision=ref.revision)
                with suppress(NotFoundError):  # so has the entry
                    return requests.entry_of(await self._store.get(request))
        raise leases.lost(key)

    async def _leased(self, key: ContextKey) -> ContextEntry | Lease:
        """The entry, or the right to create it, however long another process has it."""
        while True:
            try:
                wait = self._store.timeout * leases.WAITING
                request = leases.lease_request(key, wait=wait)
                return leases.leased(key, await self._store.lease(request))
            except ConflictError as error:
                if not leases.is_held(error):
                    raise

    async def _make(self, lease: Lease, factory: Factory, ttl: Lifetime = None) -> ContextRef:
        """Write what the factory makes. Raises what it raises, and LeaseLostError."""
        try:
            context = await factory(lease.key)
            request = requests.put_request(lease.key, context, ttl=ttl, lease_token=lease.token)
            return requests.put_ref(lease.key, await self._store.put(request))
        except LeaseLostError:
            raise
        except BaseException:
            # What cannot be given back ends by itself.
            with suppress(RelevoError):
                within = Deadline.after(leases.RELEASE_TIMEOUT)
                await self._store.release(leases.release_request(lease), within)
            raise

    async def _renew(self, key: ContextKey, version: int, factory: Factory) -> None:
        """Make an entry anew, where no other process does. Others go on with what there is."""
        try:
            request = leases.lease_request(key, wait=0, renew_version=version)
            leased = leases.leased(key, await self._store.lease(request))
            if isinstance(leased, Lease):
                await self._make(leased, factory)
        except Exception as error:  # noqa: BLE001 - told by its kind
            leases.tell_failure(key, error)
