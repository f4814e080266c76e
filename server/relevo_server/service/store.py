"""The ContextStore service: each RPC from a checked request to its response."""

from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from grpc import (
    RpcMethodHandler,
    stream_stream_rpc_method_handler,
    unary_unary_rpc_method_handler,
)
from relevo.v1 import store_pb2

from relevo_server import errors
from relevo_server.access.access import Access
from relevo_server.audit import SILENT, Event, Trail
from relevo_server.errors import StoreError
from relevo_server.event_log.copies import Copies
from relevo_server.event_log.followers import Followers
from relevo_server.keys import Key
from relevo_server.quotas import Quotas
from relevo_server.service.activity import BYTES, CALLS, MISSES, Activity
from relevo_server.service.admission import Admission, Context, fail, name_of
from relevo_server.service.auditing import recorded, recording_parts
from relevo_server.service.batches import Batches
from relevo_server.service.leases import Leases
from relevo_server.service.parts import Parts
from relevo_server.service.reads import Reader
from relevo_server.service.recounts import Recounts
from relevo_server.service.shares import Shares
from relevo_server.service.signing import signature_of
from relevo_server.service.unsent import Unsent
from relevo_server.service.watch import Watching
from relevo_server.service.writes import Writer
from relevo_server.settings import Settings
from relevo_server.storage.interface import Read, Storage
from relevo_server.telemetry.calls import Registry
from relevo_server.telemetry.counts import Counts
from relevo_server.telemetry.instruments import Read as ReadFigure
from relevo_server.wire import opaque, requests
from relevo_server.wire.entries import Entries

SERVICE = store_pb2.DESCRIPTOR.services_by_name["ContextStore"].full_name


class ContextStore:
    """Answers `relevo.v1.ContextStore` from a storage backend, and from copies of its entries."""

    def __init__(self, storage: Storage, settings: Settings, trail: Trail = SILENT) -> None:
        self._storage = storage
        self._trail = trail
        self._settings = settings
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
        self._shares = Shares(settings.quotas, settings.max_concurrent_calls, self._counts)
        self._watching = Watching(
            storage,
            self._followers,
            self._access.sessions,
            settings,
            self._counts,
            self._shares,
        )
        self._reader = Reader(
            storage, self._entries, self._copies, self._followers, settings, self._counts
        )
        storage.limit(self._shares.stored_limits)
        self._recounts = Recounts(storage, settings.quotas)
        self._batches = Batches(self._reader, self._get_response, settings.max_batch_bytes)
        self._writer = Writer(storage, settings, self._counts)
        self._leases = Leases(
            storage, self._followers, settings.lease_ttl, self._counts, self._shares
        )
        self._unsent = Unsent(settings.max_unsent_bytes)
        self._admission = Admission(
            self._access,
            settings.max_concurrent_calls,
            self._unsent,
            self._shares,
            trail=trail,
        )

    @property
    def parts(self) -> Parts:
        """What the Admin service looks at."""
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
        found = self._reader.from_copies(get)
        return self._get_response(get, *found) if found else self._get_from_store(get)

    async def BatchGet(
        self, gets: Sequence[requests.Get | StoreError]
    ) -> store_pb2.BatchGetResponse:
        """Answer several entries, each with a result of its own."""
        return await self._batches.answer(gets)

    async def Put(self, put: requests.Put) -> store_pb2.PutResponse:
        """Write an entry, or parts of it."""
        row = self._activity.of(put.key.tenant_id)
        row[CALLS] += 1
        row[BYTES] += put.size
        written = await self._writer.put(put)
        partition = self._storage.partition_of(put.key.tenant_id)
        entry = self._entries.written(put.key, partition, written)
        return opaque.PutResponse(entry=entry, revision=written.version)

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
        caller = None
        try:
            session = await self._access.session(context)
            caller = session.caller
            responses = self._watching.stream(request_iterator, session, context.peer())
            async with aclosing(responses) as messages:
                async for message in messages:
                    yield message
        except Exception as error:  # noqa: BLE001 - typed for the caller
            self._trail.failed("Watch", name_of(caller), context.peer, error)
            await fail(context, error, "Watch")

    async def _get_from_store(self, get: requests.Get) -> bytes:
        return self._get_response(get, *await self._reader.from_store(get))

    def _get_response(self, get: requests.Get, read: Read, layers: Sequence[Key]) -> bytes:
        key = get.key
        get.require_layers(layers)
        row = self._activity.of(key.tenant_id)
        row[CALLS] += 1
        if read.revision < get.min_revision:
            raise errors.store_behind(key, read.revision)
        stored = read.entries[0]
        if stored is None:
            row[MISSES] += 1
            raise errors.no_entry(key)
        partition = self._storage.partition_of(key.tenant_id)
        is_known = stored.version == get.known_version
        if not is_known:
            row[BYTES] += stored.size
        if not (is_known or layers):
            return self._entries.get_response(key, partition, stored, read.revision)
        row[BYTES] += sum(layer.size for layer in read.entries[1:] if layer)
        response = opaque.GetResponse(
            entry=self._entries.serialized(key, partition, stored, body=not is_known),
            layers=[
                self._entries.serialized(layer, partition, found, body=True)
                for layer, found in zip(layers, read.entries[1:], strict=True)
                if found is not None
            ],
            revision=read.revision,
            not_modified=is_known,
        )
        return response.SerializeToString()
