"""Creates missing entries, and renews those that are about to expire, on an event loop."""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import TypeAlias

from relevo_client._client.aio_compat import existing_entry, must_be_callable
from relevo_client._client.aio_flights import (
    AsyncFlight,
    AsyncFlights,
    aio_finished_first,
    aio_flight_result,
)
from relevo_client._client.flights import WaitedTooLongError
from relevo_client._client.loaders import (
    ATTEMPTS,
    LEASE_WAIT_SHARE,
    RELEASE_TIMEOUT,
    Loaders,
    creation_too_late,
    lease_lost,
    log_failure,
)
from relevo_client._context.deadline import Deadline
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import (
    ConflictError,
    IncompleteContextError,
    LeaseHeldError,
    LeaseLostError,
    NotFoundError,
    RelevoError,
)
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.model import ExecutionContext
from relevo_client._near_cache.aio import AsyncWatcher
from relevo_client._store import leases, requests
from relevo_client._store.aio import AsyncStore
from relevo_client._store.leases import Lease, Lifetime
from relevo_client._store.snapshots import Snapshot
from relevo_client._telemetry.creations import Creating, LeaseWait

AsyncFactory: TypeAlias = Callable[[ContextKey], Awaitable[ExecutionContext]]
"""A user's function that returns the context for a key: a factory, or a scope's loader."""


class AsyncCreation:
    """Creates entries under leases: the process with the lease creates, the others wait."""

    def __init__(
        self, store: AsyncStore, watcher: AsyncWatcher | None, loaders: Loaders[AsyncFactory]
    ) -> None:
        self._store = store
        self._watcher = watcher
        self._loaders = loaders
        self._loads = AsyncFlights[ContextKey, ContextEntry]("relevo-load")
        # Renewals have empty context variables: they are not done for one caller.
        self._renewals = AsyncFlights[ContextKey, None]("relevo-renew", ambient=Context)

    async def close(self) -> None:
        """End the loads and renewals in flight."""
        await self._renewals.close()
        await self._loads.close()

    async def create(
        self, key: ContextKey, factory: AsyncFactory, ttl: Lifetime, deadline: Deadline
    ) -> ContextEntry:
        """The live entry, created if there is none, with one load for all callers of the client.

        The deadline ends this caller's wait, and not the load.
        """
        cached = self._watcher.entry(key) if self._watcher else None
        if cached:
            return cached
        must_be_callable("factory", factory)  # after the lookup, whose time it would double
        entry = await existing_entry(self._store, key, deadline)
        return entry or await self._entry_of_load(
            key, self._begin_load(key, factory, ttl), deadline
        )

    async def create_missing(
        self, key: ContextKey, error: NotFoundError | IncompleteContextError, deadline: Deadline
    ) -> list[ContextEntry]:
        """Create the entries that `error` reports as missing, concurrently, with their loaders.

        Raises `error` if one of them has no loader, or its loader fails.
        """
        missing = self._loaders.missing(key, error)
        loads = {self._begin_load(each, self._loaders.of(each)): each for each in missing}
        # The first failure is raised at once, whatever the other loads do.
        finished = await aio_finished_first(loads, deadline)
        return [
            await self._entry_of_loader(loads[each], each, deadline, error) for each in finished
        ]

    async def create_snapshot(self, snapshot: Snapshot, ttl: Lifetime) -> ContextEntry:
        """The stored snapshot, written if it does not exist yet."""
        entry = await self._write_snapshot(snapshot, ttl)
        self._wrote(entry)
        return entry

    def renew(self, ageing: Iterable[tuple[ContextKey, int]]) -> None:
        """Begin to renew entries, given as keys and versions."""
        for key, version in ageing:
            renew = partial(self._renew, key, version, self._loaders.of(key))
            self._renewals.begin(key, renew)

    def _begin_load(
        self, key: ContextKey, factory: AsyncFactory, ttl: Lifetime = None
    ) -> AsyncFlight[ContextEntry]:
        return self._loads.begin(key, partial(self._load, key, factory, ttl))

    async def _entry_of_load(
        self, key: ContextKey, load: AsyncFlight[ContextEntry], deadline: Deadline
    ) -> ContextEntry:
        try:
            entry = await aio_flight_result(load, deadline)
        except WaitedTooLongError:
            raise creation_too_late(key) from None
        self._wrote(entry)
        return entry

    def _wrote(self, entry: ContextEntry) -> None:
        if self._watcher:
            self._watcher.record_write(entry.key.tenant_id, entry.version)

    async def _entry_of_loader(
        self,
        key: ContextKey,
        load: AsyncFlight[ContextEntry],
        deadline: Deadline,
        missing: RelevoError,
    ) -> ContextEntry:
        """The entry that a scope's loader creates. Raises `missing` if the loader fails."""
        try:
            return await self._entry_of_load(key, load, deadline)
        except RelevoError:
            raise
        except Exception as error:
            log_failure(key, error)
            raise missing from error

    async def _write_snapshot(self, snapshot: Snapshot, ttl: Lifetime) -> ContextEntry:
        for _ in range(ATTEMPTS):
            try:
                return snapshot.written(await self._store.put(snapshot.request(ttl)))
            except ConflictError:  # it exists already
                with suppress(NotFoundError):  # it has ended since
                    return await self._get(snapshot.key)
        return await self._get(snapshot.key)

    async def _get(self, key: ContextKey) -> ContextEntry:
        return requests.entry_of(await self._store.get(requests.get_request(key)))

    async def _load(self, key: ContextKey, factory: AsyncFactory, ttl: Lifetime) -> ContextEntry:
        for _ in range(ATTEMPTS):
            leased = await self._lease_or_entry(key)
            if isinstance(leased, ContextEntry):
                return leased
            with suppress(LeaseLostError):  # the lease has ended meanwhile
                ref = await self._run_factory(leased, factory, ttl)
                request = requests.get_request(key, min_revision=ref.revision)
                with suppress(NotFoundError):  # the entry has, too
                    return requests.entry_of(await self._store.get(request))
        raise lease_lost(key)

    async def _lease_or_entry(self, key: ContextKey) -> ContextEntry | Lease:
        """The entry, or a lease to create it. Waits for as long as others hold the lease."""
        with LeaseWait() as waiting:
            while True:
                try:
                    wait = self._store.timeout * LEASE_WAIT_SHARE
                    request = leases.lease_request(key, wait=wait)
                    leased = leases.leased(key, await self._store.lease(request))
                except LeaseHeldError:
                    continue
                waiting.outcome = "granted" if isinstance(leased, Lease) else "entry"
                return leased

    async def _run_factory(
        self, lease: Lease, factory: AsyncFactory, ttl: Lifetime = None
    ) -> ContextRef:
        """Write the factory's context under a lease. Raises LeaseLostError and its exceptions."""
        try:
            with Creating(lease.key):
                context = await factory(lease.key)
                request = requests.put_request(lease.key, context, ttl=ttl, lease_token=lease.token)
                return requests.put_ref(lease.key, await self._store.put(request))
        except LeaseLostError:
            raise
        except BaseException:
            # A lease that cannot be released expires.
            with suppress(RelevoError):
                within = Deadline.after(RELEASE_TIMEOUT)
                await self._store.release(leases.release_request(lease), within)
            raise

    async def _renew(self, key: ContextKey, version: int, factory: AsyncFactory) -> None:
        """Renew an entry unless another process does. Readers use the old version meanwhile."""
        try:
            request = leases.lease_request(key, wait=0, renew_version=version)
            leased = leases.leased(key, await self._store.lease(request))
            if isinstance(leased, Lease):
                await self._run_factory(leased, factory)
        except Exception as error:  # noqa: BLE001 - logged by its kind
            log_failure(key, error)
