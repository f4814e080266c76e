"""A client's contact with its store: a log entry when it is lost, and one when it is found again.

Evidence comes from every call and from the Watch stream. One failure is not a loss: it may
have ended many calls at once, and the next attempt may reach another server. The store is
lost when an attempt fails that began after an earlier failure, with no answer in between.
It is found by an answer after `QUIET` seconds without a failure. So it stays lost while one of
its servers or partitions answers and another does not.
"""

import re
import threading
import time

import grpc
from grpc import aio

from relevo_client._context.errors import RelevoError, TooLargeError, UnavailableError
from relevo_client._context.log import log
from relevo_client._context.reasons import Reason
from relevo_client._store.statuses import error_of_call

BROKEN = (Reason.INTERNAL, Reason.UNKNOWN)
"""Reasons that gRPC gives for some broken connections; the store may have sent them too."""
# STORE_UNAVAILABLE too: a server waits for Redis for half of a call's timeout.
_LATE = (Reason.DEADLINE_EXCEEDED, Reason.STORE_UNAVAILABLE)
PATIENCE = 0.2
"""Seconds of a call's timeout within which a reachable store should answer."""
QUIET = 1.0
"""Seconds without a failure after which an answer means that a lost store is found again."""


class Evidence:
    """Decides whether a store is lost, from the results of attempts to reach it.

    It reads no clock and logs nothing. Times are in seconds.
    """

    def __init__(self) -> None:
        self.is_lost = False
        self._failures = 0
        self._excused = 0  # the number of failures before the last answer
        self._last_failure = float("-inf")

    def begin(self) -> int:
        """Begin an attempt. Returns its number, for `failed`."""
        return self._failures

    def failed(self, attempt: int, now: float) -> bool:
        """Record that an attempt has failed. Returns whether the store became lost by this."""
        is_repeated = attempt > self._excused
        self._failures += 1
        self._last_failure = now
        is_news = is_repeated and not self.is_lost
        self.is_lost = self.is_lost or is_repeated
        return is_news

    def answered(self, now: float) -> bool:
        """Record that the store has answered. Returns whether it is found again by this."""
        self._excused = self._failures
        is_news = self.is_lost and now - self._last_failure >= QUIET
        self.is_lost = self.is_lost and not is_news
        return is_news


class Contact:
    """One client's contact with its store, safe for any number of threads.

    Logs a WARNING when the store is lost and an INFO when it is found again, until the client is
    closed. `target` is the client's target, None if it was given a channel; `timeout` (seconds)
    is the timeout of its calls, which callers can shorten.
    """

    def __init__(self, target: str | None, timeout: float) -> None:
        self._patience = min(PATIENCE, timeout / 2)
        self._store = f"the store at {_without_secrets(target)}" if target else "the store"
        self._evidence = Evidence()
        self._lock = threading.Lock()
        self._is_closed = False

    def begin(self) -> int:
        """Begin a call or a stream. Returns its number, for the method that records its end."""
        return self._evidence.begin()

    def ended(self, attempt: int, failure: RelevoError, timeout: float | None) -> None:
        """Record a failed call that had this timeout in seconds.

        Most failures are answers of the store. A call that was late counts as no failure if its
        timeout was shorter than `PATIENCE`.
        """
        is_patient = timeout is None or timeout >= self._patience
        if _is_break(failure):
            if is_patient or failure.reason not in _LATE:
                self.failed(attempt, f"{failure.reason}, {failure}")
        elif failure.reason not in (*BROKEN, Reason.SERVER_STOPPING):
            self.answered()

    def failed(self, attempt: int, reason: str) -> None:
        """Record that a call or a stream did not reach the store, and log a loss."""
        with self._lock:
            is_news = self._evidence.failed(attempt, time.monotonic()) and not self._is_closed
        if is_news:
            log.warning("%s is lost: %s", self._store, reason)

    def stream_ended(self, attempt: int, error: Exception) -> float:
        """Record that a stream has ended with this error, and log it.

        A TimeoutError means that the stream was silent for too long. An error that no network
        causes is a defect, and is logged as an ERROR. Returns how many seconds the store wants to
        be left alone, 0 if it did not say: it does if a share of streams is used up.
        """
        pause = 0.0
        match error:
            case grpc.RpcError():
                failure = error_of_call(error)
                reason = failure.reason
                if isinstance(failure, TooLargeError):
                    pause = failure.retry_after or 0.0
                if _is_break(failure) or reason in BROKEN:
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
                return pause
        log.debug("the watch of the store has ended: %s", reason)
        return pause

    def answered(self) -> None:
        """Record that the store has answered a call, or a request of the stream."""
        with self._lock:
            is_news = self._evidence.answered(time.monotonic()) and not self._is_closed
        if is_news:
            log.info("%s is found again", self._store)

    def close(self) -> None:
        """Log no losses from now on: it is the client that ends its calls."""
        self._is_closed = True


def _is_break(failure: RelevoError) -> bool:
    """Whether an attempt did not reach the store. A server that stops says so until it is gone."""
    return isinstance(failure, UnavailableError) and failure.reason != Reason.SERVER_STOPPING


def _without_secrets(target: str) -> str:
    """A gRPC target without the users, passwords and options that some resolvers accept."""
    return re.sub(r"[^/,]*@", "", target.partition("?")[0])
