"""The ContextStore service: each RPC from a checked request to its response."""

from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

from grpc import (
    RpcMethodHandler,
    stream_stream_rpc_method_handler,
    unary_unary_rpc_method_handler,
)
from relevo.v1 import store_pb2

from relevo_server.access.access import Access
from relevo_server.audit import SILENT, Event, Trail
from relevo_server.errors import StoreError
from relevo_server.event_log.copies import Copies
from relevo_server.event_log.followers import Followers
from relevo_server.quotas import Quotas, part_of
from relevo_server.schemas import Schema, read
from relevo_server.service.activity import BYTES, CALLS, Activity
from relevo_server.service.admission import Admission, Context, fail, name_of
from relevo_server.service.auditing import recorded, recording_parts
from relevo_server.service.batches import Batches
from relevo_server.service.gets import Gets
from relevo_server.service.leases import Leases
from relevo_server.service.parts import Parts
from relevo_server.service.reads import Reader
from relevo_server.service.recounts import Recounts
from relevo_server.service.schemas import Schemas
from relevo_server.service.shares import Shares
from relevo_server.service.signing import signature_of
from relevo_server.service.snapshots import Snapshots
from relevo_server.service.unsent import Unsent
from relevo_server.service.watch import Watching
from relevo_server.service.writes import Writer
from relevo_server.settings import Settings
from relevo_server.storage.interface import Storage
from relevo_server.telemetry.calls import Registry
from relevo_server.telemetry.counts import Counts
from relevo_server.telemetry.instruments import Read as ReadFigure
from relevo_server.wire import opaque, requests
from relevo_server.wire.entries import Entries
from relevo_server.workers import ALONE, Worker

SERVICE = store_pb2.DESCRIPTOR.services_by_name["ContextStore"].full_name
FREQUENT = frozenset({f"/{SERVICE}/Get", f"/{SERVICE}/Put"})
"""The paths of the methods that take most of a busy server's time."""


class ContextStore:
    """Answers `relevo.v1.ContextStore` from a storage backend, and from copies of its entries."""

    def __init__(
        self, storage: Storage, settings: Settings, trail: Trail = SILENT, worker: Worker = ALONE
    ) -> None:
        self._storage = storage
        self._trail = trail
        self._settings = settings
        self._worker = worker
        self._access = Access(settings.principals, settings.issuers)
        self._put_limits = requests.PutLimits(
            settings.max_context_bytes, round(settings.ttl.maximum * 1000)
        )
        self._entries = Entries(signature_of(settings))
        self._counts = Counts()
        self._activity = Activity()
        self._copies = Copies(
            max_entries=settings.cache_max_entries,
            max_bytes=settings.cache_max_bytes,
            max_staleness=settings.cache_max_staleness,
        )
        self._followers = Followers(storage, self._entries, self._copies, settings, self._counts)
        max_calls = settings.max_concurrent_calls
        self._shares = Shares(settings.quotas, max_calls, self._counts, workers=worker.of)
        self._watching = Watching(
            storage,
            self._followers,
            self._access.sessions,
            settings,
            self._counts,
            self._shares,
            trail,
        )
        self._reader = Reader(
            storage, self._entries, self._copies, self._followers, settings, self._counts
        )
        storage.limit(self._shares.stored_limits)
        self._recounts = Recounts(storage, settings.quotas)
        self._gets = Gets(storage, self._reader, self._entries, self._activity)
        self._batches = Batches(self._reader, self._gets.response, settings.max_batch_bytes)
        self._schemas = Schemas(read(settings.schemas))
        self._writer = Writer(storage, settings, self._counts, self._schemas)
        self._snapshots = Snapshots(
            storage, self._reader, self._writer, self._entries, self._activity
        )
        self._leases = Leases(
            storage, self._followers, settings.lease_ttl, self._counts, self._shares
        )
        self._unsent = Unsent(settings.max_unsent_bytes)
        self._admission = Admission(
            self._access,
            int(part_of(max_calls, worker.of)),
            self._unsent,
            self._shares,
            trail=trail,
        )

    @property
    def parts(self) -> Parts:
        """The parts that the Admin service looks at."""
        return Parts(
            self._storage,
            self._settings,
            self._access,
            self._admission,
            self._unsent,
            self._copies,
            self._followers,
            self._watching,
            self._reader,
            self._entries,
            self._activity,
            self._shares,
            self._trail,
            self._worker,
        )

    def add_to(self, server: Registry) -> None:
        """Register the service with a server that has not been started."""
        method = self._admission.method
        write = recorded(method, self._trail, Event.WRITE)
        invalidate = recorded(partial(method, has_reserve=True), self._trail, Event.WRITE)
        batch = recording_parts(
            partial(method, expected=self._settings.max_batch_bytes), self._trail
        )
        methods = {
            "Get": method(self.Get, requests.read_get),
            "BatchGet": batch(self.BatchGet, requests.read_batch),
            "Put": write(self.Put, partial(requests.read_put, limits=self._put_limits)),
            "Snapshot": write(
                self.Snapshot, partial(requests.read_snapshot, limits=self._put_limits)
            ),
            "Invalidate": invalidate(self.Invalidate, requests.read_invalidate),
            "Lease": method(self.Lease, requests.read_lease),
            "Release": method(self.Release, requests.read_release),
        }
        # Without deserializers: gRPC would run these before the caller is known, and answer what
        # they raise itself.
        handlers: dict[str, RpcMethodHandler[Any, Any]] = {
            name: unary_unary_rpc_method_handler(each) for name, each in methods.items()
        }
        handlers["Watch"] = stream_stream_rpc_method_handler(self.Watch)
        server.add_registered_method_handlers(SERVICE, handlers)

    def figures(self) -> dict[str, ReadFigure]:
        """The functions that read the values of the service's instruments, by their names.

        They may be called from any thread.
        """
        counts = self._counts
        return {
            "relevo.server.active_calls": lambda: self._admission.active_calls,
            "relevo.server.unsent.size": lambda: self._unsent.size,
            "relevo.server.watchers": lambda: self._watching.streams,
            "relevo.server.subscriptions": lambda: self._watching.subscriptions,
            "relevo.server.outbox.size": lambda: self._watching.outbox_bytes,
            "relevo.server.watch.events": lambda: counts.events,
            "relevo.server.watch.resets": lambda: counts.resets,
            "relevo.server.followers": lambda: self._followers.count,
            "relevo.server.follower.lag": self._followers.lag,
            "relevo.server.leases": lambda: counts.leases,
            "relevo.server.lease.waiters": lambda: self._leases.waiters,
            "relevo.server.quota.refusals": lambda: counts.quota_refusals,
            "relevo.server.cache.lookups": lambda: counts.lookups,
            "relevo.server.cache.entries": lambda: len(self._copies),
            "relevo.server.cache.size": lambda: self._copies.size,
        }

    def update_quotas(self, quotas: Quotas) -> None:
        """Apply these quotas from now on. What is in flight goes on, and streams stay open."""
        self._shares.update(quotas)
        self._recounts.update(quotas)

    def update_schemas(self, schemas: Mapping[str, Schema]) -> None:
        """Apply these schemas of scopes to Puts from now on. Entries stay as they are."""
        self._schemas.replace(schemas)

    async def recount_regularly(self) -> None:
        """Keep the counts right of what tenants have in the store, until this is cancelled."""
        await self._recounts.run()

    async def refuse(self, *, quiet: float, within: float) -> None:
        """Answer new calls UNAVAILABLE from now on.

        Returns when none has come for `quiet` seconds, after `within` seconds at the latest. By
        then, calls that had already arrived at the port have their answer: gRPC would cancel them.
        """
        self._watching.stop()
        self._leases.stop()
        await self._admission.refuse(quiet=quiet, within=within)

    async def close(self) -> None:
        """End the service's own tasks."""
        await self._leases.close()
        await self._followers.close()
        await self._access.close()

    def Get(self, get: requests.Get) -> Coroutine[Any, Any, bytes] | bytes:
        """Answer one entry: a serialized GetResponse, without waiting if the copies have it."""
        return self._gets.answer(get)

    async def BatchGet(self, gets: Sequence[requests.Get | StoreError]) -> bytes:
        """Answer several entries, each with a result of its own: a serialized BatchGetResponse."""
        return await self._batches.answer(gets)

    async def Put(self, put: requests.Put) -> store_pb2.PutResponse:
        """Write an entry, or parts of it."""
        row = self._activity.of(put.key.tenant_id)
        row[CALLS] += 1
        row[BYTES] += put.size
        written = await self._writer.put(put)
        partition = self._storage.partition_of(put.key.tenant_id)
        entry = self._entries.written(put.key, partition, written)
        current = None
        if put.current:
            get = put.current._replace(min_revision=written.version)
            with suppress(StoreError):  # the write has happened; the client asks by a Get
                current = await self._gets.from_store(get)
        return opaque.PutResponse(entry=entry, revision=written.version, current=current)

    async def Snapshot(self, snapshot: requests.Snapshot) -> store_pb2.SnapshotResponse:
        """Answer the snapshot of an entry, and write it if it does not exist."""
        return await self._snapshots.answer(snapshot)

    async def Invalidate(
        self, target: requests.InvalidateKeys | requests.InvalidateTenant
    ) -> store_pb2.InvalidateResponse:
        """End entries."""
        self._activity.of(target.tenant_id)[CALLS] += 1
        if isinstance(target, requests.InvalidateTenant):
            revision = await self._storage.invalidate_tenant(*target)
            return store_pb2.InvalidateResponse(revision=revision)
        revision, count = await self._storage.invalidate(*target)
        return store_pb2.InvalidateResponse(revision=revision, invalidated_count=count)

    async def Lease(self, lease: requests.Lease) -> store_pb2.LeaseResponse:
        """Answer an entry, or the right to write it."""
        tenant_id = lease.key.tenant_id
        self._activity.of(tenant_id)[CALLS] += 1
        leased = await self._leases.acquire(lease)
        if leased.entry and lease.current:
            current = await self._gets.current(lease.current, leased.entry, leased.revision)
            return opaque.LeaseResponse(current=current, revision=leased.revision)
        if leased.entry:
            # Looked up again: the tenant's row may have been dropped while the call waited.
            self._activity.of(tenant_id)[BYTES] += leased.entry.size
            partition = self._storage.partition_of(tenant_id)
            entry = self._entries.serialized(lease.key, partition, leased.entry, body=True)
            return opaque.LeaseResponse(entry=entry, revision=leased.revision)
        response = store_pb2.LeaseResponse(revision=leased.revision)
        response.lease.token = leased.token
        response.lease.ttl.FromMilliseconds(leased.ttl_ms)
        return response

    async def Release(self, release: requests.Release) -> store_pb2.ReleaseResponse:
        """End a lease."""
        self._activity.of(release.key.tenant_id)[CALLS] += 1
        await self._leases.release(release)
        return store_pb2.ReleaseResponse()

    async def Watch(
        self, request_iterator: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[bytes]:
        """Stream changes to a client, until it ends the stream or the server stops."""
        caller = failure = None
        try:
            session = await self._access.session(context)
            caller = session.caller
            responses = self._watching.stream(request_iterator, session, context.peer())
            async with aclosing(responses) as messages:
                async for message in messages:
                    yield message
        except Exception as error:  # noqa: BLE001 - typed for the caller
            failure = error
        if failure:
            self._trail.failed("Watch", name_of(caller), context.peer, failure)
            ending = fail(context, failure, "Watch")
            del request_iterator, context, failure  # as in `Admission.method`
            await ending
