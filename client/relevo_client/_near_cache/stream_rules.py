"""What both drivers of the near cache go by: how fast to ask, and when to try again."""

import random
from typing import Protocol

SLICE = 200
"""Requests that are sent at once; a pause follows, so that a reconnect is no herd."""
_PAUSE = 0.02
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
"""Seconds before a stream is opened again; with jitter up to half as long again. A server that
comes back after long has each client's stream within two seconds."""
_LASTING = 5.0
"""Seconds after which a stream that ends was a good one."""


class Contact(Protocol):
    """What a driver's streams tell of the store: whether it answers the client."""

    def begin(self) -> int:
        """A stream begins: its number, to be given to `stream_ended`."""
        ...

    def answered(self) -> None:
        """The store has answered something that a stream asked."""
        ...

    def stream_ended(self, attempt: int, error: Exception) -> None:
        """A stream has ended, with this error; TimeoutError if it was silent."""
        ...


class Backoff:
    """Seconds before a stream is opened again: doubled each time, with jitter."""

    def __init__(self) -> None:
        self._pause = _FIRST_PAUSE

    def after(self, lasted: float) -> float:
        """The pause after a stream that was there for so many seconds."""
        pause = _FIRST_PAUSE if lasted > _LASTING else self._pause
        self._pause = min(2 * pause, _LONGEST_PAUSE)
        return _jittered(pause)


def slice_pause() -> float:
    """Seconds before the next slice of requests."""
    return _jittered(_PAUSE)


def _jittered(pause: float) -> float:
    return pause * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
