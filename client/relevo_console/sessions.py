"""Sessions: the tokens of those who have signed in, each under a random name.

The name is in a cookie; the token never leaves the console's memory. It reads no clock of its own:
a function gives the time, in seconds of a monotonic clock.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

IDLE = 30 * 60.0
"""Seconds after which a session ends that nobody uses. An open live page uses it."""
LONGEST = 12 * 3600.0
"""Seconds after which every session ends."""
_MOST = 1000
"""The most sessions. A new one beyond them ends the one that was used longest ago."""


@dataclass
class _Session:
    token: str = field(repr=False)
    begun: float
    used: float


class Sessions:
    """The sessions of one console."""

    def __init__(
        self,
        *,
        idle: float = IDLE,
        longest: float = LONGEST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._idle = idle
        self._longest = longest
        self._clock = clock
        self._sessions: dict[str, _Session] = {}

    def begin(self, token: str) -> str:
        """Begin a session, and return its name."""
        self._forget_ended()
        if len(self._sessions) >= _MOST:
            oldest = min(self._sessions, key=lambda name: self._sessions[name].used)
            del self._sessions[oldest]
        name = secrets.token_urlsafe(32)
        now = self._clock()
        self._sessions[name] = _Session(token, now, now)
        return name

    def use(self, name: str) -> str | None:
        """The token of a session, which counts as used now. None if it has ended."""
        session = self._sessions.get(name)
        if session is None:
            return None
        now = self._clock()
        if self._has_ended(session, now):
            del self._sessions[name]
            return None
        session.used = now
        return session.token

    def end(self, name: str) -> None:
        """End a session, if there is one."""
        self._sessions.pop(name, None)

    @property
    def count(self) -> int:
        """The number of sessions that have not ended."""
        self._forget_ended()
        return len(self._sessions)

    def _forget_ended(self) -> None:
        now = self._clock()
        ended = [name for name, each in self._sessions.items() if self._has_ended(each, now)]
        for name in ended:
            del self._sessions[name]

    def _has_ended(self, session: _Session, now: float) -> bool:
        return now - session.used >= self._idle or now - session.begun >= self._longest
