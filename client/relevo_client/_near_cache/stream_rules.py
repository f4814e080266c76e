"""Rules that both drivers of the near cache share: the pace of requests, and the backoff."""

import random
from typing import Protocol

_RANDOM = random.SystemRandom()
"""Without a state of its own: streams run in threads beside a program that may have seeded
`random`, and take no numbers from it."""
SLICE = 8
"""Requests that are sent at once. A pause follows, so that reconnecting clients do not flood a
server: a call that arrives meanwhile waits for one slice at most."""
_PAUSE = 0.0025
"""Seconds between two slices, before jitter."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
"""Seconds before a stream is opened again, before jitter of up to half of it. A server that comes
back after a long time has each client's stream within two seconds."""
_LASTING = 5.0
"""Seconds that a stream must have lasted for the backoff to begin anew."""


class Contact(Protocol):
    """The record of whether the store answers, to which a driver reports its streams."""

    def begin(self) -> int:
        """Begin a stream. Returns its number, for `stream_ended`."""
        ...

    def answered(self) -> None:
        """Record that the store has answered a request of a stream."""
        ...

    def stream_ended(self, attempt: int, error: Exception) -> float:
        """Record that a stream has ended with this error; TimeoutError if it was silent.

        Returns how many seconds the store wants to be left alone, 0 if it did not say.
        """
        ...


class Backoff:
    """The exponential backoff before a stream is opened again, with jitter."""

    def __init__(self) -> None:
        self._pause = _FIRST_PAUSE

    def after(self, lasted: float, asked: float = 0.0) -> float:
        """The seconds to wait after a stream that has lasted this many seconds.

        At least as many as the store has `asked` for.
        """
        pause = _FIRST_PAUSE if lasted > _LASTING else self._pause
        self._pause = min(2 * pause, _LONGEST_PAUSE)
        return max(_jittered(pause), asked * _RANDOM.uniform(1.0, 1.5))


def slice_pause() -> float:
    """The seconds to wait before the next slice of requests."""
    return _jittered(_PAUSE)


def _jittered(pause: float) -> float:
    return pause * _RANDOM.uniform(0.5, 1.5)
