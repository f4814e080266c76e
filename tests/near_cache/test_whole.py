"""The parts of a composed context existed together (N9), in the orders that can break this.

The simulation finds these orders at random; here each is played once, message by message.
"""

import random
from collections.abc import Callable

import pytest
from relevo.v1.store_pb2 import WatchResponse
from relevo_client import CacheOptions, ContextEntry, ContextKey, ContextRef
from relevo_client._near_cache.contexts import last_known, resolve
from relevo_client._near_cache.machine import NearCache
from relevo_server.event_log.outbox import Outbox
from support.simulation.rules import MAX_STALENESS
from support.simulation.server import Server
from support.simulation.store import HEAD, LAYER, Store

NOW = 1000.0
REF = ContextRef(ContextKey(*HEAD))


class Stage:
    """A store, and a client that watches an entry and the layer that it includes."""

    def __init__(self, write: Callable[[Store], None]) -> None:
        self.store = Store(random.Random(0), lambda: NOW)  # noqa: S311 - to be replayed
        write(self.store)
        self.cache = NearCache(CacheOptions(max_staleness=MAX_STALENESS))
        self._server = Server(self.store, send_batches=False)  # one message at a time
        self._outbox = Outbox(1 << 20)
        self.cache.opened(NOW)
        self.resolve()
        for _ in range(4):
            self.look_at_the_log()
            self.deliver()

    def look_at_the_log(self) -> None:
        """Read the log and the values of its events, and answer the subscriptions."""
        for _ in range(3):
            self._server.follow()
        for _ in range(4):
            self._server.answer()

    def deliver(self, messages: int | None = None) -> None:
        """Deliver this many messages, or all of them if None."""
        for request in self.cache.requests():
            self._server.take(self._outbox, request)
        while messages != 0 and (message := self._outbox.next()):
            self.cache.received(WatchResponse.FromString(message))
            messages = messages and messages - 1

    def resolve(self) -> tuple[int, ...] | None:
        """The versions that a call works with; None if it asks the store."""
        return versions(resolve(self.cache, REF, NOW))

    def last_known(self) -> tuple[int, ...] | None:
        """The versions that a call works with if the store cannot be asked."""
        return versions(last_known(self.cache, REF, NOW))


def versions(entry: ContextEntry | None) -> tuple[int, ...] | None:
    """The versions of an entry and its layers."""
    return (entry.version, *(layer.version for layer in entry.layers)) if entry else None


def put(*keys: object) -> Callable[[Store], None]:
    """Writes these keys one after the other."""

    def write(store: Store) -> None:
        for key in keys:
            assert key in (HEAD, LAYER)
            store.put(HEAD if key == HEAD else LAYER)

    return write


def test_no_part_is_ahead_of_the_others() -> None:
    """A value that was read ahead of its events is composed once the position has reached it."""
    stage = Stage(put(LAYER, HEAD))
    before = stage.resolve()
    put(LAYER, HEAD, LAYER)(stage.store)
    stage.look_at_the_log()
    stage.deliver(1)  # the layer, as it is after all three
    assert stage.resolve() is None
    stage.deliver()
    now = tuple(stage.store.contexts[key].version for key in (HEAD, LAYER))
    assert stage.resolve() == now != before


def test_what_was_whole_is_known_for_want_of_the_store() -> None:
    """A part that is ahead does not displace the last whole composition from `last_known`."""
    stage = Stage(put(LAYER, HEAD))
    before = stage.resolve()
    put(LAYER, HEAD, LAYER)(stage.store)
    stage.look_at_the_log()
    stage.deliver(1)
    stage.cache.stream_ended()
    assert stage.last_known() == before
    stage.cache.opened(NOW)  # without an answer of the server
    stage.cache.stream_ended()
    assert stage.last_known() == before


def test_what_came_last_is_known_for_want_of_the_store() -> None:
    """`last_known` composes the newest parts if they were together when the stream was lost."""
    stage = Stage(put(LAYER, HEAD))
    stage.resolve()
    put(LAYER)(stage.store)
    stage.look_at_the_log()
    stage.deliver()
    stage.cache.stream_ended()
    now = tuple(stage.store.contexts[key].version for key in (HEAD, LAYER))
    assert stage.last_known() == now


@pytest.mark.parametrize("deliver", [1, None])
def test_the_store_says_what_is_incomplete(deliver: int | None) -> None:
    """A layer that is cached as absent may exist by now: the store is asked."""
    stage = Stage(put(HEAD))
    assert stage.resolve() is None
    put(HEAD, LAYER, HEAD)(stage.store)
    stage.look_at_the_log()
    stage.deliver(deliver)  # the head, as it is after all three
    assert stage.resolve() == (
        None if deliver else tuple(stage.store.contexts[key].version for key in (HEAD, LAYER))
    )
