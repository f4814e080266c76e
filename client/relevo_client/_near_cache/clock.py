"""The clock of a stream's server, as the client can know it.

A server says as of which moment of its own clock something is true. The client maps that to its
own clock by one exchange: it has sent a ping, and the server says what its clock showed when the
ping had arrived. That moment was not before the sending, and a later moment of the server is at
least as much later, less what the clocks drift apart. No arrival proves anything, and no wall
clock is read.

What may happen to clocks, and why no moment is taken for a later one than it is:

- They drift: by `DRIFT` of the time since the exchange, at most.
- The server's machine sleeps, or is paused: its clock stands still, and later moments seem to be
  earlier ones. Moments before the exchange would seem to be later ones, so they are not mapped.
- The client's machine sleeps: its clock counts that time (`steady`).
- The client is paused, and its clocks with it, as a virtual machine may be: moments of the server
  then seem to lie in the future. The first one that does so ends the map.
"""

LONG_AGO = float("-inf")
"""A time before all others."""
DRIFT = 0.002
"""Seconds that a server's clock may gain on a client's in one second. NTP slews a client's clock by
0.0005 in steady use, and oscillators are wrong by less; servers use a clock that is not slewed."""
LIFETIME = 60.0
"""Seconds of the server for which a map is used: it is made anew long before."""


class ServerClock:
    """The clock of one stream's server.

    No I/O, and no clock of its own. The client's times are in seconds, the server's moments in
    microseconds of its clock.
    """

    def __init__(self, drift: float = DRIFT) -> None:
        self._drift = drift
        self._forget()

    def _forget(self) -> None:
        self._sent, self._moment = LONG_AGO, 1
        self.uncertainty = float("inf")
        """Seconds by which a moment may be later than it seems, drift aside; infinite if there is
        no map."""

    def learn(self, sent: float, moment: int, now: float) -> None:
        """Make a map of an exchange: a ping's sending, the server's moment, the answer's arrival.

        It replaces one that was more exact, too: that may be wrong, if the client was paused since.
        """
        self._sent, self._moment, self.uncertainty = sent, moment, now - sent

    def earliest(self, moment: int, now: float) -> float:
        """The time that a moment of the server was not before; `LONG_AGO` if unknown.

        `moment` is 0 if the server said none. It is past at `now`: a map by which it is not is
        wrong, and is dropped.
        """
        later = (moment - self._moment) / 1e6
        if not 0 <= later <= LIFETIME:
            return LONG_AGO
        found = self._sent + later * (1 - self._drift)
        if found > now:
            self._forget()
            return LONG_AGO
        return found
