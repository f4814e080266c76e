"""The requests of one Watch stream."""

import asyncio
from collections.abc import AsyncIterator

from relevo_server.access.sessions import Session
from relevo_server.audit import Trail
from relevo_server.errors import StoreError
from relevo_server.event_log.followers import Followers
from relevo_server.event_log.subscriptions import SubscribeArgs
from relevo_server.keys import Key
from relevo_server.roles import READ
from relevo_server.service.connections import Connection
from relevo_server.service.declined import Declined
from relevo_server.service.denials import Denials
from relevo_server.service.pacing import DeclinedPace
from relevo_server.service.shares import StreamShare
from relevo_server.service.signs import Signs
from relevo_server.service.touching import Touching
from relevo_server.settings import Settings
from relevo_server.storage.interface import Storage
from relevo_server.wire.requests import (
    Denied,
    Ping,
    Subscribe,
    Touch,
    Unsubscribe,
    WatchedRequest,
    read_watch,
)

_HANDLED_TOGETHER = 16
"""Requests of a batch that are handled in one turn of the loop: calls wait for no more."""


class Subscribing:
    """Subscribes a stream to keys, `watch_max_keys` at most.

    Only a malformed request ends the stream. A key that the stream cannot have is declined, as its
    subscriptions of other keys, scopes and tenants are not concerned.
    """

    def __init__(
        self,
        storage: Storage,
        followers: Followers,
        connection: Connection,
        session: Session,
        share: StreamShare,
        signs: Signs,
        trail: Trail,
        settings: Settings,
    ) -> None:
        self._storage = storage
        self._followers = followers
        self._connection = connection
        self._session = session
        self._share = share
        self._signs = signs
        self._max_keys = settings.watch_max_keys
        self._declined = Declined(connection.outbox)
        self._has_declined = False
        self._pace = DeclinedPace()
        self._denials = Denials(trail, session, connection.peer)
        self._touching = Touching(storage, settings.ttl.sliding)

    async def listen(self, messages: AsyncIterator[bytes]) -> None:
        """Handle all requests in their order. Raises INVALID_ARGUMENT."""
        async for serialized in messages:
            message = read_watch(serialized, self._session)
            self._connection.record(message.client, message.report)
            if message.accepts_batches:
                self._connection.outbox.accepts_batches = True
            for i, request in enumerate(message.requests, start=1):
                await self._handle(request)
                if i % _HANDLED_TOGETHER == 0:
                    await asyncio.sleep(0)
            if self._has_declined:
                self._has_declined = False
                await self._pace.after()

    async def withdraw(self) -> None:
        """End the subscriptions that the stream's caller may no longer have.

        From the return on, nothing about them is sent that was not sent before.
        """
        keys = self._connection.keys
        denied = {
            subject: error
            for subject in {(key.tenant_id, key.scope) for key in keys}
            if (error := self._denial(*subject))
        }
        gone = {key for key in keys if (key.tenant_id, key.scope) in denied}
        unanswered: dict[Key, int] = {}
        for i, key in enumerate(gone, start=1):
            self._denials.add(key, denied[key.tenant_id, key.scope])
            unanswered[key] = await self._unsubscribe(key)
            if i % _HANDLED_TOGETHER == 0:
                await asyncio.sleep(0)
        answered = self._connection.outbox.withdraw(gone)
        for i, (key, number) in enumerate(unanswered.items(), start=1):
            if key not in keys:  # else it has been given back meanwhile
                self._decline(key, max(number, answered.get(key, 0)))
            if i % _HANDLED_TOGETHER == 0:
                await asyncio.sleep(0)

    async def _handle(self, request: WatchedRequest) -> None:
        match request:
            case Ping():
                self._ping(request)
            case Subscribe():
                self._subscribe(request)
            case Unsubscribe(key):
                await self._unsubscribe(key)
            case Touch(key):
                await self._touching.touch(key)
            case Denied(key, number, error):
                self._denials.add(key, error)
                if number is not None:
                    self._decline(key, number)

    def _ping(self, ping: Ping) -> None:
        outbox = self._connection.outbox
        is_first = not outbox.ping
        outbox.ping = max(outbox.ping, ping.number)
        if ping.sign_interval is not None and (is_first or outbox.has_signs):
            self._signs.request(outbox, outbox.ping, ping.sign_interval)
        else:
            self._declined.pong(outbox.ping)

    def _subscribe(self, request: Subscribe) -> None:
        key, keys = request.key, self._connection.keys
        if key not in keys:
            has_room = len(keys) < self._max_keys and self._share.subscribe(key.tenant_id)
            if not has_room:
                self._decline(key, request.number)
                return
            keys.add(key)
        follower = self._followers.follow(self._storage.partition_of(key.tenant_id))
        args = SubscribeArgs(request.number, request.known_version, request.position)
        follower.subscribe(self._connection.outbox, key, args)

    async def _unsubscribe(self, key: Key) -> int:
        """End a subscription. Returns the number of its Subscribe that is not answered, or 0."""
        if key not in self._connection.keys:
            return 0
        self._connection.keys.remove(key)
        self._share.unsubscribe(key.tenant_id)
        partition = self._storage.partition_of(key.tenant_id)
        follower = self._followers.follow(partition)
        number = follower.unsubscribe(self._connection.outbox, key)
        await self._followers.stop_idle(partition)
        return number

    def _decline(self, key: Key, number: int) -> None:
        self._has_declined = True
        self._declined.add(self._storage.partition_of(key.tenant_id), key, number)

    def _denial(self, tenant_id: str, scope: str) -> StoreError | None:
        """The error for a caller that may not read a tenant's scope, or None."""
        try:
            self._session.require(tenant_id, READ, scope)
        except StoreError as error:
            return error
        return None
