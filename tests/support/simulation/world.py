"""A simulated world: a store, servers, streams and near caches, driven by a seed.

The caches and the servers' fan-outs are real. The store, the servers' reads of it, the
network and time are models. The scheduler decides when a poll of the log or a message
arrives, in any order that a real network could have.
"""

import random
from collections.abc import Callable, Mapping

from relevo.v1.store_pb2 import WatchResponse
from relevo_client import (
    CacheOptions,
    ContextEntry,
    ContextKey,
    ContextRef,
    IncompleteContextError,
    NotFoundError,
)
from relevo_client._near_cache import contexts as near_contexts
from relevo_client._near_cache.clock import ServerClock
from relevo_client._near_cache.machine import NearCache
from relevo_client._near_cache.riding import RiderCache
from relevo_client._near_cache.signs import Pace
from relevo_client._near_cache.state import ABSENT
from relevo_server.event_log.fanout import Fanout
from relevo_server.event_log.outbox import Outbox
from relevo_server.keys import Key

from support.simulation.rules import MAX_BYTES, MAX_ENTRIES, MAX_STALENESS, Rules
from support.simulation.server import Clock, Server, Stream
from support.simulation.store import HEAD, KEYS, LAYER, TENANT, Store

_RATES = {
    "look": 60,
    "time": 10,
    "write": 5,
    "follow": 50,
    "answer": 30,
    "confirm": 10,
    "sign": 10,
    "network": 150,
    "fault": 1,
}
"""The relative frequency of each kind of step."""
_AHEAD = {**_RATES, "write": 1, "follow": 0, "confirm": 0, "fault": 0}
"""The same while no log is polled: reads are ahead of the position."""
_QUIET = {**_RATES, "time": 20, "write": 0, "fault": 0}
"""The same while nothing changes, so that an error persists."""
_FAULTS = ("cut", "cut", "silence", "restart", "trim", "lose", "fail over", "stall", "sleep")
DRIFT = 0.03
"""Seconds that a server's clock gains or loses in a second: much, so that it shows in a short time.
Seconds are those of the clients' clocks."""
_IDLE_AFTER = 1.0
_PACE = Pace(pings=0.1)
"""Pings that map a clock come ten times as often as in earnest, as the clocks drift so much."""


class DriftingClock(ServerClock):
    """A map of a server's clock that knows how much clocks drift here."""

    def __init__(self, drift: float = DRIFT) -> None:
        super().__init__(drift)


class SimulatedCache(RiderCache):
    """A client's cache, whose servers' clocks drift much."""

    make_clock: Callable[[], ServerClock] = DriftingClock


class Client:
    """A process with a near cache."""

    def __init__(self, cache: NearCache) -> None:
        self.cache = cache
        self.stream: Stream | None = None
        self.written = 0
        """The last revision that it has written; 0 if the store has lost it."""


Compose = Callable[[NearCache, ContextRef, float], ContextEntry | None]


class World:
    """The world and its scheduler. The arguments after the seed are its parts."""

    def __init__(
        self,
        seed: int,
        make_cache: Callable[[CacheOptions], NearCache] = SimulatedCache,
        make_outbox: Callable[[int], Outbox] = Outbox,
        make_fanout: Callable[..., Fanout] = Fanout,
        resolve: Compose = near_contexts.resolve,
        last_known: Compose = near_contexts.last_known,
        snapshot_key: Callable[[ContextEntry], ContextKey] = lambda entry: entry.snapshot_key,
    ) -> None:
        self.random = random.Random(seed)  # noqa: S311 - to be replayed
        self.now: float = 1000.0
        self.store = Store(self.random, lambda: self.now)
        self._make_outbox, self._make_fanout = make_outbox, make_fanout
        self._resolve_from, self._last_known_from = resolve, last_known
        self._rules = Rules(self.store, lambda: self.now, snapshot_key)
        self.servers = [self._make_server(number) for number in range(2)]
        options = CacheOptions(
            MAX_STALENESS, max_entries=MAX_ENTRIES, max_bytes=MAX_BYTES, idle_after=_IDLE_AFTER
        )
        self.clients = [Client(make_cache(options)) for _ in range(2)]
        self.served = 0
        """How often a cache has served an entry."""
        self.composed = 0
        """How often a cache has served an entry with its layer."""

    def run(self, steps: int) -> None:
        """Run this many steps, then check convergence without faults. Raises AssertionError."""
        self._steps(steps, _RATES)
        self._settle()

    def _steps(self, number: int, rates: Mapping[str, int]) -> None:
        for _ in range(number):
            self._step(rates)

    def _step(self, rates: Mapping[str, int]) -> None:
        random_ = self.random
        client = random_.choice(self.clients)
        server = random_.choice(self.servers)
        match random_.choices([*rates], [*rates.values()])[0]:
            case "look":
                look = random_.choice([self._look, self._look, self._resolve, self._last_known])
                look(client)
            case "time":
                self.now += random_.choices([0.01, 0.1, 0.5, 2.5], [10, 10, 2, 1])[0]
                client.cache.tick(self.now)
            case "write":
                self._write()
            case "follow":
                server.follow()
            case "answer":
                server.answer()
            case "confirm":
                server.confirm()
            case "sign":
                self._sign(client)
            case "network":
                self._move(client)
            case _:
                self._fault(client)

    def _write(self) -> None:
        # The head and the layer change most.
        key = self.random.choice([*KEYS, HEAD, HEAD, LAYER, LAYER])
        match self.random.choices(["put", "invalidate", "floor"], [8, 2, 1])[0]:
            case "put":
                self.store.put(key)
            case "invalidate":
                self.store.invalidate(key)
            case _:
                self.store.raise_floor(self.random.choice(["", "conversation"]))
        writer = self.random.choice([None, *self.clients])
        if writer:
            writer.written = self.store.reached
            writer.cache.record_write(TENANT, self.store.reached, self.now)

    def _fault(self, client: Client) -> None:
        match self.random.choice(_FAULTS):
            case "cut":
                self._cut(client)
            case "silence":
                if client.stream:
                    client.stream.is_silent = True
            case "restart":
                number = self.random.randrange(len(self.servers))
                for each in self.clients:
                    if each.stream and each.stream.server is self.servers[number]:
                        self._cut(each)
                self.servers[number] = self._make_server(number)
            case "stall":
                self._stall()
            case "sleep":
                self._stall(self.random.uniform(0, 5))
            case "trim":
                self.store.trim()
            case "lose":
                self._lose(self.random.randint(1, 4))
            case _:
                self._fail_over()

    def _make_server(self, number: int) -> Server:
        """A server: the first one sends batches and signs, the second one is older than these."""
        clock = Clock(self.random, lambda: self.now, DRIFT) if number == 0 else None
        return Server(self.store, self._make_fanout, send_batches=number == 0, clock=clock)

    def _stall(self, asleep: float = 0.0) -> None:
        """Let no server poll its log after a write, until no copy may be used any more.

        First the servers' machines sleep for some seconds, and their clocks stand still.
        """
        self._steps(200, _QUIET)
        for server in self.servers:
            server.follow()
        self._write()
        self.now += asleep
        for server in self.servers:
            if server.clock:
                server.clock.stand_still(asleep)
        waits = [self.random.uniform(0, 0.5) for _ in range(3)]
        for seconds in (*waits, MAX_STALENESS - sum(waits), *[0.01] * 20):
            self.now += seconds
            for client in self.clients:
                client.cache.tick(self.now)
                self._sign(client)
                for _ in range(8):
                    self._move(client)
                for key in (HEAD, LAYER):
                    self._look_at(client, key, 0)

    @staticmethod
    def _sign(client: Client) -> None:
        if client.stream:
            client.stream.server.sign(client.stream.outbox)

    def _fail_over(self) -> None:
        """Lose a write that was read ahead of the log, and read its successor before a poll."""
        self._write()
        self._steps(100, _AHEAD)
        self._lose(1)
        self._write()
        self._steps(100, _AHEAD)
        self._steps(200, _QUIET)

    def _lose(self, number: int) -> None:
        self.store.lose(number)
        for client in self.clients:
            if client.written > self.store.reached:
                client.written = 0

    def _cut(self, client: Client) -> None:
        if client.stream:
            client.stream.server.fanout.drop(client.stream.outbox)
            client.stream = None
            client.cache.stream_ended()

    def _move(self, client: Client) -> None:
        """Simulate a minor event between a client and its server."""
        stream = client.stream
        if stream is None:
            # A small buffer, so that slow watchers are sometimes reset.
            outbox = self._make_outbox(self.random.choice([120, 100_000]))
            client.stream = Stream(self.random.choice(self.servers), outbox)
            client.cache.opened(self.now, pace=_PACE)
            return
        match self.random.choice(["ask", "up", "send", "send", "down", "down"]):
            case "ask":
                stream.up.extend(client.cache.requests())
            case "up":
                if stream.up and not stream.is_silent:
                    stream.server.take(stream.outbox, stream.up.popleft())
            case "send":
                message = stream.outbox.next()
                if message is not None:
                    stream.down.append(message)
            case _:
                if stream.down and not stream.is_silent:
                    self._receive(client, stream)
        self._rules.check_bounds(client.cache)

    def _receive(self, client: Client, stream: Stream) -> None:
        """Receive a message. The second client applies a batch in several turns."""
        message = WatchResponse.FromString(stream.down.popleft())
        if message.HasField("batch") and client is self.clients[1]:
            if message.HasField("clock"):
                message.batch.messages[0].clock.CopyFrom(message.clock)
            messages = [each.SerializeToString() for each in message.batch.messages]
            stream.down.extendleft(reversed(messages))
            return
        client.cache.received(message, self.now)

    def _fence(self) -> int:
        recent = [event.revision for event in self.store.log[-4:]]
        return self.random.choice([0, *recent])

    def _look(self, client: Client) -> None:
        self._look_at(client, self.random.choice(KEYS), self._fence())

    def _look_at(self, client: Client, key: Key, fence: int) -> None:
        copy = client.cache.lookup(ContextKey(*key), fence, self.now)
        if copy is not None:
            self.served += 1
            self._rules.check_copy(key, copy, max(fence, client.written))
        self._rules.check_bounds(client.cache)

    def _resolve(self, client: Client) -> None:
        """Peek at the head, and take a snapshot of it with its layer."""
        ref = ContextRef(ContextKey(*HEAD), self._fence())
        try:
            found = self._resolve_from(client.cache, ref, self.now)
        except NotFoundError:
            return  # `_look` checks that
        except IncompleteContextError:
            self._rules.check_missing_layer(client.cache)
            return
        if found is not None:
            self._rules.check_whole(found)
            for key, entry in zip((HEAD, LAYER), (found, *found.layers), strict=False):
                self._rules.check(key, entry.version, max(ref.revision, client.written))
            self._rules.check_snapshot(found)
            self.composed += len(found.layers)
        self._rules.check_bounds(client.cache)

    def _last_known(self, client: Client) -> None:
        """Check the entry that would be used while the store is unavailable."""
        found = self._last_known_from(client.cache, ContextRef(ContextKey(*HEAD)), self.now)
        if found is not None:
            self._rules.check_whole(found)

    def _is_quiet(self) -> bool:
        """Whether nothing is under way, so that what the caches have stays as it is."""
        streams = [client.stream for client in self.clients]
        return not any(client.cache.has_requests for client in self.clients) and all(
            stream and not (stream.up or stream.down or stream.outbox.size) for stream in streams
        )

    def _settle(self) -> None:
        """Check that, without further faults, all caches equal the store within a bounded time."""
        for client in self.clients:
            if client.stream and client.stream.is_silent:
                self._cut(client)
        had: set[tuple[int, Key]] = set()
        # As many keys as a cache has room for, with the layer that the first one includes.
        keys = [*KEYS[:3], KEYS[-2]]
        # Longer than own writes, which the store may have lost, act as a fence.
        for round_ in range(60):
            self.now += 0.05
            for number, client in enumerate(self.clients):
                client.cache.tick(self.now)
                self._sign(client)
                for key in keys:
                    copy = client.cache.lookup(ContextKey(*key), 0, self.now)
                    if copy is not None:
                        self._rules.check_copy(key, copy, 0)
                    if copy is not None and round_ >= 20:
                        current = self.store.contexts.get(key)
                        assert copy.version == (current.version if current else ABSENT), key
                        had.add((number, key))
            for move in range(60):
                for client in self.clients:
                    self._move(client)
                    # Some entries live for less time than it takes until the next round's sign.
                    self._sign(client)
                for server in self.servers if move % 3 == 0 else ():
                    server.follow()
                    server.answer()
            if len(had) == len(self.clients) * len(keys) and self._is_quiet():
                break
        assert len(had) == len(self.clients) * len(keys), "some entries cannot be had"
