"""How long a stream waits for its first answer, and how often it asks meanwhile.

All clients of a lost server come to another one at once. Each that gives up before its turn comes,
or asks again and again, makes the others wait for longer.
"""

from relevo.v1.context_pb2 import ContextEntry
from relevo.v1.store_pb2 import Ping, Position, ServerClock, WatchResponse
from relevo_client import CacheOptions, ContextKey
from relevo_client._near_cache.machine import NearCache
from relevo_client._near_cache.signs import RENEWAL, Pace
from relevo_client._near_cache.stream_rules import Backoff

KEY = ContextKey("conversation", "acme", "c1")
OPTIONS = CacheOptions(max_staleness=2.0, idle_after=3600.0)
STALENESS, TICK = OPTIONS.max_staleness, OPTIONS.ping_interval
PATIENCE = 5.0
NOW = 1000.0


class Stage:
    """A cache that has just opened a stream, whose server has not answered."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self.now = NOW
        self.cache = NearCache(OPTIONS)
        self.cache.lookup(KEY, 0, self.now)
        self.cache.opened(self.now, pace=Pace(patience=patience))
        self._number = 0
        self.pings = self.sent()

    def sent(self) -> list[Ping]:
        """The pings that are sent now."""
        found: list[Ping] = []
        for request in self.cache.requests():
            if request.HasField("ping"):
                found.append(request.ping)
            else:
                self._number = request.subscribe.number
        return found

    def tick(self) -> list[Ping]:
        """Let the driver's next tick come. Returns its pings."""
        self.now += TICK
        self.cache.tick(self.now)
        sent = self.sent()
        self.pings += sent
        return sent

    def is_silent_after(self) -> float:
        """The seconds until the stream is given up."""
        begun = self.now
        while not self.cache.is_silent(self.now):
            self.tick()
        return self.now - begun

    def clock(self, taken: float = 0.0) -> None:
        """The last ping is answered, which took some seconds."""
        moment = round(self.now * 1e6)
        self.now += taken
        clock = ServerClock(ping=self.pings[-1].number, time=moment)
        self.cache.received(WatchResponse(clock=clock), self.now)

    def answer(self) -> None:
        """The Subscribe is answered."""
        entry = ContextEntry(key=KEY.to_message(), partition=1, version=7)
        entry.ttl.FromSeconds(3600)
        entry.context.user_id = "u"
        self.cache.received(WatchResponse(entry=entry, answers=self._number), self.now)

    def sign(self) -> None:
        """A sign of life arrives, as of now."""
        position = Position(partition=1, revision=9, time=round(self.now * 1e6))
        self.cache.received(WatchResponse(positions=[position]), self.now)


def test_a_first_answer_is_waited_for() -> None:
    """A stream without an answer is given up after its patience, and not after `max_staleness`."""
    assert PATIENCE < Stage().is_silent_after() <= PATIENCE + TICK
    assert STALENESS < Stage(patience=0.0).is_silent_after() <= STALENESS + TICK


def test_a_server_that_maps_its_clock_only() -> None:
    """The answer to a ping proves nothing: the stream is given up as if it had not come."""
    stage = Stage()
    stage.clock()
    assert stage.is_silent_after() <= PATIENCE + TICK


def test_patience_ends_with_the_first_answer() -> None:
    """From the first answer on, a stream without a sign for `max_staleness` is given up (N2)."""
    stage = Stage()
    stage.clock()
    stage.answer()
    assert stage.is_silent_after() <= STALENESS + 2 * TICK


def test_what_is_not_proven_is_not_served() -> None:
    """However long a stream is waited for, no copy is served meanwhile, nor before a proof (N2)."""
    stage = Stage()
    while not stage.cache.is_silent(stage.now):
        assert stage.cache.lookup(KEY, 0, stage.now) is None
        stage.tick()
    stage.clock()
    stage.answer()
    stage.sign()  # as of the sending of a ping that was answered too late
    assert stage.cache.lookup(KEY, 0, stage.now) is None
    stage.tick()
    stage.clock()
    stage.sign()
    assert stage.cache.lookup(KEY, 0, stage.now) is not None


def test_a_stream_without_an_answer_pings_once() -> None:
    """Nothing but the first ping is sent until something is answered."""
    stage = Stage()
    stage.is_silent_after()
    assert len(stage.pings) == 1


def test_an_older_server_that_is_slow() -> None:
    """A server that answers pings, but late, is pinged for signs from its first answer on."""
    stage = Stage()
    for _ in range(int(STALENESS / TICK)):
        assert not stage.tick()
    position = Position(partition=1, revision=9, ping=stage.pings[-1].number)
    stage.cache.received(WatchResponse(positions=[position]), stage.now)
    assert len(stage.tick()) == 1


def test_coarse_maps_are_made_again_ever_later() -> None:
    """A server that answers pings slowly is pinged ever more seldom, and not in each tick."""
    stage = Stage()
    stage.answer()
    sent: list[float] = []
    while stage.now < NOW + 200:
        stage.clock(taken=2 * TICK)
        begun = stage.now
        stage.sign()
        while not stage.tick():
            stage.sign()
        sent.append(stage.now - begun)
    assert sent[0] == TICK
    assert sent == sorted(sent)
    assert sent[-1] > RENEWAL - 1


def test_a_good_map_ends_that() -> None:
    """After an answer that came at once, the next coarse map is made again with the next tick."""
    stage = Stage()
    stage.answer()
    for _ in range(5):
        stage.clock(taken=2 * TICK)
        while not stage.tick():
            stage.sign()
    stage.clock()
    while not stage.tick():
        stage.sign()
    stage.clock(taken=2 * TICK)
    assert len(stage.tick()) == 1


def is_about(value: float, expected: float) -> bool:
    """Whether a value is the expected one with its jitter."""
    return 0.75 * expected <= value <= 1.25 * expected


def test_patience_grows() -> None:
    """It doubles after each stream that was silent for as long, up to half a minute."""
    backoff = Backoff(STALENESS)
    for expected in (6.0, 12.0, 24.0, 30.0, 30.0):
        patience = backoff.pace().patience
        assert is_about(patience, expected)
        backoff.after(patience + TICK, is_answered=False)
    backoff.after(0.1)
    assert is_about(backoff.pace().patience, 6.0)


def test_a_refused_stream_needs_no_patience() -> None:
    """It does not grow if a stream ends by itself: there may be no server at the time."""
    backoff = Backoff(STALENESS)
    for _ in range(20):
        assert is_about(backoff.pace().patience, 6.0)
        backoff.after(0.1, is_answered=False)


def test_patience_differs() -> None:
    """Clients that came at once do not give up at once."""
    assert len({Backoff(STALENESS).pace() for _ in range(20)}) == 20


def test_a_silent_stream_does_not_last() -> None:
    """The pause before the next stream grows, however long the last one was silent."""
    backoff = Backoff(STALENESS)
    pauses = [backoff.after(60.0, is_answered=False) for _ in range(10)]
    assert max(pauses) > 0.4
    assert backoff.after(60.0) < 0.1
