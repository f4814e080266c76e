"""Values that a server read ahead of the log's position, and that a failover then loses.

The failing orders of events are too rare to be found at random each time (the simulation needs some
thousand seeds), so these tests play them.
"""

import random
from collections.abc import Callable, Sequence

import pytest
from relevo.v1.store_pb2 import WatchResponse
from relevo_client import CacheOptions, ContextKey
from relevo_client._near_cache.machine import NearCache
from relevo_server.event_log.fanout import Fanout
from relevo_server.event_log.outbox import Outbox
from relevo_server.event_log.proofs import LogPoll
from relevo_server.keys import Key
from relevo_server.storage.interface import Limits, Read
from support.simulation.rules import MAX_STALENESS
from support.simulation.server import Server
from support.simulation.store import KEYS, Store

LOST, NEXT = KEYS[1:3]
NOW = 1000.0


class Stage:
    """A store with one write that a server has published, and a client with a near cache."""

    def __init__(
        self, make_fanout: Callable[..., Fanout], make_store: Callable[..., Store] = Store
    ) -> None:
        self.store = make_store(random.Random(0), lambda: NOW)  # noqa: S311 - to be replayed
        self.store.put(KEYS[3])
        self.server = Server(self.store, make_fanout)
        self._outbox = Outbox(1 << 20)
        self._cache = NearCache(CacheOptions(max_staleness=MAX_STALENESS))
        self._cache.opened(NOW)
        self.look_at_the_log()
        self.look_at_the_log()

    def look_at_the_log(self) -> None:
        """Begin a read of the log, apply its results, and deliver them to the client."""
        for _ in range(3):
            self.server.follow()
        self._deliver()

    def serves(self) -> int | None:
        """The version of the lost entry that the client uses; None if it asks the store."""
        copy = self._cache.lookup(ContextKey(*LOST), 0, NOW)
        self._deliver()
        return copy.version if copy else None

    def begin_to_read(self) -> None:
        """The client subscribes to the lost entry; the server reads the log, and then the entry."""
        self.serves()
        for _ in range(3):
            self.server.answer()

    def read_the_next(self) -> None:
        """The client subscribes to the write after the failover, and gets its answer."""
        self._cache.lookup(ContextKey(*NEXT), 0, NOW)
        self._deliver()
        for _ in range(4):
            self.server.answer()

    def has_an_answer(self, key: Key) -> bool:
        """Whether the client has the entry, usable or not."""
        self._deliver()
        return self._cache.last_known(ContextKey(*key), NOW) is not None

    def _deliver(self) -> None:
        for request in self._cache.requests():
            self.server.take(self._outbox, request)
        while message := self._outbox.next():
            self._cache.received(WatchResponse.FromString(message))


def a_newer_value_is_read(stage: Stage) -> None:
    """Before the next read of the log, an answer of the new order overtakes the lost one."""
    stage.store.put(LOST)
    stage.begin_to_read()
    stage.server.answer()
    stage.store.lose(1)
    stage.store.put(NEXT)
    stage.read_the_next()


def the_answer_is_late(stage: Stage) -> None:
    """The answer arrives after the position has passed it, in a log that lacks it."""
    stage.store.put(LOST)
    stage.begin_to_read()
    stage.store.lose(1)
    stage.store.put(NEXT)
    stage.look_at_the_log()
    stage.server.answer()


def check(play: Callable[[Stage], None], make_fanout: Callable[..., Fanout]) -> None:
    """After two more reads of the log, the client has the store's state: no entry."""
    stage = Stage(make_fanout)
    play(stage)
    stage.look_at_the_log()
    stage.look_at_the_log()
    assert not stage.serves(), "what was lost is served"
    stage.server.answer()
    stage.server.answer()
    stage.look_at_the_log()
    assert stage.serves() == 0


class _SeeingTheLast(Fanout):
    """Of all published revisions, only the last one is looked for in the log."""

    def begin_poll(self, time: int = 0) -> LogPoll:
        poll = super().begin_poll(time)
        return poll._replace(seen=poll.seen[-1:])


class _SeeingAhead(Fanout):
    """Neither reads in flight nor revisions that the position has passed are looked for."""

    def record_read(self, revision: int) -> None:
        pass

    def begin_poll(self, time: int = 0) -> LogPoll:
        poll = super().begin_poll(time)
        return poll._replace(seen=[each for each in poll.seen if each > (poll.position or 0)])


@pytest.mark.parametrize("play", [a_newer_value_is_read, the_answer_is_late])
def test_what_was_lost_is_reset(play: Callable[[Stage], None]) -> None:
    """Each published revision must be in the log, not only the last one (S3)."""
    check(play, Fanout)


@pytest.mark.parametrize(
    "play, broken",
    [(a_newer_value_is_read, _SeeingTheLast), (the_answer_is_late, _SeeingAhead)],
)
def test_what_looks_for_less_is_seen(
    play: Callable[[Stage], None], broken: Callable[..., Fanout]
) -> None:
    """A server that looks for fewer revisions is detected."""
    with pytest.raises(AssertionError, match="what was lost"):
        check(play, broken)


class _AnyOrder(Store):
    """A store that reads whatever its log has lost."""

    def read_within(self, keys: Sequence[Key], limits: Limits, position: int | None) -> Read | None:
        del position
        return super().read_within(keys, limits, None)


@pytest.mark.parametrize("make_store, is_answered", [(Store, False), (_AnyOrder, True)])
def test_an_answer_of_another_order(make_store: Callable[..., Store], is_answered: bool) -> None:
    """A watcher that knows a lost position gets no answer of the new order before its reset (N9).

    It would take what the answer says for the state as of the position that it knows.
    """
    stage = Stage(Fanout, make_store)
    stage.store.put(LOST)
    stage.look_at_the_log()
    stage.store.lose(1)
    stage.store.put(NEXT)
    stage.read_the_next()
    assert stage.has_an_answer(NEXT) is is_answered
    stage.look_at_the_log()
    stage.look_at_the_log()
    stage.read_the_next()
    stage.look_at_the_log()
    assert stage.has_an_answer(NEXT)
