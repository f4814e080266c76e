"""Entries that are made where they are missing, or nearly over, in threads."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context
from typing import TypeAlias

from relevo_client._client.single_flight import ThreadFlights
from relevo_client._context.deadline import Deadline
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import ConflictError, LeaseLostError, NotFoundError, RelevoError
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.model import ExecutionContext
from relevo_client._store import leases, requests
from relevo_client._store.blocking import BlockingStore
from relevo_client._store.leases import Lease, Lifetime

BlockingFactory: TypeAlias = Callable[[ContextKey], ExecutionContext]


class BlockingCreating:
    """`AsyncCreating` for threads."""

    def __init__(self, store: BlockingStore) -> None:
        self._store = store
        self._loads = ThreadFlights[ContextKey, ContextEntry]()
        self._lock = threading.Lock()
        self._renewals: set[ContextKey] = set()

    def begin(
        self, key: ContextKey, factory: BlockingFactory, ttl: Lifetime = None
    ) -> Future[ContextEntry]:
        """The load of a live entry, for `wait`; one for all callers here. Waits for nothing."""
        return self._loads.begin(key, lambda: self._load(key, factory, ttl))

    def wait(self, key: ContextKey, load: Future[ContextEntry], deadline: Deadline) -> ContextEntry:
        """The entry that a load has created, or found.

        The deadline is this caller's: the load goes on without it.
        """
        try:
            return load.result(deadline.remaining())
        except TimeoutError:
            if load.done():  # the factory's, or it has come this moment
                return load.result()
            raise leases.too_late(key) from None

    def renew(self, ageing: Iterable[tuple[ContextKey, int, BlockingFactory]]) -> None:
        """Begin to make entries anew, by their keys, versions and factories."""
        for key, version, factory in ageing:
            with self._lock:
                if key in self._renewals:
                    continue
                self._renewals.add(key)
            # In a context of its own: nothing of the caller's is current in it.
            run = Context().run
            threading.Thread(
                target=run, args=(self._renew, key, version, factory), name="relevo-renew",
                daemon=True,
            ).start()  # fmt: skip

    def _load(self, key: ContextKey, factory: BlockingFactory, ttl: Lifetime) -> ContextEntry:
        for _ in range(leases.ATTEMPTS):
            leased = self._leased(key)
            if isinstance(leased, ContextEntry):
                return leased
            with suppress(LeaseLostError):  # it has ended meanwhile
                ref = self._make(leased, factory, ttl)
                request = requests.get_request(key, min_revision=ref.revision)
                with suppress(NotFoundError):  # so has the entry
                    return requests.entry_of(self._store.get(request))
        raise leases.lost(key)

    def _leased(self, key: ContextKey) -> ContextEntry | Lease:
        """The entry, or the right to create it, however long another process has it."""
        while True:
            try:
                wait = self._store.timeout * leases.WAITING
                request = leases.lease_request(key, wait=wait)
                return leases.leased(key, self._store.lease(request))
            except ConflictError as error:
                if not leases.is_held(error):
                    raise

    def _make(self, lease: Lease, factory: BlockingFactory, ttl: Lifetime = None) -> ContextRef:
        """Write what the factory makes. Raises what it raises, and LeaseLostError."""
        try:
            context = factory(lease.key)
            request = requests.put_request(lease.key, context, ttl=ttl, lease_token=lease.token)
            return requests.put_ref(lease.key, self._store.put(request))
        except LeaseLostError:
            raise
        except BaseException:
            # What cannot be given back ends by itself.
            with suppress(RelevoError):
                within = Deadline.after(leases.RELEASE_TIMEOUT)
                self._store.release(leases.release_request(lease), within)
            raise

    def _renew(self, key: ContextKey, version: int, factory: BlockingFactory) -> None:
        """Make an entry anew, where no other process does. Others go on with what there is."""
        try:
            request = leases.lease_request(key, wait=0, renew_version=version)
            leased = leases.leased(key, self._store.lease(request))
            if isinstance(leased, Lease):
                self._make(leased, factory)
        except Exception as error:  # noqa: BLE001 - told by its kind
            leases.tell_failure(key, error)
        finally:
            with self._lock:
                self._renewals.discard(key)
