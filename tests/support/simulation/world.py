"""A world in one thread: a store, servers, streams and near caches, driven by a seed.

The caches and the servers' fan-outs are the real ones. The store, what servers read
of it, the network and time are models, and whatever takes time (a read of the log, a
message) ends when the scheduler says: in any order that a real network could have.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from relevo.v1.store_pb2 import WatchRequest, WatchResponse
from relevo_client import (
    ContextEntry,
    ContextKey,
    ContextRef,
    ExecutionContext,
    IncompleteContextError,
    NotFoundError,
)
from relevo_client._near_cache import contexts as near_contexts
from relevo_client._near_cache.machine import NearCache
from relevo_client._near_cache.state import ABSENT, Copy
from relevo_server.event_log.answers import Answers
from relevo_server.event_log.fanout import Fanout, Look
from relevo_server.event_log.outbox import Outbox
from relevo_server.event_log.subscriptions import Asked
from relevo_server.keys import Key
from relevo_server.storage.interface import Limits, Tail
from relevo_server.wire.contexts import key_of
from relevo_server.wire.entries import Entries

from support.simulation.store import HEAD, KEYS, LAYER, PARTITION, TENANT, Store

MAX_STALENESS = 2.0
_PUSHED = Limits(1 << 20, 1 << 20)
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
"""How often each thing happens."""
_AHEAD = {**_RATES, "write": 1, "follow": 0, "confirm": 0, "fault": 0}
"""The same while nobody looks at the log: what is read is ahead of the position."""
_QUIET = {**_RATES, "time": 20, "write": 0, "fault": 0}
"""The same while nothing changes: what is wrong stays so."""
_FAULTS = ("cut", "cut", "silence", "restart", "trim", "lose", "fail over")


@dataclass
class Stream:
    """A Watch call: messages under way, in their order."""

    server: "Server"
    outbox: Outbox
    up: deque[WatchRequest] = field(default_factory=deque[WatchRequest])
    down: deque[bytes] = field(default_factory=deque[bytes])
    is_silent: bool = False
    """Whether nothing arrives any more, and nobody is told."""


class Server:
    """A server's part in one partition, with reads of the store that take their time."""

    def __init__(self, store: Store, make_fanout: Callable[..., Fanout] = Fanout) -> None:
        self._store = store
        self.fanout = make_fanout(PARTITION, Entries(), max_push_bytes=1 << 20)
        self._answers = Answers(self.fanout, asyncio.Event())
        self._follow: Callable[[], None] | None = None
        self._answer: Callable[[], None] | None = None
        self._confirm: Callable[[], None] | None = None

    def take(self, outbox: Outbox, request: WatchRequest) -> None:
        """What a client asks."""
        match request.WhichOneof("request"):
            case "subscribe":
                asked = request.subscribe
                subscription = self.fanout.subscribe(outbox, key_of(asked.key))
                given = Asked(asked.number, asked.known_version, asked.position)
                self.fanout.requests.add(subscription, given)
            case "unsubscribe":
                self.fanout.unsubscribe(outbox, key_of(request.unsubscribe.key))
            case "ping":
                outbox.ping = max(outbox.ping, request.ping.number)
            case _:
                pass

    def follow(self) -> None:
        """One step of reading the log: begin a read, or do something with what was read."""
        step, self._follow = self._follow, None
        if step:
            step()
            return
        look = self.fanout.look()
        tail = self._store.tail(look.position, look.seen)
        self._follow = lambda: self._told(tail, look)

    def answer(self) -> None:
        """One step of answering what was asked."""
        step, self._answer = self._answer, None
        if step:
            step()
            return
        batch = self._answers.next() if self.fanout.position is not None else None
        if batch:
            read = self._store.read_within(batch.keys, batch.limits)
            self._answer = lambda: self._answers.apply(batch, read)

    def confirm(self) -> None:
        """One step of looking at the log beside `follow`, as for streams that are new."""
        step, self._confirm = self._confirm, None
        if step:
            step()
        elif self.fanout.position is not None:
            look = self.fanout.look()
            tail = self._store.tail(look.position, look.seen)
            if not tail.events and not tail.gap:
                self._confirm = lambda: self.fanout.confirm(look)

    def _told(self, tail: Tail, look: Look) -> None:
        if self.fanout.position is None:
            self.fanout.position = tail.revision
        elif tail.gap:
            self.fanout.reset(tail.revision, tail.gap)
        elif tail.events:
            keys = self.fanout.wanted(tail.events)
            read = self._store.read_within(keys, _PUSHED)
            values = dict(zip(keys, read.entries, strict=True))
            self._follow = lambda: self.fanout.tell(tail.events, values, [read.revision], look)
        else:
            self.fanout.confirm(look)


class Client:
    """A process with a near cache."""

    def __init__(self, cache: NearCache) -> None:
        self.cache = cache
        self.stream: Stream | None = None
        self.written = 0
        """The last revision that it has written; 0 where the store has lost it."""


Compose = Callable[[NearCache, ContextRef, float], ContextEntry | None]


class World:
    """Everything, and the scheduler. The other arguments are the parts that it is made of."""

    def __init__(
        self,
        seed: int,
        make_cache: Callable[..., NearCache] = NearCache,
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
        self._snapshot_key = snapshot_key
        self._snapshots: dict[ContextKey, ExecutionContext] = {}
        self.servers = [Server(self.store), Server(self.store)]
        self.clients = [
            Client(make_cache(max_staleness=MAX_STALENESS, max_entries=5, max_bytes=1 << 16))
            for _ in range(2)
        ]
        self.served = 0
        """How often a cache could serve."""
        self.composed = 0
        """How often it could serve an entry with its layer."""

    def run(self, steps: int) -> None:
        """Do so many things, then see that all becomes well. Raises AssertionError."""
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
        # Those that are composed change most.
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
            writer.cache.wrote(TENANT, self.store.reached, self.now)

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
                self.servers[number] = Server(self.store)
            case "trim":
                self.store.trim()
            case "lose":
                self._lose(self.random.randint(1, 4))
            case _:
                self._fail_over()

    def _fail_over(self) -> None:
        """Lose a write that was read ahead of the log, and read its successor before a look."""
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
            client.cache.lost()

    def _move(self, client: Client) -> None:
        """Something small happens between a client and its server."""
        stream = client.stream
        if stream is None:
            # A small buffer, so that slow watchers are reset now and then.
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
                    stream.down.append(message.SerializeToString())
            case _:
                if stream.down and not stream.is_silent:
                    client.cache.received(WatchResponse.FromString(stream.down.popleft()))
        self._check_bounds(client.cache)

    def _fence(self) -> int:
        recent = [event.revision for event in self.store.log[-4:]]
        return self.random.choice([0, *recent])

    def _look(self, client: Client) -> None:
        key, fence = self.random.choice(KEYS), self._fence()
        copy = client.cache.lookup(ContextKey(*key), fence, self.now)
        if copy is not None:
            self.served += 1
            self._check_copy(key, copy, max(fence, client.written))
        self._check_bounds(client.cache)

    def _resolve(self, client: Client) -> None:
        """Look at the entry that includes another one, and take a snapshot of both."""
        ref = ContextRef(ContextKey(*HEAD), self._fence())
        try:
            found = self._resolve_from(client.cache, ref, self.now)
        except NotFoundError:
            return  # `_look` sees whether that is so
        except IncompleteContextError:
            assert self._had_head_without_layer(client.cache), "the layer was there"
            return
        if found is not None:
            self._check_whole(found)
            for key, entry in zip((HEAD, LAYER), (found, *found.layers), strict=False):
                self._check(key, entry.version, max(ref.revision, client.written))
            self._check_snapshot(found)
            self.composed += len(found.layers)
        self._check_bounds(client.cache)

    def _last_known(self, client: Client) -> None:
        """Look at what would be used for want of the store."""
        found = self._last_known_from(client.cache, ContextRef(ContextKey(*HEAD)), self.now)
        if found is not None:
            self._check_whole(found)

    def _had_head_without_layer(self, cache: NearCache) -> bool:
        head = cache.lookup(ContextKey(*HEAD), 0, self.now)
        return bool(head and self.store.had_together({HEAD: head.held, LAYER: ABSENT}))

    def _check_whole(self, found: ContextEntry) -> None:
        """All parts were there at the same moment (N9)."""
        versions = {key_of(each.key.to_message()): each.version for each in (found, *found.layers)}
        assert self.store.had_together(versions), f"{versions} never existed together"

    def _check_snapshot(self, found: ContextEntry) -> None:
        """Whoever asks for its snapshot gets what it is (promise 2)."""
        snapshot = self._snapshots.setdefault(self._snapshot_key(found), found.context)
        assert snapshot == found.context, "the snapshot differs from what was resolved"

    def _check_copy(self, key: Key, copy: Copy, fence: int) -> None:
        self._check(key, copy.version, fence)
        if copy.version != ABSENT:
            assert copy.held == copy.version

    def _check(self, key: Key, version: int | None, fence: int) -> None:
        eras = [era for era in self.store.eras[key] if era.version == version]
        assert eras, f"{key} never had the version {version}"
        reached = [era for era in eras if era.until is None or era.until > fence]
        assert reached, f"{key}@{version} is older than the fence {fence}"
        until = max(era.ended or self.now for era in reached)
        age = self.now - until
        assert age <= MAX_STALENESS, f"{key}@{version} ended {age:.2f} s ago"

    @staticmethod
    def _check_bounds(cache: NearCache) -> None:
        assert len(cache) <= 5, "more entries than allowed"
        assert cache.size <= 1 << 16, "more bytes than allowed"

    def _settle(self) -> None:
        """No more faults: within a bounded time all caches have what the store has."""
        for client in self.clients:
            if client.stream and client.stream.is_silent:
                self._cut(client)
        had: set[tuple[int, Key]] = set()
        # As many as a cache has room for, with the layer that the first one includes.
        keys = [*KEYS[:3], KEYS[-2]]
        # Longer than own writes are a fence for, which the store may have lost.
        for round_ in range(60):
            self.now += 0.05
            for number, client in enumerate(self.clients):
                client.cache.ping(self.now)
                for key in keys:
                    copy = client.cache.lookup(ContextKey(*key), 0, self.now)
                    if copy is not None:
                        self._check_copy(key, copy, 0)
                    if copy is not None and round_ >= 20:
                        current = self.store.contexts.get(key)
                        assert copy.version == (current.version if current else ABSENT), key
                        had.add((number, key))
            for _ in range(60):
                for client in self.clients:
                    self._move(client)
                for server in self.servers:
                    server.follow()
                    server.answer()
        assert len(had) == len(self.clients) * len(keys), "some entries cannot be had"
