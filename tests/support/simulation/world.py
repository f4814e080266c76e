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
from relevo_client._near_cache.machine import NearCache
from relevo_client._near_cache.state import ABSENT
from relevo_server.event_log.outbox import Outbox
from relevo_server.keys import Key

from support.simulation.rules import MAX_BYTES, MAX_ENTRIES, MAX_STALENESS, Rules
from support.simulation.server import Server, Stream
from support.simulation.store import HEAD, KEYS, LAYER, TENANT, Store

_RATES = {
    "look": 60,
    "time": 10,
    "write": 5,
    "follow": 50,
    "answer": 30,
    "confirm": 10,
    "network": 150,
    "fault": 1,
}
"""The relative frequency of each kind of step."""
_AHEAD = {**_RATES, "write": 1, "follow": 0, "confirm": 0, "fault": 0}
"""The same while no log is polled: reads are ahead of the position."""
_QUIET = {**_RATES, "time": 20, "write": 0, "fault": 0}
"""The same while nothing changes, so that an error persists."""
_FAULTS = ("cut", "cut", "silence", "restart", "trim", "lose", "fail over")


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
        make_cache: Callable[[CacheOptions], NearCache] = NearCache,
        make_outbox: Callable[[int], Outbox] = Outbox,
        resolve: Compose = near_contexts.resolve,
        last_known: Compose = near_contexts.last_known,
        snapshot_key: Callable[[ContextEntry], ContextKey] = lambda entry: entry.snapshot_key,
    ) -> None:
        self.random = random.Random(seed)  # noqa: S311 - to be replayed
        self.now = 1000.0
        self.store = Store(self.random, lambda: self.now)
        self._make_outbox = make_outbox
        self._resolve_from, self._last_known_from = resolve, last_known
        self._rules = Rules(self.store, lambda: self.now, snapshot_key)
        self.servers = [self._make_server(number) for number in range(2)]
        options = CacheOptions(MAX_STALENESS, max_entries=MAX_ENTRIES, max_bytes=MAX_BYTES)
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
                client.cache.ping(self.now)
            case "write":
                self._write()
            case "follow":
                server.follow()
            case "answer":
                server.answer()
            case "confirm":
                server.confirm()
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
            case "trim":
                self.store.trim()
            case "lose":
                self._lose(self.random.randint(1, 4))
            case _:
                self._fail_over()

    def _make_server(self, number: int) -> Server:
        """A server: the first one sends batches, the second one is older than these."""
        return Server(self.store, send_batches=number == 0)

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
            client.cache.opened(self.now)
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
            messages = [each.SerializeToString() for each in message.batch.messages]
            stream.down.extendleft(reversed(messages))
            return
        client.cache.received(message)

    def _fence(self) -> int:
        recent = [event.revision for event in self.store.log[-4:]]
        return self.random.choice([0, *recent])

    def _look(self, client: Client) -> None:
        key, fence = self.random.choice(KEYS), self._fence()
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

    def _settle(self) -> None:
        """Check that, without further faults, all caches equal the store within a bounded time."""
        for client in self.clients:
            if client.stream and client.stream.is_silent:
                self._cut(client)
        had: set[tuple[int, Key]] = set()
        # As many keys as a cache has room for, with the layer that the first one includes.
        keys = [*KEYS[:3], KEYS[-2]]
        # Longer than own writes, which the store may have lost, act as a fence.
        for round_ in range(30):
            self.now += 0.1
            for number, client in enumerate(self.clients):
                client.cache.ping(self.now)
                for key in keys:
                    copy = client.cache.lookup(ContextKey(*key), 0, self.now)
                    if copy is not None:
                        self._rules.check_copy(key, copy, 0)
                    if copy is not None and round_ >= 10:
                        current = self.store.contexts.get(key)
                        assert copy.version == (current.version if current else ABSENT), key
                        had.add((number, key))
            for move in range(60):
                for client in self.clients:
                    self._move(client)
                for server in self.servers if move % 3 == 0 else ():
                    server.follow()
                    server.answer()
        assert len(had) == len(self.clients) * len(keys), "some entries cannot be had"
