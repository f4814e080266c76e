"""The clients that are connected: their open Watch streams, and what they say of themselves."""

import time
from collections.abc import Iterator
from itertools import count

from relevo.v1.store_pb2 import CacheReport, ClientInfo

from relevo_server.event_log.outbox import Outbox
from relevo_server.keys import Key


class Connection:
    """One client with an open Watch stream. Times are seconds since 1970."""

    def __init__(self, number: int, principal: str, peer: str, outbox: Outbox) -> None:
        self.number = number
        """Greater than those of all streams that were opened before."""
        self.principal = principal
        self.peer = peer
        self.outbox = outbox
        self.keys: set[Key] = set()
        """The keys that the stream subscribes to."""
        self.connected = time.time()
        self.client = ClientInfo()
        self.report: CacheReport | None = None
        self.reported = 0.0

    def record(self, client: ClientInfo | None, report: CacheReport | None) -> None:
        """Record what the client says of itself."""
        if client:
            self.client = client
        if report:
            self.report, self.reported = report, time.time()


class Connections:
    """The connections of a server, those that connected first in front."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._connections: dict[int, Connection] = {}

    def __len__(self) -> int:
        return len(self._connections)

    def __iter__(self) -> Iterator[Connection]:
        # A copy: it is read by other threads, and between awaits.
        return iter(list(self._connections.values()))

    def add(self, principal: str, peer: str, outbox: Outbox) -> Connection:
        """Add a stream that was opened now. Must be paired with `remove`."""
        connection = Connection(next(self._numbers), principal, peer, outbox)
        self._connections[connection.number] = connection
        return connection

    def remove(self, connection: Connection) -> None:
        """Remove a stream that has ended."""
        del self._connections[connection.number]
