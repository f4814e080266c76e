"""The interceptors for asyncio channels and servers, one class for each shape of call."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
from grpc import aio

from relevo_client import _metadata
from relevo_client._aio_client import AsyncContextClient
from relevo_client._current import set_current
from relevo_client._errors import RelevoError
from relevo_client._propagation import is_exempt, outgoing, refusal_of

Behaviour = Callable[[Any, aio.ServicerContext[Any, Any]], Awaitable[Any]]


def aio_client_interceptors() -> Sequence[aio.ClientInterceptor]:
    """Interceptors for `grpc.aio` channels: calls carry the current reference.

    They add `context-key` and `context-revision` to a call's metadata unless it
    has a `context-key`, and touch nothing else. Nothing is sent for it.
    """
    return (_UnaryUnaryClientInterceptor(),)


def aio_server_interceptor(client: AsyncContextClient) -> aio.ServerInterceptor:
    """An interceptor for `grpc.aio` servers: handlers find their call's context.

    The reference of a call is resolved by `client` before its handler runs, and
    current in it; a call without one has no context. A call whose context
    cannot be had is refused: INVALID_ARGUMENT for a malformed reference,
    FAILED_PRECONDITION where the context does not exist, is incomplete or is
    newer than the store, UNAVAILABLE where the store cannot be reached.
    Health checks and reflection are left alone.
    """
    return _ServerInterceptor(client)


class _UnaryUnaryClientInterceptor(aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self,
        continuation: Callable[[aio.ClientCallDetails, Any], Awaitable[Any]],
        client_call_details: aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        return await continuation(_with_reference(client_call_details), request)


def _with_reference(details: aio.ClientCallDetails) -> aio.ClientCallDetails:
    added = outgoing(details.method, details.metadata)
    if not added:
        return details
    # A new object: the caller may use its own for other calls.
    metadata = aio.Metadata(*(details.metadata or ()), *added)
    return aio.ClientCallDetails(
        details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
    )


class _ServerInterceptor(aio.ServerInterceptor):
    def __init__(self, client: AsyncContextClient) -> None:
        self._client = client

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or is_exempt(handler_call_details.method):
            return handler
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(
                self._unary_unary(handler.unary_unary),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return handler

    def _unary_unary(self, behaviour: Behaviour) -> Behaviour:
        async def with_context(request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
            await self._enter(context)
            return await behaviour(request, context)

        return with_context

    async def _enter(self, context: aio.ServicerContext[Any, Any]) -> None:
        """Make the call's context current. Set and never reset: the task is the call's own."""
        set_current(None)
        try:
            ref = _metadata.decode(context.invocation_metadata())
            if ref is not None:
                set_current(await self._client.resolve(ref, timeout=context.time_remaining()))
        except RelevoError as error:
            await context.abort(*refusal_of(error))
