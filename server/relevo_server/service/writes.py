"""Writes of entries: whole, or the parts that a mask names, each under its condition."""

import asyncio
import random

from grpc import StatusCode

from relevo_server import errors
from relevo_server.deadline import is_over
from relevo_server.errors import Reason, StoreError
from relevo_server.service.schemas import Schemas
from relevo_server.settings import Settings
from relevo_server.storage.interface import ABSENT, Storage, Write, Written
from relevo_server.telemetry.counts import Counts
from relevo_server.wire.masks import Patch
from relevo_server.wire.requests import Put

_ATTEMPTS = 64
_RANDOM = random.SystemRandom()
"""Without a state of its own: `random.seed` of a program with a server in it concerns no server."""


class Writer:
    """Writes what Puts ask for."""

    def __init__(
        self, storage: Storage, settings: Settings, counts: Counts, schemas: Schemas
    ) -> None:
        self._storage = storage
        self._counts = counts
        self._schemas = schemas
        self._ttl = settings.ttl
        self._max_bytes = settings.max_context_bytes

    async def put(self, put: Put) -> Written:
        """Write an entry.

        Raises what `Storage.write` does, RESOURCE_EXHAUSTED by its size, and INVALID_ARGUMENT if
        it would break its scope's schema.

        With a mask it also raises NOT_FOUND, DATA_LOSS, and ABORTED after many lost races.
        """
        if isinstance(put.content, bytes):
            return await self._write(put, put.content, put.expected)
        return await self._patch(put, put.content)

    async def _patch(self, put: Put, patch: Patch) -> Written:
        """Read, merge and write what was read, until no other writer came between."""
        key, once, expected = put.key, put.once, put.expected
        for attempt in range(_ATTEMPTS):
            if is_over():
                break
            stored = (await self._storage.read([key])).entries[0]
            # Asked after the read: what the read shows is then not this request's own work.
            earlier = await self._storage.recall(key, once) if once else None
            if earlier:
                return earlier
            current = stored.version if stored else ABSENT
            if expected is not None and expected != current:
                raise errors.conflict(key, expected, current)
            if stored is None:
                raise errors.no_entry(key)
            try:
                return await self._write(put, patch.applied_to(key, stored), current)
            except StoreError as error:
                if error.code is not StatusCode.ABORTED or expected is not None:
                    raise
            await asyncio.sleep(_RANDOM.uniform(0, min(0.05, 0.001 * 2**attempt)))
        raise errors.contention(key)

    async def _write(self, put: Put, context: bytes, expected: int | None) -> Written:
        if len(context) > self._max_bytes:
            raise errors.context_too_large(len(context), self._max_bytes)
        refusal = self._schemas.refusal(put.key, context)
        if refusal:
            # A repetition of a Put that was done before the schema is that Put.
            earlier = await self._storage.recall(put.key, put.once) if put.once else None
            if earlier:
                return earlier
            raise refusal
        ttl_ms = put.ttl_ms or self._ttl.of(put.key.scope)
        token, once, principal, fields = put.lease_token, put.once, put.principal, put.fields
        write = Write(put.key, context, ttl_ms, expected, token, once, principal, fields)
        try:
            return await self._storage.write(write)
        except StoreError as error:
            if error.reason is Reason.QUOTA_EXCEEDED:
                self._counts.quota_refusals[error.metadata["quota"]] += 1
            raise
