"""`RecordedCalls`: the metadata of the calls that reached a test's server."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
from grpc import aio

from relevo_client._context.hiding import hides
from relevo_client._context.keys import ContextRef
from relevo_client._propagation import metadata


@hides("metadata")
@dataclass(frozen=True)
class CarriedCall:
    """A call that reached the server."""

    method: str
    """The full name of the method: `/package.Service/Method`."""
    metadata: tuple[tuple[str, str | bytes], ...]
    """All entries of the call's metadata: pairs of name and value."""

    @property
    def ref(self) -> ContextRef | None:
        """The reference that the call carried, or None if it carried none.

        Raises InvalidFieldError if the entries of the metadata are malformed.
        """
        return metadata.decode(self.metadata)


class RecordedCalls:
    """The calls that reached the servers with these interceptors, in order of arrival.

    calls = RecordedCalls()
    server = grpc.aio.server(interceptors=[calls.aio_server_interceptor()])
    ...
    assert calls.only("/shop.v1.Orders/Place").ref == entry.ref
    """

    def __init__(self) -> None:
        self._calls: list[CarriedCall] = []

    def all(self, method: str | None = None) -> list[CarriedCall]:
        """The calls so far: all, or those of the method with this full name."""
        return [call for call in self._calls if method in (None, call.method)]

    def only(self, method: str | None = None) -> CarriedCall:
        """The only call so far: of any method, or of the method with this full name.

        Raises AssertionError if there were no calls, or several.
        """
        calls = self.all(method)
        if len(calls) != 1:
            raise AssertionError(f"expected one call of {method or 'any method'}, got {calls}")
        return calls[0]

    def clear(self) -> None:
        """Forget the calls so far."""
        self._calls.clear()

    def server_interceptor(self) -> grpc.ServerInterceptor:
        """An interceptor for blocking servers that records their calls."""
        return _Recorder(self._record)

    def aio_server_interceptor(self) -> aio.ServerInterceptor:
        """An interceptor for asyncio servers that records their calls."""
        return _AioRecorder(self._record)

    def _record(self, details: grpc.HandlerCallDetails) -> None:
        metadata = tuple((name, value) for name, value in details.invocation_metadata)
        self._calls.append(CarriedCall(details.method, metadata))


class _Recorder(grpc.ServerInterceptor):
    def __init__(self, record: Callable[[grpc.HandlerCallDetails], None]) -> None:
        self._record = record

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Any],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        self._record(handler_call_details)
        return continuation(handler_call_details)


class _AioRecorder(aio.ServerInterceptor):
    def __init__(self, record: Callable[[grpc.HandlerCallDetails], None]) -> None:
        self._record = record

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        self._record(handler_call_details)
        return await continuation(handler_call_details)
