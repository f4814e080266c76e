"""A near cache and the signs of life of its stream: what they prove, and when it asks for them."""

from relevo.v1.context_pb2 import ContextEntry
from relevo.v1.store_pb2 import Ping, Position, ServerClock, WatchResponse
from relevo_client import CacheOptions, ContextKey
from relevo_client._near_cache.clock import DRIFT
from relevo_client._near_cache.machine import NearCache
from relevo_client._near_cache.signs import RENEWAL

KEY = ContextKey("conversation", "acme", "c1")
OTHER = ContextKey("conversation", "acme", "c2")
OPTIONS = CacheOptions(max_staleness=2.0, idle_after=60.0)
STALENESS = OPTIONS.max_staleness
PARTITION, VERSION, POSITION = 1, 7, 9
NOW = 1000.0


class Stage:
    """A cache whose stream's server gives signs of life. Its clock shows the client's time."""

    def __init__(self, options: CacheOptions = OPTIONS, *, gives_signs: bool = True) -> None:
        self.now = NOW
        self.cache = NearCache(options)
        self._gives_signs = gives_signs
        self.cache.lookup(KEY, 0, self.now)
        self.cache.opened(self.now)
        self.handle()

    def handle(self, delay: float = 0.0) -> list[Ping]:
        """Answer what the cache asks for; answers take `delay` seconds. Returns its pings."""
        pings: list[Ping] = []
        for request in self.cache.requests():
            if request.HasField("ping"):
                pings.append(request.ping)
                self._pong(request.ping, delay)
            elif request.HasField("subscribe"):
                entry = ContextEntry(
                    key=request.subscribe.key, partition=PARTITION, version=VERSION
                )
                entry.ttl.FromSeconds(600)
                entry.context.user_id = "u"
                answer = WatchResponse(entry=entry, answers=request.subscribe.number)
                self.cache.received(answer, self.now)
        if pings and self._gives_signs:
            self.sign()
        return pings

    def _pong(self, ping: Ping, delay: float) -> None:
        arrived = self.moment()
        self.now += delay
        if self._gives_signs:
            clock = ServerClock(ping=ping.number, time=arrived)
            self.cache.received(WatchResponse(clock=clock), self.now)
        else:
            position = Position(partition=PARTITION, revision=POSITION, ping=ping.number)
            self.cache.received(WatchResponse(positions=[position]), self.now)

    def moment(self, ago: float = 0.0) -> int:
        """What the server's clock showed some seconds ago."""
        return round((self.now - ago) * 1e6)

    def sign(self, ago: float = 0.0, revision: int = POSITION) -> None:
        """A sign of life arrives, as of some seconds ago."""
        position = Position(partition=PARTITION, revision=revision, time=self.moment(ago))
        self.cache.received(WatchResponse(positions=[position]), self.now)

    def serves(self, fence: int = 0) -> bool:
        """Whether the cache answers a lookup."""
        return self.cache.lookup(KEY, fence, self.now) is not None

    def after(self, seconds: float) -> list[Ping]:
        """Let time pass, with the ticks of a driver. Returns the pings, which are not answered."""
        end, pings = self.now + seconds, list[Ping]()
        while self.now < end:
            self.now = min(end, self.now + OPTIONS.ping_interval)
            self.cache.tick(self.now)
            pings += [each.ping for each in self.cache.requests() if each.HasField("ping")]
        return pings


def test_a_sign_counts_from_the_moment_that_it_names() -> None:
    """A copy serves for `max_staleness` after that moment, whenever the sign arrives (N2)."""
    stage = Stage()
    assert stage.serves()
    stage.after(1.5)
    stage.sign(ago=1.0)
    stage.after(STALENESS - 1.0 - 0.01)
    assert stage.serves()
    stage.after(0.02)
    assert not stage.serves()


def test_no_ping_is_needed() -> None:
    """While signs come, the clock's map alone needs a ping, once in half a minute."""
    stage = Stage()
    served = 0
    for _ in range(int(RENEWAL) - 1):
        assert not stage.after(1.0)
        stage.sign(ago=0.2)
        served += stage.serves()
        assert not stage.cache.is_silent(stage.now)
    assert served == int(RENEWAL) - 1
    assert len(stage.after(1.5)) == 1


def test_an_older_server_is_pinged_for_each_sign() -> None:
    """A server that does not map its clock answers pings, eight of them in `max_staleness`."""
    stage = Stage(gives_signs=False)
    for _ in range(40):
        stage.now += OPTIONS.ping_interval
        stage.cache.tick(stage.now)
        assert len(stage.handle()) == 1
        assert stage.serves()


def test_what_drifts_apart_is_not_trusted() -> None:
    """The longer ago the clock was mapped, the earlier a sign counts."""
    stage = Stage()
    stage.now += 20.0
    stage.sign()
    stage.now += STALENESS - 20.0 * DRIFT - 0.001
    assert stage.serves()
    stage.now += 0.002
    assert not stage.serves()


def test_a_coarse_map_is_made_again() -> None:
    """If an exchange took long, signs seem older than they are: the next tick asks again."""
    stage = Stage()
    stage.after(RENEWAL - 1)
    stage.now += 2.0
    stage.cache.tick(stage.now)
    assert len(stage.handle(delay=1.0)) == 1
    (again,) = stage.after(OPTIONS.ping_interval)
    clock = ServerClock(ping=again.number, time=stage.moment())
    stage.cache.received(WatchResponse(clock=clock), stage.now)
    assert not stage.after(10.0)


def test_a_sign_of_the_future_is_not_trusted() -> None:
    """A client that was paused, and its clock too, trusts nothing until its next ping."""
    stage = Stage()
    stage.now += STALENESS
    stage.sign(ago=-0.5)
    assert not stage.serves()
    stage.sign()
    assert not stage.serves()
    stage.cache.tick(stage.now)
    assert stage.handle()
    assert stage.serves()


def test_a_map_ends_with_its_stream() -> None:
    """The next stream may reach another server: its signs prove nothing before its own map."""
    stage = Stage()
    stage.cache.stream_ended()
    stage.now += 5.0
    stage.cache.opened(stage.now)
    requests = stage.cache.requests()
    stage.sign()
    assert not stage.serves()
    assert [each.HasField("ping") for each in requests] == [True, False]


def test_nobody_reads() -> None:
    """After `idle_after` without a lookup the server is asked for no signs, and is not silent.

    A cache that needs no signs has no staleness. Nothing is asked any more, however long.
    """
    stage = Stage()
    pings: list[Ping] = []
    while not any(each.sign_interval.ToNanoseconds() == 0 for each in pings):
        assert stage.now < NOW + OPTIONS.idle_after + 1
        pings = stage.after(OPTIONS.ping_interval)
        for each in pings:
            clock = ServerClock(ping=each.number, time=stage.moment())
            stage.cache.received(WatchResponse(clock=clock), stage.now)
        stage.sign()
        assert not stage.cache.is_silent(stage.now)
    assert stage.now >= NOW + OPTIONS.idle_after
    assert not stage.after(1000.0)
    assert not stage.cache.is_silent(stage.now)
    assert stage.cache.figures(stage.now).staleness is None


def test_who_reads_again() -> None:
    """The first lookup asks the store, and for signs; with the first of them copies serve again."""
    stage = Stage()
    stage.after(OPTIONS.idle_after + 100)
    assert not stage.serves()
    assert stage.cache.asked == stage.now
    (ping,) = stage.handle()
    assert ping.sign_interval.ToNanoseconds() > 0
    assert stage.serves()
    assert not stage.cache.is_silent(stage.now)
    stage.after(STALENESS + 1)
    assert stage.cache.is_silent(stage.now)


def test_signs_that_cease() -> None:
    """A stream without a new sign for `max_staleness` is given up, whatever else it sends."""
    stage = Stage()
    for _ in range(int(STALENESS) + 1):
        assert not stage.cache.is_silent(stage.now)
        stage.now += 0.9
        stage.sign(ago=stage.now - NOW)  # the server cannot read the log: it is as of then
    assert stage.cache.is_silent(stage.now)


def test_requests_that_are_lost() -> None:
    """A Subscribe without an answer lets the stream be pinged, and is not waited for longer."""
    stage = Stage()
    stage.now += 5
    stage.sign()
    stage.cache.lookup(OTHER, 0, stage.now)
    stage.cache.requests()
    asked = stage.now
    while not stage.cache.is_silent(stage.now):
        assert stage.now - asked < 2 * STALENESS
        stage.after(OPTIONS.ping_interval)
        stage.sign()


def test_an_answer_that_is_late() -> None:
    """A Subscribe without an answer ends no stream whose pings are answered: others are served."""
    stage = Stage()
    stage.cache.lookup(OTHER, 0, stage.now)
    stage.cache.requests()
    for _ in range(100):
        stage.now += OPTIONS.ping_interval
        stage.sign()
        stage.cache.tick(stage.now)
        stage.handle()
        assert not stage.cache.is_silent(stage.now)


def test_a_position_that_is_needed() -> None:
    """A lookup with a later fence asks for the position, and so do the next ones, but not each."""
    stage = Stage()
    stage.now += 1.0
    stage.sign()
    assert not stage.serves(fence=POSITION + 1)
    assert len(stage.handle()) == 1
    stage.sign(revision=POSITION + 1)
    assert stage.serves(fence=POSITION + 1)
    for _ in range(10):
        assert not stage.serves(fence=POSITION + 2)
    assert not stage.handle()
    stage.now += OPTIONS.ping_interval
    assert not stage.serves(fence=POSITION + 2)
    assert len(stage.handle()) == 1


def test_how_often_signs_are_needed() -> None:
    """Between two signs a proof does not end, and the shorter it lasts, the less is to spare."""
    for milliseconds in range(50, 10_000, 50):
        options = CacheOptions(max_staleness=milliseconds / 1000)
        assert options.max_staleness / 3 <= options.sign_interval < options.max_staleness
        assert options.max_staleness - options.sign_interval <= 0.7 + 1e-9
