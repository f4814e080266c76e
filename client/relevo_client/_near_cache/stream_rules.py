"""Rules that both drivers of the near cache share: the pace of requests, and the backoff."""

import random
from typing import Protocol

from relevo_client._near_cache.signs import Pace

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
"""Seconds that an answered stream must have lasted for the backoff to begin anew."""
_PATIENT, _MOST_PATIENT = 3, 30.0
"""How long a stream's first answer is waited for: at first so many times as long as copies are
trusted, and later so many seconds at most; before jitter of up to a quarter of it."""


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
    """The exponential backoff of a client's streams, with jitter.

    It has two parts: the pause before a stream is opened again, and the patience with which the
    first answer of a stream is waited for. A server to which all clients of another one come at
    once needs seconds for all of them. If each gave up sooner than its turn comes and asked anew,
    the server would work for streams that are gone, and answer nobody.
    """

    def __init__(self, max_staleness: float) -> None:
        self._pause = _FIRST_PAUSE
        self._first_patience = self._patience = _PATIENT * max_staleness
        self._granted = 0.0  # the patience of the last stream, with jitter

    def pace(self) -> Pace:
        """The pace of a stream that is opened now.

        Its patience is three times `max_staleness` at first, and doubles after each stream that was
        silent for as long.
        """
        self._granted = self._patience * _RANDOM.uniform(0.75, 1.25)
        return Pace(_RANDOM.uniform(0.75, 1.25), self._granted)

    def after(self, lasted: float, asked: float = 0.0, *, is_answered: bool = True) -> float:
        """The seconds to wait after a stream that has lasted this many seconds.

        `is_answered` says whether it had an answer. The pause is at least as long as the store has
        `asked` for.
        """
        if is_answered:
            self._patience = self._first_patience
        elif lasted > self._granted:
            longest = max(_MOST_PATIENT, self._first_patience)
            self._patience = min(2 * self._patience, longest)
        pause = _FIRST_PAUSE if is_answered and lasted > _LASTING else self._pause
        self._pause = min(2 * pause, _LONGEST_PAUSE)
        return max(_jittered(pause), asked * _RANDOM.uniform(1.0, 1.5))


def slice_pause() -> float:
    """The seconds to wait before the next slice of requests."""
    return _jittered(_PAUSE)


def _jittered(pause: float) -> float:
    return pause * _RANDOM.uniform(0.5, 1.5)
