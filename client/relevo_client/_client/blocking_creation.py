# Generated from aio_creation.py by `make twins`: edit that file, not this one.
"""Creates missing entries, and renews those that are about to expire, in threads."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import NamedTuple, TypeAlias

from relevo.v1 import store_pb2

from relevo_client._client.blocking_compat import existing_entry, must_be_callable
from relevo_client._client.blocking_flights import (
    Flight,
    Flights,
    finished_first,
    flight_result,
)
from relevo_client._client.flights import Value, WaitedTooLongError
from relevo_client._client.loaders import (
    ATTEMPTS,
    LEASE_WAIT_SHARE,
    RELEASE_TIMEOUT,
    Loaders,
    creation_too_late,
    lease_lost,
    log_failure,
)
from relevo_client._context.codec import entry_from_message
from relevo_client._context.deadline import Deadline
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import (
    IncompleteContextError,
    LeaseHeldError,
    LeaseLostError,
    NotFoundError,
    RelevoError,
)
from relevo_client._context.fences import fence_of, raise_fence
from relevo_client._context.hiding import hides
from relevo_client._context.keys import ContextKey, must_be_key
from relevo_client._context.model import ExecutionContext
from relevo_client._near_cache.blocking import Watcher
from relevo_client._store import leases, requests
from relevo_client._store.blocking import Store
from relevo_client._store.leases import Lease, Lifetime
from relevo_client._telemetry.creations import Creating, LeaseWait

Factory: TypeAlias = Callable[[ContextKey], ExecutionContext]
"""A user's function that returns the context for a key: a factory, or a scope's loader."""


def creation_result(flight: Flight[Value], key: ContextKey, deadline: Deadline) -> Value:
    """The result of a creation under a key. Raises what it raises, or UnavailableError if late."""
    try:
        return flight_result(flight, deadline)
    except WaitedTooLongError:
        raise creation_too_late(key) from None


@hides("current")
class Begun(NamedTuple):
    """A live entry, which was created if there was none."""

    version: int
    is_new: bool
    current: store_pb2.GetResponse | None
    """The entry with what it includes; None if the store has not said."""


class Creation:
    """Creates entries under leases: the process with the lease creates, the others wait."""

    def __init__(self, store: Store, watcher: Watcher | None, loaders: Loaders[Factory]) -> None:
        self._store = store
        self._watcher = watcher
        self._loaders = loaders
        self._loads = Flights[ContextKey, ContextEntry]("relevo-load")
        self._beginnings = Flights[ContextKey, Begun]("relevo-begin")
        # Renewals have empty context variables: they are not done for one caller.
        self._renewals = Flights[ContextKey, None]("relevo-renew", ambient=Context)

    def close(self) -> None:
        """End the loads and renewals in flight."""
        self._renewals.close()
        self._beginnings.close()
        self._loads.close()

    def create(
        self, key: ContextKey, factory: Factory, ttl: Lifetime, deadline: Deadline
    ) -> ContextEntry:
        """The live entry, created if there is none, with one load for all callers of the client.

        The deadline ends this caller's wait, and not the load.
        """
        must_be_key(key)
        cached = self._watcher.entry(key, fence_of(key.tenant_id)) if self._watcher else None
        if cached:
            return cached
        must_be_callable("factory", factory)  # after the lookup, whose time it would double
        entry = existing_entry(self._store, key, deadline)
        return entry or self._entry_of_load(key, self._begin_load(key, factory, ttl), deadline)

    def create_missing(
        self, key: ContextKey, error: NotFoundError | IncompleteContextError, deadline: Deadline
    ) -> list[ContextEntry]:
        """Create the entries that `error` reports as missing, concurrently, with their loaders.

        Raises `error` if one of them has no loader, or its loader fails.
        """
        missing = self._loaders.missing(key, error)
        loads = {self._begin_load(each, self._loaders.of(each)): each for each in missing}
        # The first failure is raised at once, whatever the other loads do.
        finished = finished_first(loads, deadline)
        return [self._entry_of_loader(loads[each], each, deadline, error) for each in finished]

    def begin(self, key: ContextKey, factory: Factory, deadline: Deadline) -> Begun:
        """The live entry with what it includes, created if there is none, as by `create`.

        One call to the store if it exists, and a second one if not.
        """
        must_be_callable("begin", factory)
        beginning = self._beginnings.begin(key, partial(self._begin, key, factory))
        begun = creation_result(beginning, key, deadline)
        self.wrote(key.tenant_id, begun.version)
        return begun

    def wrote(self, tenant_id: str, revision: int) -> None:
        """Record an own write: no older copy of the tenant's entries is used from now on."""
        raise_fence(tenant_id, revision)
        if self._watcher:
            self._watcher.record_write(tenant_id, revision)

    def renew(self, ageing: Iterable[tuple[ContextKey, int]]) -> None:
        """Begin to renew entries, given as keys and versions."""
        for key, version in ageing:
            renew = partial(self._renew, key, version, self._loaders.of(key))
            self._renewals.begin(key, renew)

    def _begin_load(
        self, key: ContextKey, factory: Factory, ttl: Lifetime = None
    ) -> Flight[ContextEntry]:
        return self._loads.begin(key, partial(self._load, key, factory, ttl))

    def _entry_of_load(
        self, key: ContextKey, load: Flight[ContextEntry], deadline: Deadline
    ) -> ContextEntry:
        entry = creation_result(load, key, deadline)
        self.wrote(entry.key.tenant_id, entry.version)
        return entry

    def _entry_of_loader(
        self,
        key: ContextKey,
        load: Flight[ContextEntry],
        deadline: Deadline,
        missing: RelevoError,
    ) -> ContextEntry:
        """The entry that a scope's loader creates. Raises `missing` if the loader fails."""
        try:
            return self._entry_of_load(key, load, deadline)
        except RelevoError:
            raise
        except Exception as error:
            log_failure(key, error)
            raise missing from error

    def _begin(self, key: ContextKey, factory: Factory) -> Begun:
        for _ in range(ATTEMPTS):
            response = self._lease(key, layers=True)
            lease = leases.lease_in(key, response)
            if lease is None:
                return _found(response)
            with suppress(LeaseLostError):  # the lease has ended meanwhile
                return _written(self._run_factory(lease, factory))
        raise lease_lost(key)

    def _load(self, key: ContextKey, factory: Factory, ttl: Lifetime) -> ContextEntry:
        for _ in range(ATTEMPTS):
            response = self._lease(key)
            lease = leases.lease_in(key, response)
            if lease is None:
                return entry_from_message(response.entry, response.revision)
            with suppress(LeaseLostError):  # the lease has ended meanwhile
                written = self._run_factory(lease, factory, ttl)
                if written.HasField("current"):
                    current = written.current
                    return entry_from_message(current.entry, current.revision)
                request = requests.get_request(key, min_revision=written.revision)
                with suppress(NotFoundError):  # the entry has, too
                    return requests.entry_of(self._store.get(request))
        raise lease_lost(key)

    def _lease(self, key: ContextKey, *, layers: bool = False) -> store_pb2.LeaseResponse:
        """The entry, or a lease to create it. Waits for as long as others hold the lease."""
        with LeaseWait() as waiting:
            while True:
                try:
                    wait = self._store.timeout * LEASE_WAIT_SHARE
                    request = leases.lease_request(key, wait=wait, layers=layers)
                    response = self._store.lease(request)
                except LeaseHeldError:
                    continue
                waiting.outcome = "granted" if response.HasField("lease") else "entry"
                return response

    def _run_factory(
        self, lease: Lease, factory: Factory, ttl: Lifetime = None, *, layers: bool = True
    ) -> store_pb2.PutResponse:
        """Write the factory's context under a lease. Raises LeaseLostError and its exceptions.

        With `layers`, the response may have the entry with what it includes.
        """
        try:
            with Creating(lease.key):
                context = factory(lease.key)
                request = requests.put_request(
                    lease.key, context, ttl=ttl, lease_token=lease.token, layers=layers
                )
                return self._store.put(request)
        except LeaseLostError:
            raise
        except BaseException:
            # A lease that cannot be released expires.
            with suppress(RelevoError):
                within = Deadline.after(RELEASE_TIMEOUT)
                self._store.release(leases.release_request(lease), within)
            raise

    def _renew(self, key: ContextKey, version: int, factory: Factory) -> None:
        """Renew an entry unless another process does. Readers use the old version meanwhile."""
        try:
            request = leases.lease_request(key, wait=0, renew_version=version)
            lease = leases.lease_in(key, self._store.lease(request))
            if lease:
                self._run_factory(lease, factory, layers=False)
        except Exception as error:  # noqa: BLE001 - logged by its kind
            log_failure(key, error)


def _found(response: store_pb2.LeaseResponse) -> Begun:
    """The entry in the response to a Lease that has found one."""
    if response.HasField("current"):
        return Begun(response.current.entry.version, is_new=False, current=response.current)
    return Begun(response.entry.version, is_new=False, current=None)  # of an older store


def _written(response: store_pb2.PutResponse) -> Begun:
    """The entry in the response to a Put."""
    current = response.current if response.HasField("current") else None
    return Begun(response.revision, is_new=True, current=current)
