"""One load for all who need the same thing at the same time, in threads."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from contextvars import Context
from typing import Generic, TypeAlias

from relevo_client._client.flights import Key, Value, WaitedTooLongError, without_current
from relevo_client._context.deadline import Deadline

Flight: TypeAlias = Future[Value]
"""A load under way."""


class Flights(Generic[Key, Value]):
    """`AsyncFlights` for threads: each load runs in a thread of its own."""

    def __init__(self, name: str, ambient: Callable[[], Context] = without_current) -> None:
        self._name = name
        self._ambient = ambient
        self._lock = threading.Lock()
        self._flights: dict[Key, Flight[Value]] = {}

    def share(self, key: Key, load: Callable[[], Value], deadline: Deadline) -> Value:
        """What `load()` returns or raises; one that is under way already is joined.

        Raises WaitedTooLongError at the deadline; the load goes on for the others.
        """
        return flight_result(self.begin(key, load), deadline)

    def begin(self, key: Key, load: Callable[[], Value]) -> Flight[Value]:
        """Begin `load()`, or join one that is under way already. Waits for nothing."""
        new_flight: Flight[Value] = Future()
        with self._lock:
            flight = self._flights.setdefault(key, new_flight)
        if flight is new_flight:
            run = self._ambient().run
            threading.Thread(
                target=run, args=(self._run, key, load, new_flight), name=self._name, daemon=True
            ).start()
        return flight

    def close(self) -> None:
        """Nothing: a thread cannot be ended, and nobody waits for what the user's function does."""

    def _run(self, key: Key, load: Callable[[], Value], flight: Flight[Value]) -> None:
        try:
            value = load()
        except BaseException as error:  # noqa: BLE001 - handed on to everyone who waits
            self._remove(key)
            flight.set_exception(error)
        else:
            self._remove(key)
            flight.set_result(value)

    def _remove(self, key: Key) -> None:
        with self._lock:
            del self._flights[key]


def flight_result(flight: Flight[Value], deadline: Deadline) -> Value:
    """What a load returns or raises. Raises WaitedTooLongError at the deadline."""
    wait([flight], timeout=deadline.remaining())
    if not flight.done():
        raise WaitedTooLongError
    return flight.result()


def finished_first(flights: Iterable[Flight[Value]], deadline: Deadline) -> list[Flight[Value]]:
    """The loads, those that have ended first.

    Waits until all have ended, one has failed, or the deadline is over.
    """
    ended, others = wait(flights, timeout=deadline.remaining(), return_when=FIRST_EXCEPTION)
    return [*ended, *others]
