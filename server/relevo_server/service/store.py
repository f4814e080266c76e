"""The ContextStore service: requests in, storage in between, answers out."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import aclosing
from typing import Any

from grpc import (
    RpcMethodHandler,
    aio,
    stream_stream_rpc_method_handler,
    unary_unary_rpc_method_handler,
)
from relevo.v1 import store_pb2

from relevo_server import errors
from relevo_server.errors import StoreError
from relevo_server.event_log.copies import Copies
from relevo_server.event_log.followers import Followers
from relevo_server.keys import Key
from relevo_server.logs import log, where
from relevo_server.service.access import Access, Caller
from relevo_server.service.admission import Calls, Context, fail
from relevo_server.service.leases import Leases
from relevo_server.service.reads import Reader
from relevo_server.service.watch import Watching
from relevo_server.service.writes import Writer, once
from relevo_server.settings import Settings
from relevo_server.storage.interface import Read, Storage
from relevo_server.wire import opaque, validation
from relevo_server.wire.decoding import decoder
from relevo_server.wire.entries import Entries
from relevo_server.wire.statuses import status_of

SERVICE = store_pb2.DESCRIPTOR.services_by_name["ContextStore"].full_name


class ContextStore:
    """Answers `relevo.v1.ContextStore` from a storage backend, and from copies of what it has."""

    def __init__(self, storage: Storage, settings: Settings) -> None:
        self._storage = storage
        self._settings = settings
        self._access = Access(settings.principals)
        self._max_ttl_ms = round(settings.ttl.maximum * 1000)
        self._entries = Entries()
        copies = Copies(
            max_entries=settings.cache_max_entries,
            max_bytes=settings.cache_max_bytes,
            max_staleness=settings.cache_max_staleness,
        )
        self._followers = Followers(storage, self._entries, copies, settings)
        self._watching = Watching(storage, self._followers, settings)
        self._reader = Reader(storage, self._entries, copies, self._followers, settings)
        self._writer = Writer(storage, settings)
        self._leases = Leases(storage, self._followers, settings.lease_ttl)
        self._calls = Calls(self._access, settings.max_concurrent_calls)

    def add_to(self, server: aio.Server) -> None:
        """Serve on a server that has not been started."""
        answered = self._calls.answered
        methods = {
            "Get": answered(self.Get, validation.read_get),
            "BatchGet": answered(self.BatchGet, decoder(store_pb2.BatchGetRequest)),
            "Put": answered(self.Put, decoder(store_pb2.PutRequest)),
            "Invalidate": answered(self.Invalidate, decoder(store_pb2.InvalidateRequest)),
            "Lease": answered(self.Lease, decoder(store_pb2.LeaseRequest)),
            "Release": answered(self.Release, decoder(store_pb2.ReleaseRequest)),
        }
        # Without deserializers: gRPC would answer what these raise, and before it asks who calls.
        handlers: dict[str, RpcMethodHandler[Any, Any]] = {
            name: unary_unary_rpc_method_handler(method) for name, method in methods.items()
        }
        handlers["Watch"] = stream_stream_rpc_method_handler(
            self.Watch, None, store_pb2.WatchResponse.SerializeToString
        )
        server.add_registered_method_handlers(SERVICE, handlers)

    async def refuse(self, *, quiet: float, within: float) -> None:
        """Answer new calls UNAVAILABLE from now on.

        Returns when none has come for `quiet` seconds, after `within` at the latest:
        what has arrived at the port has then been told so. gRPC would cancel it.
        """
        self._watching.stop()
        self._leases.stop()
        await self._calls.refuse(quiet=quiet, within=within)

    async def close(self) -> None:
        """End what the service does by itself."""
        await self._leases.close()
        await self._followers.close()

    def Get(self, request: validation.Get, caller: Caller) -> Coroutine[Any, Any, bytes] | bytes:
        """Answer one entry: a GetResponse, serialized; at once where the copies have it."""
        caller.require(request.key.tenant_id)
        if request.violations:
            raise errors.invalid(request.violations)
        found = self._reader.look(request)
        return self._got(request, *found) if found else self._ask(request)

    async def BatchGet(
        self, request: store_pb2.BatchGetRequest, caller: Caller
    ) -> store_pb2.BatchGetResponse:
        """Answer several entries, each with a result of its own."""
        validation.check_batch(request)
        answers = await asyncio.gather(
            *(self._get_one(each, caller) for each in request.requests), return_exceptions=True
        )
        response = opaque.BatchGetResponse()
        limit = self._settings.max_batch_bytes
        size = 0
        for answer in answers:
            result: Any = response.results.add()
            error = None
            if isinstance(answer, StoreError):
                error = answer
            elif isinstance(answer, Exception):
                # One that nobody foresaw costs its own result.
                log.error("call.failed", method="BatchGet", where=where(answer))
                error = errors.internal()
            elif isinstance(answer, BaseException):
                raise answer
            # The first answer is always given, so a caller that asks again comes on.
            elif size and size + len(answer) > limit:
                error = errors.response_too_large(limit)
            else:
                size += len(answer)
                result.response = answer
            if error:
                result.error.MergeFromString(status_of(error).SerializeToString())
        return response

    async def Put(self, request: store_pb2.PutRequest, caller: Caller) -> store_pb2.PutResponse:
        """Write an entry, or parts of it."""
        caller.require(request.key.tenant_id)
        # First: to look for broken rules takes time in proportion to the context.
        self._writer.check_size(request.context)
        key, paths = validation.check_put(request, max_ttl_ms=self._max_ttl_ms)
        written = await self._writer.put(request, key, paths)
        partition = self._storage.partition_of(key.tenant_id)
        entry = self._entries.written(key, partition, written)
        return opaque.PutResponse(entry=entry, revision=written.version)

    async def Invalidate(
        self, request: store_pb2.InvalidateRequest, caller: Caller
    ) -> store_pb2.InvalidateResponse:
        """End entries."""
        target = validation.check_invalidate(request)
        if isinstance(target, store_pb2.TenantSelector):
            caller.require(target.tenant_id)
            revision = await self._storage.invalidate_tenant(
                target.tenant_id, target.scope, once(request)
            )
            return store_pb2.InvalidateResponse(revision=revision)
        caller.require(target[0].tenant_id)
        revision, count = await self._storage.invalidate(target, once(request))
        return store_pb2.InvalidateResponse(revision=revision, invalidated_count=count)

    async def Lease(
        self, request: store_pb2.LeaseRequest, caller: Caller
    ) -> store_pb2.LeaseResponse:
        """Answer an entry, or the right to write it."""
        caller.require(request.key.tenant_id)
        key = validation.check_lease(request)
        seconds = (validation.duration_ms(request.wait) or 0) / 1000
        leased = await self._leases.ask(key, request.renew_version, request.request_id, seconds)
        if leased.entry:
            partition = self._storage.partition_of(key.tenant_id)
            entry = self._entries.serialized(key, partition, leased.entry, body=True)
            return opaque.LeaseResponse(entry=entry, revision=leased.revision)
        response = store_pb2.LeaseResponse(revision=leased.revision)
        response.lease.token = leased.token
        response.lease.ttl.FromMilliseconds(leased.ttl_ms)
        return response

    async def Release(
        self, request: store_pb2.ReleaseRequest, caller: Caller
    ) -> store_pb2.ReleaseResponse:
        """End a lease."""
        caller.require(request.key.tenant_id)
        key = validation.check_release(request)
        await self._storage.release(key, request.lease_token)
        return store_pb2.ReleaseResponse()

    async def Watch(
        self, request_iterator: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[store_pb2.WatchResponse]:
        """Tell a client of changes, until it ends the stream or the server stops."""
        try:
            caller = self._access.caller(context.invocation_metadata)
            async with aclosing(self._watching.stream(request_iterator, caller)) as messages:
                async for message in messages:
                    yield message
        except Exception as error:  # noqa: BLE001 - typed for the caller
            await fail(context, error, "Watch")

    async def _ask(self, request: validation.Get) -> bytes:
        return self._got(request, *await self._reader.ask(request))

    def _got(self, request: validation.Get, read: Read, layers: Sequence[Key]) -> bytes:
        key = request.key
        if read.revision < request.min_revision:
            raise errors.store_behind(key, read.revision)
        stored = read.entries[0]
        if stored is None:
            raise errors.no_entry(key)
        partition = self._storage.partition_of(key.tenant_id)
        is_known = stored.version == request.known_version
        if not (is_known or layers):
            return self._entries.get_response(key, partition, stored, read.revision)
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

    async def _get_one(self, request: store_pb2.GetRequest, caller: Caller) -> bytes:
        answer = self.Get(validation.get_of(request), caller)
        return answer if isinstance(answer, bytes) else await answer
