"""The map of a server's clock: no moment seems later than it was, and few seem much earlier."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from relevo_client._near_cache.clock import DRIFT, LIFETIME, LONG_AGO, ServerClock

ROUNDING = 2e-6
"""Seconds that a moment in microseconds, and sums of times, may be wrong by."""

seconds = st.floats(0, 60, allow_nan=False)
rates = st.floats(1 - DRIFT, 1 + DRIFT, allow_nan=False)


@dataclass
class Server:
    """A server's clock: its reading at the client's 0, its rate, and when it stands still."""

    offset: float
    rate: float
    asleep: float = 0.0
    """The time at which its machine falls asleep."""
    slept: float = 0.0
    """The seconds that it sleeps."""

    def moment(self, at: float) -> int:
        """The microseconds that it shows at a time of the client's clock."""
        slept = min(max(at - self.asleep, 0), self.slept)
        return int((self.offset + self.rate * (at - slept)) * 1e6) + 1


servers = st.builds(
    Server,
    offset=st.floats(61, 1e6, allow_nan=False),
    rate=rates,
    asleep=seconds,
    slept=seconds,
)


@given(server=servers, sent=seconds, up=seconds, down=seconds, later=seconds, late=seconds)
def test_no_moment_seems_later_than_it_was(
    server: Server, sent: float, up: float, down: float, later: float, late: float
) -> None:
    """Whatever the delays, the drift within its bound, and the sleep of the server's machine."""
    clock = ServerClock()
    arrived = sent + up
    clock.learn(sent, server.moment(arrived), arrived + down)
    at = arrived + later
    assert clock.earliest(server.moment(at), at + down + late) <= at + ROUNDING


@given(server=servers, sent=seconds, up=seconds, earlier=st.floats(1e-5, 60))
def test_a_moment_before_the_exchange_is_not_mapped(
    server: Server, sent: float, up: float, earlier: float
) -> None:
    """The server's clock may have stood still in between: the moment may be any time ago."""
    clock = ServerClock()
    clock.learn(sent, server.moment(sent + up), sent + up)
    before = server.moment(sent + up) - round(earlier * 1e6)
    assert clock.earliest(before, sent + up + 1) == LONG_AGO


@given(rate=rates, sent=seconds, up=st.floats(0, 1), down=st.floats(0, 1), later=st.floats(0, 50))
def test_few_moments_seem_much_earlier(
    rate: float, sent: float, up: float, down: float, later: float
) -> None:
    """A moment seems earlier by the way of the ping, and by what clocks may drift apart."""
    server = Server(100.0, rate)
    clock = ServerClock()
    clock.learn(sent, server.moment(sent + up), sent + up + down)
    at = sent + up + later
    lost = up + 2 * DRIFT * later + ROUNDING
    assert clock.earliest(server.moment(at), at + 1) >= at - lost
    assert clock.uncertainty >= up - ROUNDING


def test_a_map_grows_old() -> None:
    """A map is not used for ever, so that what clocks drift apart is bounded."""
    clock = ServerClock()
    clock.learn(0.0, 5_000_000, 0.1)
    last = 5_000_000 + round(LIFETIME * 1e6)
    assert clock.earliest(last, 1e9) > 0
    assert clock.earliest(last + 1, 1e9) == LONG_AGO


def test_nothing_is_known_before_an_exchange() -> None:
    """A moment of a clock that is not mapped proves nothing, and neither does none."""
    clock = ServerClock()
    assert clock.earliest(5_000_000, 1e9) == LONG_AGO
    clock.learn(100.0, 5_000_000, 100.1)
    assert clock.earliest(0, 1e9) == LONG_AGO
    assert clock.earliest(6_000_000, 102.0) > 100.9


def test_a_moment_of_the_future_ends_the_map() -> None:
    """A client that was paused without its clock showing it trusts no moment by the old map.

    Not even one that would be past by it: the map is wrong, and only another exchange helps.
    """
    clock = ServerClock()
    clock.learn(100.0, 5_000_000, 100.1)
    ten_later = 15_000_000
    assert clock.earliest(ten_later, 100.5) == LONG_AGO
    assert clock.earliest(15_100_000, 200.0) == LONG_AGO
    clock.learn(100.5, ten_later, 100.6)
    assert clock.earliest(ten_later + 100_000, 101.0) > 100.59


def test_a_less_exact_map_replaces_a_better_one() -> None:
    """The map before may be wrong, if the client was paused since: the last exchange counts."""
    clock = ServerClock()
    clock.learn(100.0, 5_000_000, 100.001)
    clock.learn(101.0, 7_000_000, 102.5)
    assert clock.earliest(7_000_000, 103.0) == 101.0
