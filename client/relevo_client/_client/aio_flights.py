"""One load for all who need the same thing at the same time, on an event loop."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from functools import partial
from typing import Generic, TypeAlias

from relevo_client._client.flights import Key, Value, WaitedTooLongError, without_current
from relevo_client._context.deadline import Deadline
from relevo_client._context.errors import closed

AsyncFlight: TypeAlias = asyncio.Task[Value]
"""A load under way."""


class AsyncFlights(Generic[Key, Value]):
    """Loads under way on an event loop, by key. Each runs in a task of its own.

    Args:
        name: the name of these tasks.
        ambient: makes the context variables that a task begins with. By default it has those
            of the first caller, but for the context that is current.

    """

    def __init__(self, name: str, ambient: Callable[[], Context] = without_current) -> None:
        self._name = name
        self._ambient = ambient
        self._flights: dict[Key, AsyncFlight[Value]] = {}

    async def share(
        self, key: Key, load: Callable[[], Awaitable[Value]], deadline: Deadline
    ) -> Value:
        """What `load()` returns or raises; one that is under way already is joined.

        Raises WaitedTooLongError at the deadline; the load goes on for the others.
        """
        return await aio_flight_result(self.begin(key, load), deadline)

    def begin(self, key: Key, load: Callable[[], Awaitable[Value]]) -> AsyncFlight[Value]:
        """Begin `load()`, or join one that is under way already. Waits for nothing."""
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(_run(load), context=self._ambient(), name=self._name)
            self._flights[key] = flight
            flight.add_done_callback(partial(self._remove, key))
        return flight

    async def close(self) -> None:
        """Cancel what is under way."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _remove(self, key: Key, flight: AsyncFlight[Value]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # whoever waited has it; nobody may be left


async def aio_flight_result(flight: AsyncFlight[Value], deadline: Deadline) -> Value:
    """What a load returns or raises. Raises WaitedTooLongError at the deadline."""
    # Neither the deadline nor who cancels the caller ends the load.
    await asyncio.wait([flight], timeout=deadline.remaining())
    if not flight.done():
        raise WaitedTooLongError
    if flight.cancelled():
        raise closed()
    return flight.result()


async def aio_finished_first(
    flights: Iterable[AsyncFlight[Value]], deadline: Deadline
) -> list[AsyncFlight[Value]]:
    """The loads, those that have ended first.

    Waits until all have ended, one has failed, or the deadline is over.
    """
    ended, others = await asyncio.wait(
        flights, timeout=deadline.remaining(), return_when=asyncio.FIRST_EXCEPTION
    )
    return [*ended, *others]


async def _run(load: Callable[[], Awaitable[Value]]) -> Value:
    return await load()
