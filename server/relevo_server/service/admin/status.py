"""GetStatus and ListPartitions: how the server and its store are."""

import asyncio
import os
import socket
import time

from relevo.admin.v1.admin_pb2 import (
    GetStatusResponse,
    ListPartitionsResponse,
    Partition,
    ServerStatus,
    StoreStatus,
)

from relevo_server.errors import StoreError
from relevo_server.service.parts import Parts
from relevo_server.storage.unusable import LayoutError, MissingRightsError
from relevo_server.telemetry import process

_ASKED_TOGETHER = 8
"""Partitions that are asked about at the same time, of up to 16,384."""


class Status:
    """Reports the state of a server that starts now, and of its store."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._started = time.time()

    async def get_status(self, _: None) -> GetStatusResponse:
        """The state of the server and its store. Succeeds without the store too."""
        return GetStatusResponse(server=self._server(), store=await self._store())

    async def list_partitions(self, _: None) -> ListPartitionsResponse:
        """All partitions. Raises UNAVAILABLE without the store."""
        numbers = range(self._parts.storage.partitions)
        partitions: list[Partition] = []
        for i in range(0, len(numbers), _ASKED_TOGETHER):
            some = numbers[i : i + _ASKED_TOGETHER]
            partitions += await asyncio.gather(*map(self._partition, some))
        return ListPartitionsResponse(partitions=partitions)

    def _server(self) -> ServerStatus:
        watching, copies = self._parts.watching, self._parts.copies
        status = ServerStatus(
            version=process.release(),
            host_name=socket.gethostname(),
            process_id=os.getpid(),
            active_calls=self._parts.admission.active_calls,
            watchers=watching.streams,
            subscriptions=watching.subscriptions,
            outbox_bytes=watching.outbox_bytes,
            cached_entries=len(copies),
            cached_bytes=copies.size,
            resident_bytes=process.resident_bytes() or 0,
            worker=self._parts.worker.number,
            workers=self._parts.worker.of,
        )
        status.start_time.FromNanoseconds(round(self._started * 1e9))
        return status

    async def _store(self) -> StoreStatus:
        storage = self._parts.storage
        status = StoreStatus(kind=storage.inspection.kind, partitions=storage.partitions)
        begun = time.monotonic()
        try:
            await storage.check()
        except StoreError as error:
            is_refused = isinstance(error.__cause__, MissingRightsError)
            status.reason = str(error.__cause__) if is_refused else error.message
            return status
        except LayoutError as error:
            status.reason = str(error)
            return status
        status.available = True
        status.latency.FromNanoseconds(round((time.monotonic() - begun) * 1e9))
        database = await storage.inspection.database_status()
        status.version = database.version
        status.used_bytes, status.max_bytes = database.used_bytes, database.max_bytes
        status.eviction_policy = database.eviction_policy
        if database.clock_offset is not None:
            status.clock_offset.FromNanoseconds(round(database.clock_offset * 1e9))
        return status

    async def _partition(self, number: int) -> Partition:
        state = await self._parts.storage.inspection.log_state(number)
        partition = Partition(
            number=number,
            revision=state.revision,
            log_length=state.length,
            first_revision=state.first,
        )
        follower = self._parts.followers.get(number)
        if follower:
            partition.followed = True
            partition.followed_revision = follower.position
            partition.watchers = follower.watchers
        return partition
