"""Shares loads in flight among concurrent callers, in threads (single flight)."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from contextvars import Context
from typing import Generic, TypeAlias

from relevo_client._client.flights import Key, Value, WaitedTooLongError, without_current
from relevo_client._context.deadline import Deadline

Flight: TypeAlias = Future[Value]
"""A load in flight."""


class Flights(Generic[Key, Value]):
    """`AsyncFlights` for threads: each load runs in a thread of its own."""

    def __init__(self, name: str, ambient: Callable[[], Context] = without_current) -> None:
        self._name = name
        self._ambient = ambient
        self._lock = threading.Lock()
        self._flights: dict[Key, Flight[Value]] = {}

    def share(self, key: Key, load: Callable[[], Value], deadline: Deadline) -> Value:
        """The result of `load()`, or of the key's load in flight. Raises what the load raises.

        Raises WaitedTooLongError at the deadline; the load goes on for the others.
        """
        return flight_result(self.begin(key, load), deadline)

    def begin(self, key: Key, load: Callable[[], Value]) -> Flight[Value]:
        """Begin `load()` unless the key has a load in flight. Does not wait."""
        new_flight: Flight[Value] = Future()
        with self._lock:
            flight = self._flights.setdefault(key, new_flight)
        if flight is new_flight:
            run = self._ambient().run
            thread = threading.Thread(
                target=run, args=(self._run, key, load, new_flight), name=self._name, daemon=True
            )
            try:
                thread.start()
            except Exception as error:  # too many threads: nothing else would end this flight
                self._fail(key, error, new_flight)
                raise
        return flight

    def finish(self, deadline: Deadline) -> None:
        """Wait until the loads in flight have ended, or the deadline is over."""
        with self._lock:
            flights = list(self._flights.values())
        wait(flights, timeout=deadline.remaining())

    def close(self) -> None:
        """Do nothing: a thread cannot be cancelled, and `close` waits for no user's function."""

    def _run(self, key: Key, load: Callable[[], Value], flight: Flight[Value]) -> None:
        try:
            value = load()
        except BaseException as error:  # noqa: BLE001 - raised to every waiter
            self._fail(key, error, flight)
        else:
            self._remove(key)
            flight.set_result(value)

    def _fail(self, key: Key, error: BaseException, flight: Flight[Value]) -> None:
        self._remove(key)
        flight.set_exception(error)

    def _remove(self, key: Key) -> None:
        with self._lock:
            del self._flights[key]


def flight_result(flight: Flight[Value], deadline: Deadline) -> Value:
    """The result of a load. Raises what it raises, and WaitedTooLongError at the deadline."""
    wait([flight], timeout=deadline.remaining())
    if not flight.done():
        raise WaitedTooLongError
    return flight.result()


def finished_first(flights: Iterable[Flight[Value]], deadline: Deadline) -> list[Flight[Value]]:
    """The loads, with the finished ones first.

    Waits until all have finished, one has failed, or the deadline is over.
    """
    ended, others = wait(flights, timeout=deadline.remaining(), return_when=FIRST_EXCEPTION)
    return [*ended, *others]
