"""A simulated world in which snapshots ride with calls, while their Puts may be late or fail."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from relevo.v1.context_pb2 import ContextEntry as EntryMessage
from relevo.v1.context_pb2 import ExecutionContext as ContextMessage
from relevo.v1.store_pb2 import WatchResponse
from relevo_client import ContextEntry, ContextKey, ContextRef
from relevo_client._context import digest
from relevo_client._context.codec import context_to_message, entry_from_message
from relevo_client._context.entry import composed, snapshot_context
from relevo_client._context.riders import Rider, basis_of
from relevo_client._near_cache.contexts import resolve
from relevo_client._near_cache.machine import NearCache
from relevo_client._near_cache.state import ABSENT, Copy
from relevo_server.keys import Key
from relevo_server.wire.contexts import key_of

from support.simulation.rules import MAX_STALENESS
from support.simulation.server import Stream
from support.simulation.store import HEAD, LAYER, PARTITION, TENANT, Era
from support.simulation.world import Client, World

_RIDERS = 3
"""The number of riders that are under way."""
_RATES = {"ride": 20, "look": 25, "make": 2, "put": 3, "end": 1, "wait": 1}
"""The relative frequency of each kind of step that is about riders."""
_QUIET = {"follow": 50, "answer": 30, "confirm": 10, "network": 150}
_SHARE = 0.2
"""The share of these steps in all."""


class Invalidated(NamedTuple):
    """An invalidation that the store has acknowledged."""

    revision: int
    time: float
    key: Key | None
    """None for all snapshots of the tenant."""


@dataclass
class Followed:
    """The keys whose events a client gets, as the messages that it received say."""

    since: dict[ContextKey, tuple[Copy, float]] = field(
        default_factory=dict[ContextKey, tuple[Copy, float]]
    )


class RiderWorld(World):
    """The world of `World`, with riders. Raises AssertionError as that does."""

    def __init__(self, seed: int, **parts: Any) -> None:
        super().__init__(seed, **parts)
        self._under_way: list[Rider] = []
        self._ended: list[Invalidated] = []
        self._lost: list[Invalidated] = []
        self._followed = {id(client): Followed() for client in self.clients}
        self.rode = self.refused = self.kept = 0
        """How often a rider was used and was refused, and a kept one served."""

    def _step(self, rates: Mapping[str, int]) -> None:
        if self.random.random() >= _SHARE:
            super()._step(rates)
            return
        client = self.random.choice(self.clients)
        match self.random.choices([*_RATES], [*_RATES.values()])[0]:
            case "make":
                self._make()
            case "put":
                self._put()
            case "ride":
                self._ride(client)
            case "look":
                self._look_at_kept(client)
            case "end":
                self._end()
            case _:
                self._wait()

    def _make(self) -> None:
        """A caller makes a snapshot of the head as it is now. Its Put comes later, or never."""
        head, layer = self.store.contexts.get(HEAD), self.store.contexts.get(LAYER)
        if not head or not layer:
            return
        whole = composed(replace(self._entry(HEAD), layers=(self._entry(LAYER),)))
        snapshot = replace(
            whole,
            key=whole.snapshot_key,
            context=snapshot_context(whole),
            version=0,
            layers=(),
            expire_time=datetime.now(UTC) + timedelta(hours=1),
        )
        self._under_way = [*self._under_way[1 - _RIDERS :], Rider(snapshot, 100, 3600.0)]
        self.store.eras.setdefault(self._key(snapshot), [Era(ABSENT, 0)])

    def _put(self) -> None:
        """The Put of a snapshot arrives. From now on its rider may have the version."""
        if not self._under_way:
            return
        number = self.random.randrange(len(self._under_way))
        rider = self._under_way[number]
        context = context_to_message(rider.entry.context)
        version = self.store.put_snapshot(self._key(rider.entry), context)
        if self.random.random() < 0.5:
            entry = replace(rider.entry, version=version)
            self._under_way[number] = rider._replace(entry=entry)

    def _end(self) -> None:
        """Somebody ends a snapshot, or all of them."""
        key = None
        if self._under_way and self.random.random() < 0.7:
            key = self._key(self.random.choice(self._under_way).entry)
            self.store.invalidate(key)
        else:
            self.store.raise_floor(digest.SCOPE)
        self._record_end(key)

    def _wait(self) -> None:
        """Time passes without faults, so that everybody hears of everything."""
        for _ in range(6):
            self.now += 0.4
            for client in self.clients:
                client.cache.ping(self.now)
            for _ in range(20):
                super()._step(_QUIET)

    def _write(self) -> None:
        before = len(self.store.log)
        super()._write()
        for event in self.store.log[before:]:
            if event.kind == "floor" and event.scope == "":
                self._record_end(None)

    def _record_end(self, key: Key | None) -> None:
        self._ended.append(Invalidated(self.store.revision, self.now, key))

    def _lose(self, number: int) -> None:
        super()._lose(number)
        # Before another write: what is lost was ended in vain, but clients may have heard of it.
        self._lost += [each for each in self._ended if each.revision > self.store.reached]
        self._ended = [each for each in self._ended if each.revision <= self.store.reached]

    def _ride(self, client: Client) -> None:
        """A call comes with a rider."""
        if not self._under_way:
            return
        rider = self.random.choice(self._under_way)
        if _any(client.cache).accept_rider(rider, self.now, keep=True):
            self.rode += 1
            assert not self._must_refuse(client, rider.entry), "a rider outlived its snapshot"
            if client.stream:
                copy = _copies(client).get(rider.entry.key)
                assert copy is None or copy.number, "a kept rider is not subscribed"
        else:
            self.refused += 1
            assert self._may_refuse(rider.entry), "a rider was refused without a reason"
        self._check_size(client)

    def _may_refuse(self, rider: ContextEntry) -> bool:
        """Whether the snapshot was invalidated since, or the store has lost what it had of it."""
        eras = self.store.eras[self._key(rider)]
        was_ended = any(era.version == ABSENT and era.since >= rider.version for era in eras[1:])
        ends = self._ends_of(rider, self._ended) + self._ends_of(rider, self._lost)
        return bool(ends) or bool(rider.version and was_ended)

    def _must_refuse(self, client: Client, rider: ContextEntry) -> bool:
        """Whether a client that is in touch with the store must know that the snapshot ended."""
        copy, cache = _copies(client).get(rider.key), _any(client.cache)
        partition = cache._partitions.get(PARTITION)
        if copy is None or not copy.is_answered or partition is None:
            return False
        if self.now - partition.as_of >= MAX_STALENESS:
            return False
        followed, since = self._followed[id(client)].since.get(rider.key, (None, 0.0))
        if rider.version and self.store.eras[self._key(rider)][-1].version == ABSENT:
            since = 0.0  # the answer to the subscription tells it, too
        elif followed is not copy:
            return False
        return any(
            since < end.time <= self.now - MAX_STALENESS
            for end in self._ends_of(rider, self._ended)
        )

    def _ends_of(self, rider: ContextEntry, ended: list[Invalidated]) -> list[Invalidated]:
        return [
            end
            for end in ended
            if end.revision > basis_of(rider) and end.key in (None, self._key(rider))
        ]

    def _look_at_kept(self, client: Client) -> None:
        """A call comes without its rider: a kept one serves under the rules of every copy."""
        if not self._under_way:
            return
        rider = self.random.choice(self._under_way).entry
        fence = self._fence()
        found = resolve(client.cache, ContextRef(rider.key, fence), self.now)
        if found is not None:
            self.kept += 1
            # No fence makes a snapshot too old, but an own write may have ended it (N1).
            self._rules.check(self._key(rider), found.version, client.written)
            assert found.context.composed_from == rider.context.composed_from
        self._check_size(client)

    def _check_size(self, client: Client) -> None:
        self._rules.check_bounds(client.cache)
        size = sum(copy.size for copy in _copies(client).values())
        assert size == client.cache.figures(now=0).size, "bytes that are not counted"

    def _receive(self, client: Client, stream: Stream) -> None:
        message = WatchResponse.FromString(stream.down[0])
        super()._receive(client, stream)
        followed = self._followed[id(client)].since
        for each in message.batch.messages or [message]:
            if each.HasField("reset"):
                followed.clear()
            elif each.answers:
                named = each.entry if each.HasField("entry") else each.invalidated
                key = ContextKey.from_message(named.key)
                copy = _copies(client).get(key)
                if copy and copy.number == each.answers:
                    followed[key] = copy, self.now

    def _cut(self, client: Client) -> None:
        super()._cut(client)
        self._followed[id(client)].since.clear()

    def _entry(self, key: Key) -> ContextEntry:
        stored = self.store.contexts[key]
        message = EntryMessage(version=stored.version, partition=PARTITION)
        message.key.scope, message.key.tenant_id, message.key.id = key
        message.context.CopyFrom(ContextMessage.FromString(stored.context or b""))
        message.context.ClearField("create_time")
        return entry_from_message(message, stored.version)

    @staticmethod
    def _key(entry: ContextEntry) -> Key:
        assert entry.key.tenant_id == TENANT
        return key_of(entry.key.to_message())


def _any(cache: NearCache) -> Any:
    return cache


def _copies(client: Client) -> dict[ContextKey, Copy]:
    copies: dict[ContextKey, Copy] = _any(client.cache)._copies
    return copies
