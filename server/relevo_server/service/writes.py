"""Writes of entries: whole, or the parts that a mask names, each under its condition."""

import asyncio
import random
from hashlib import sha256

from grpc import StatusCode
from relevo.v1.context_pb2 import ExecutionContext
from relevo.v1.store_pb2 import InvalidateRequest, PutRequest

from relevo_server import errors
from relevo_server.deadline import is_over
from relevo_server.errors import StoreError
from relevo_server.keys import Key
from relevo_server.settings import Settings
from relevo_server.storage.interface import ABSENT, Once, Storage, Write, Written
from relevo_server.wire import entries, masks, validation

_ATTEMPTS = 64
_TAG_AND_LENGTH = 3  # of update_time, which is not stored


def once(request: PutRequest | InvalidateRequest) -> Once | None:
    """What makes a repeated request the same request, None if it has no request_id."""
    if not request.request_id:
        return None
    serialized = request.SerializeToString(deterministic=True)
    return Once(request.request_id, sha256(serialized).digest())


class Writer:
    """Does what checked Puts ask for."""

    def __init__(self, storage: Storage, settings: Settings) -> None:
        self._storage = storage
        self._ttl = settings.ttl
        self._max_bytes = settings.max_context_bytes

    def check_size(self, context: ExecutionContext) -> None:
        """Raise RESOURCE_EXHAUSTED for a context that is too large, whatever its mask or times."""
        size = context.ByteSize() - context.update_time.ByteSize() - _TAG_AND_LENGTH
        if size > self._max_bytes:
            raise errors.context_too_large(size, self._max_bytes)

    async def put(self, request: PutRequest, key: Key, paths: list[masks.Path] | None) -> Written:
        """Write the context whole, where `paths` is None. Raises what `Storage.write` does."""
        named = once(request)
        fingerprint = named.fingerprint if named else b""
        if paths is None:
            expected = None
            if request.HasField("if_version"):
                expected = request.if_version
            elif request.if_absent:
                expected = ABSENT
            return await self._write(key, request, request.context, expected, fingerprint)
        return await self._masked(key, request, paths, fingerprint)

    async def _masked(
        self, key: Key, request: PutRequest, paths: list[masks.Path], fingerprint: bytes
    ) -> Written:
        """Read, merge and write what was read, until no other writer came between."""
        for attempt in range(_ATTEMPTS):
            if is_over():
                break
            stored = (await self._storage.read([key])).entries[0]
            # Asked after the read: what the read shows is then not this request's own work.
            if request.request_id:
                earlier = await self._storage.recall(key, request.request_id, fingerprint)
                if earlier:
                    return earlier
            current = stored.version if stored else ABSENT
            if request.HasField("if_version") and request.if_version != current:
                raise errors.conflict(key, request.if_version, current)
            if stored is None:
                raise errors.no_entry(key)
            context = entries.parse(key, stored)
            masks.apply(paths, request.context, context)
            try:
                return await self._write(key, request, context, current, fingerprint)
            except StoreError as error:
                if error.code is not StatusCode.ABORTED or request.HasField("if_version"):
                    raise
            await asyncio.sleep(random.uniform(0, min(0.05, 0.001 * 2**attempt)))  # noqa: S311
        raise errors.contention(key)

    async def _write(
        self,
        key: Key,
        request: PutRequest,
        context: ExecutionContext,
        expected: int | None,
        fingerprint: bytes,
    ) -> Written:
        serialized = entries.serialize(context)
        if len(serialized) > self._max_bytes:
            raise errors.context_too_large(len(serialized), self._max_bytes)
        ttl_ms = validation.duration_ms(request.ttl) or self._ttl.of(key.scope)
        return await self._storage.write(
            Write(
                key, serialized, ttl_ms, expected, request.lease_token,
                request.request_id, fingerprint,
            )
        )  # fmt: skip
