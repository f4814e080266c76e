"""The Watch streams of a server: subscriptions in, changes out."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from collections.abc import Set as AbstractSet

from relevo_server import errors
from relevo_server.access.sessions import Session, Sessions
from relevo_server.audit import Trail
from relevo_server.event_log.followers import Followers
from relevo_server.event_log.outbox import Outbox
from relevo_server.service.connections import Connection, Connections
from relevo_server.service.openings import TOGETHER, Openings, Turn
from relevo_server.service.shares import Shares, StreamShare
from relevo_server.service.signs import Signs
from relevo_server.service.subscribing import Subscribing
from relevo_server.settings import Settings
from relevo_server.storage.interface import Storage
from relevo_server.telemetry.counts import Counts


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
        trail: Trail,
    ) -> None:
        self._storage = storage
        self._followers = followers
        self._sessions = sessions
        self._settings = settings
        self._counts = counts
        self._signs = Signs(followers, settings)
        self._shares = shares
        self._trail = trail
        self.openings = Openings()
        """The turns of streams that are to be opened."""
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

        Raises StoreError. A key that the caller may not read, or for which there is no room, is
        declined: the client has to ask the store for the entry. `peer` is the address that the
        client's connection comes from, for operators.
        """
        with self._sessions.open(session):
            share = self._shares.open_stream(session.name)
            try:
                async with Turn(self.openings) as turn:
                    stream = self._begin(messages, session, share, peer)
                    try:
                        # What the client asks for first is answered together.
                        await asyncio.sleep(TOGETHER)
                        while not self._is_stopping:
                            message = await stream.next()
                            if message:
                                turn.end()
                                yield message
                        raise errors.stopping()
                    finally:
                        await self._end(stream)
            finally:
                share.end()

    def _begin(
        self, messages: AsyncIterator[bytes], session: Session, share: StreamShare, peer: str
    ) -> "_Stream":
        outbox = Outbox(self._settings.watch_buffer_bytes, self._counts)
        connection = self.connections.add(session.name, peer, outbox)
        session.attach(outbox.wake)
        subscribing = Subscribing(
            *(self._storage, self._followers, connection, session, share),
            *(self._signs, self._trail, self._settings),
        )
        self._signs.open(outbox)
        listening = asyncio.create_task(subscribing.listen(messages))
        # What ends the stream ends the wait for the next message too.
        listening.add_done_callback(lambda _: outbox.wake())
        return _Stream(session, connection, subscribing, listening)

    async def _end(self, stream: "_Stream") -> None:
        outbox, listening = stream.connection.outbox, stream.listening
        self.connections.remove(stream.connection)
        self._signs.close(outbox)
        listening.cancel()  # before its subscriptions are dropped
        # The subscriptions are dropped before the first await, which may be cancelled.
        await self._followers.stop_idle(*self._drop(outbox))
        await asyncio.gather(listening, return_exceptions=True)

    def _drop(self, outbox: Outbox) -> AbstractSet[int]:
        """Drop a stream's subscriptions and requests, without waiting. Returns their partitions."""
        partitions = frozenset(outbox.partitions)
        for partition in partitions:
            follower = self._followers.get(partition)
            if follower:
                follower.drop(outbox)
        return partitions


class _Stream:
    """One stream that is open."""

    __slots__ = ("_reviewed", "_session", "_subscribing", "connection", "listening")

    def __init__(
        self,
        session: Session,
        connection: Connection,
        subscribing: Subscribing,
        listening: "asyncio.Task[None]",
    ) -> None:
        self.connection = connection
        self.listening = listening
        """Handles the client's requests."""
        self._session = session
        self._subscribing = subscribing
        self._reviewed = session.changes

    async def next(self) -> bytes | None:
        """Wait until there may be a message to send, and return it. Raises StoreError."""
        outbox, session = self.connection.outbox, self._session
        await outbox.wait()
        session.check()
        if self.listening.done():
            self.listening.result()  # raises if a message was refused
        while self._reviewed != session.changes:
            self._reviewed = session.changes
            await self._subscribing.withdraw()
        return outbox.next()
