"""The Watch streams of a server: subscriptions in, changes out."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from collections.abc import Set as AbstractSet
from functools import partial

from relevo_server import errors
from relevo_server.access.callers import Caller
from relevo_server.access.sessions import Session, Sessions
from relevo_server.event_log.followers import Followers
from relevo_server.event_log.outbox import Outbox
from relevo_server.event_log.subscriptions import SubscribeArgs
from relevo_server.roles import READ
from relevo_server.service.connections import Connection, Connections
from relevo_server.service.shares import Shares, StreamShare
from relevo_server.settings import Settings
from relevo_server.storage.interface import Storage
from relevo_server.telemetry.counts import Counts
from relevo_server.wire.requests import (
    Ping,
    Subscribe,
    Touch,
    Unsubscribe,
    WatchedRequest,
    read_watch,
)

_HANDLED_TOGETHER = 16
"""Requests of a batch that are handled in one turn of the loop: calls wait for no more."""


class Watching:
    """Subscribes streams to keys. `followers` follows the logs of the keys' partitions."""

    def __init__(
        self,
        storage: Storage,
        followers: Followers,
        sessions: Sessions,
        settings: Settings,
        counts: Counts,
        shares: Shares,
    ) -> None:
        self._storage = storage
        self._followers = followers
        self._sessions = sessions
        self._settings = settings
        self._counts = counts
        self._shares = shares
        self.connections = Connections()
        """The clients whose streams are open."""
        self._is_stopping = False

    @property
    def streams(self) -> int:
        """The number of open streams."""
        return len(self.connections)

    @property
    def subscriptions(self) -> int:
        """The number of subscriptions of all streams."""
        return sum(len(each.keys) for each in self.connections)

    @property
    def outbox_bytes(self) -> int:
        """The bytes that wait to be sent on all streams."""
        return sum(each.outbox.size for each in self.connections)

    def stop(self) -> None:
        """End every stream with UNAVAILABLE; new ones end at once."""
        self._is_stopping = True
        for connection in self.connections:
            connection.outbox.wake()

    async def stream(
        self, messages: AsyncIterator[bytes], session: Session, peer: str
    ) -> AsyncGenerator[bytes, None]:
        """The serialized responses to one client, for as long as its right lasts.

        Raises StoreError. A subscription for which the tenant's share has no room is declined: the
        client has to ask the store for the entry. `peer` is the address that the client's
        connection comes from, for operators.
        """
        share = self._shares.open_stream(session.name)
        outbox = Outbox(self._settings.watch_buffer_bytes, self._counts)
        connection = self.connections.add(session.name, peer, outbox)
        session.attach(partial(_require_all, connection), outbox.wake)
        listening = asyncio.create_task(self._listen(messages, connection, session, share))
        # What ends the stream ends the wait for the next message too.
        listening.add_done_callback(lambda _: outbox.wake())
        try:
            with self._sessions.open(session):
                while not self._is_stopping:
                    message = await outbox.take(self._settings.watch_heartbeat / 2)
                    session.check()
                    if listening.done():
                        listening.result()  # raises if a message was refused
                    if message:
                        yield message
                raise errors.stopping()
        finally:
            self.connections.remove(connection)
            share.end()
            listening.cancel()  # before its subscriptions are dropped
            # The subscriptions are dropped before the first await, which may be cancelled.
            await self._followers.stop_idle(*self._drop(outbox))
            await asyncio.gather(listening, return_exceptions=True)

    async def _listen(
        self,
        messages: AsyncIterator[bytes],
        connection: Connection,
        session: Session,
        share: StreamShare,
    ) -> None:
        async for serialized in messages:
            message = read_watch(serialized, session)
            connection.record(message.client, message.report)
            if message.accepts_batches:
                connection.outbox.accepts_batches = True
            for i, request in enumerate(message.requests, start=1):
                await self._handle(request, connection, share)
                if i % _HANDLED_TOGETHER == 0:
                    await asyncio.sleep(0)

    async def _handle(
        self, request: WatchedRequest, connection: Connection, share: StreamShare
    ) -> None:
        outbox, keys = connection.outbox, connection.keys
        match request:
            case Ping(number):
                outbox.ping = max(outbox.ping, number)
            case Subscribe(key, known_version, position, number):
                if key not in keys and len(keys) >= self._settings.watch_max_keys:
                    raise errors.too_many_keys(self._settings.watch_max_keys)
                follower = self._followers.follow(self._storage.partition_of(key.tenant_id))
                if key not in keys and not share.subscribe(key.tenant_id):
                    # The stream stays open: it has subscriptions of other tenants, too.
                    follower.decline(outbox, key, number)
                    return
                keys.add(key)
                follower.subscribe(outbox, key, SubscribeArgs(number, known_version, position))
            case Unsubscribe(key):
                if key in keys:
                    keys.remove(key)
                    share.unsubscribe(key.tenant_id)
                    partition = self._storage.partition_of(key.tenant_id)
                    self._followers.follow(partition).unsubscribe(outbox, key)
                    await self._followers.stop_idle(partition)
            case Touch(key):
                if key.scope in self._settings.ttl.sliding:
                    await self._storage.touch(key)

    def _drop(self, outbox: Outbox) -> AbstractSet[int]:
        """Drop a stream's subscriptions and requests, without waiting. Returns their partitions."""
        partitions = frozenset(outbox.partitions)
        for partition in partitions:
            follower = self._followers.get(partition)
            if follower:
                follower.drop(outbox)
        return partitions


def _require_all(connection: Connection, caller: Caller) -> None:
    """Raise PERMISSION_DENIED if a caller may not read all keys that a stream subscribes to."""
    for tenant_id, scope in {(key.tenant_id, key.scope) for key in connection.keys}:
        caller.require(tenant_id, READ, scope)
