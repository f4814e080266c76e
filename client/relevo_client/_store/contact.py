"""Whether the store answers a client: logged once when it stops, once when it answers again.

Evidence comes from every call and from the Watch stream. One failure is not a loss: it may
have ended many calls at once, and the next attempt may reach another server. The store is
lost when an attempt fails that began after an earlier failure, with no answer in between.
It is found by an answer, once nothing has failed for `QUIET` seconds: while one of
its servers, or of its partitions, answers and another does not, it stays lost.
"""

import re
import threading
import time

import grpc
from grpc import aio

from relevo_client._context.errors import RelevoError, UnavailableError
from relevo_client._context.log import log
from relevo_client._context.reasons import Reason
from relevo_client._store.statuses import error_of_call

BROKEN = (Reason.INTERNAL, Reason.UNKNOWN)
"""What gRPC calls some connections that break; it may be the store's own answer too."""
# A server waits for half of a call's time.
_LATE = (Reason.DEADLINE_EXCEEDED, Reason.STORE_UNAVAILABLE)
PATIENCE = 0.2
"""Seconds in which a store that is there should answer."""
QUIET = 1.0
"""Seconds without a failure after which an answer means that a lost store is found."""


class Evidence:
    """Decides whether a store is lost, from the results of attempts to reach it.

    Reads no clock and logs nothing.
    """

    def __init__(self) -> None:
        self.is_lost = False
        self._failures = 0
        self._excused = 0  # those of the failures that an answer has followed
        self._last_failure = float("-inf")

    def begin(self) -> int:
        """An attempt begins: its number, to be given to `failed`."""
        return self._failures

    def failed(self, attempt: int, now: float) -> bool:
        """An attempt has failed. Whether the store is lost by this."""
        is_repeated = attempt > self._excused
        self._failures += 1
        self._last_failure = now
        is_news = is_repeated and not self.is_lost
        self.is_lost = self.is_lost or is_repeated
        return is_news

    def answered(self, now: float) -> bool:
        """The store has answered. Whether it is found by this."""
        self._excused = self._failures
        is_news = self.is_lost and now - self._last_failure >= QUIET
        self.is_lost = self.is_lost and not is_news
        return is_news


class Contact:
    """One client's contact with its store, for any number of threads.

    Logs a WARNING when the store is lost and an INFO when it is found; nothing once
    the client is closed. `target` is the client's, None if it was given a channel;
    `timeout` (seconds) is what its calls have if nobody makes them shorter.
    """

    def __init__(self, target: str | None, timeout: float) -> None:
        self._patience = min(PATIENCE, timeout / 2)
        self._store = f"the store at {_without_secrets(target)}" if target else "the store"
        self._evidence = Evidence()
        self._lock = threading.Lock()
        self._is_closed = False

    def begin(self) -> int:
        """A call or a stream begins: its number, to be given to `failed`."""
        return self._evidence.begin()

    def ended(self, attempt: int, failure: RelevoError, timeout: float | None) -> None:
        """A call with this timeout (seconds) has failed. Most failures are answers of the store.

        That the store could not answer within less than `PATIENCE` tells nothing of it.
        """
        if isinstance(failure, UnavailableError):
            is_patient = timeout is None or timeout >= self._patience
            if is_patient or failure.reason not in _LATE:
                self.failed(attempt, f"{failure.reason}, {failure}")
        elif failure.reason not in BROKEN:
            self.answered()

    def failed(self, attempt: int, reason: str) -> None:
        """A call or a stream has failed to reach the store."""
        with self._lock:
            is_news = self._evidence.failed(attempt, time.monotonic()) and not self._is_closed
        if is_news:
            log.warning("%s is lost: %s", self._store, reason)

    def stream_ended(self, attempt: int, error: Exception) -> None:
        """A stream has ended, with this error. What no network does is a defect, and logged so.

        A TimeoutError means that nothing came on it for too long.
        """
        match error:
            case grpc.RpcError():
                failure = error_of_call(error)
                reason = failure.reason
                if isinstance(failure, UnavailableError) or reason in BROKEN:
                    self.failed(attempt, f"{reason}, {failure}")
            case RelevoError():
                reason = error.reason
            case TimeoutError():
                reason = type(error).__name__
                self.failed(attempt, "it gives no sign of life")
            case aio.UsageError():
                reason = type(error).__name__
            case _:
                log.error("the watch of the store failed", exc_info=error)
                return
        log.debug("the watch of the store has ended: %s", reason)

    def answered(self) -> None:
        """The store has answered a call, or something that the stream asked."""
        with self._lock:
            is_news = self._evidence.answered(time.monotonic()) and not self._is_closed
        if is_news:
            log.info("%s is found again", self._store)

    def close(self) -> None:
        """Log nothing any more: what ends now is ended by the client."""
        self._is_closed = True


def _without_secrets(target: str) -> str:
    """A gRPC target without users, passwords and options, which some resolvers take."""
    return re.sub(r"[^/,]*@", "", target.partition("?")[0])
