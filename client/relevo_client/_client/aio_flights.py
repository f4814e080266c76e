"""Shares loads in flight among concurrent callers, on an event loop (single flight)."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from functools import partial
from typing import Generic, TypeAlias

from relevo_client._client.flights import Key, Value, WaitedTooLongError, without_current
from relevo_client._context.deadline import Deadline
from relevo_client._context.errors import client_closed

AsyncFlight: TypeAlias = asyncio.Task[Value]
"""A load in flight."""


class AsyncFlights(Generic[Key, Value]):
    """The loads in flight on an event loop, by key. Each runs in a task of its own.

    Args:
        name: the tasks' name.
        ambient: returns the context variables in which a task runs. By default they are
            those of the first caller, without its current context.

    """

    def __init__(self, name: str, ambient: Callable[[], Context] = without_current) -> None:
        self._name = name
        self._ambient = ambient
        self._flights: dict[Key, AsyncFlight[Value]] = {}

    async def share(
        self, key: Key, load: Callable[[], Awaitable[Value]], deadline: Deadline
    ) -> Value:
        """The result of `load()`, or of the key's load in flight. Raises what the load raises.

        Raises WaitedTooLongError at the deadline; the load goes on for the others.
        """
        return await aio_flight_result(self.begin(key, load), deadline)

    def begin(self, key: Key, load: Callable[[], Awaitable[Value]]) -> AsyncFlight[Value]:
        """Begin `load()` unless the key has a load in flight. Does not wait."""
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(_run(load), context=self._ambient(), name=self._name)
            self._flights[key] = flight
            flight.add_done_callback(partial(self._remove, key))
        return flight

    async def finish(self, deadline: Deadline) -> None:
        """Wait until the loads in flight have ended, or the deadline is over."""
        if flights := list(self._flights.values()):
            await asyncio.wait(flights, timeout=deadline.remaining())

    async def close(self) -> None:
        """Cancel the loads in flight, and wait for their end."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _remove(self, key: Key, flight: AsyncFlight[Value]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # retrieved, as asyncio warns if no waiter is left to do so


async def aio_flight_result(flight: AsyncFlight[Value], deadline: Deadline) -> Value:
    """The result of a load. Raises what it raises, and WaitedTooLongError at the deadline."""
    # Neither the deadline nor a cancellation of the caller ends the load.
    await asyncio.wait([flight], timeout=deadline.remaining())
    if not flight.done():
        raise WaitedTooLongError
    if flight.cancelled():
        raise client_closed()
    return flight.result()


async def aio_finished_first(
    flights: Iterable[AsyncFlight[Value]], deadline: Deadline
) -> list[AsyncFlight[Value]]:
    """The loads, with the finished ones first.

    Waits until all have finished, one has failed, or the deadline is over.
    """
    ended, others = await asyncio.wait(
        flights, timeout=deadline.remaining(), return_when=asyncio.FIRST_EXCEPTION
    )
    return [*ended, *others]


async def _run(load: Callable[[], Awaitable[Value]]) -> Value:
    return await load()
