"""The interceptors for asyncio channels and servers."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
from grpc import aio

from relevo_client._client.aio import AsyncContextClient
from relevo_client._propagation import handlers
from relevo_client._propagation.aio_metadata import extended
from relevo_client._propagation.aio_resolution import AsyncClientSource, AsyncEntrance
from relevo_client._propagation.blocking_resolution import Entrance
from relevo_client._propagation.bridge import ThreadSource
from relevo_client._propagation.clients import must_be_asyncio
from relevo_client._propagation.fallbacks import DEFAULT_POLICY, Policy
from relevo_client._propagation.incoming import Authorize, Inbound, Trust, keys_of, set_received
from relevo_client._propagation.listening import aio_listen
from relevo_client._propagation.outgoing import Outbound
from relevo_client._propagation.own import Own
from relevo_client.filters import INFRASTRUCTURE, MethodFilter


def aio_client_interceptors(
    *,
    exempt: MethodFilter = INFRASTRUCTURE,
    target: str | None = None,
    allow: Sequence[str] | None = None,
) -> Sequence[aio.ClientInterceptor]:
    """Interceptors for `grpc.aio` channels: calls carry the current reference.

    They add `context-key` and `context-revision` to a call's metadata unless it has one of
    them, and change nothing else. They send no calls of their own.

    Args:
        exempt: a filter of methods whose calls carry nothing.
        target: the channel's target; required with `allow`.
        allow: patterns of targets (`*.internal:*`). Calls to any other target carry nothing;
            None allows every target.

    Raises TypeError if `exempt` is a coroutine function, and ValueError for `allow` without
    `target`.

    """
    rules = Outbound(exempt=exempt, target=target, allow=allow)
    return [kind(rules) for kind in _CLIENT_INTERCEPTORS]


def aio_server_interceptor(
    client: AsyncContextClient,
    *,
    trust_callers: Trust = False,
    authorize: Authorize | None = None,
    policy: Policy = DEFAULT_POLICY,
    policies: Sequence[tuple[MethodFilter, Policy]] = (),
    exempt: MethodFilter = INFRASTRUCTURE,
) -> aio.ServerInterceptor:
    """An interceptor for `grpc.aio` servers: a call's context is current in its handler.

    `client` resolves the reference that a call carries, in at most half of the call's
    remaining time. The context is current for the whole handler, whatever its shape. A call
    without a reference has no context; a malformed reference ends it with INVALID_ARGUMENT.

    Args:
        client: the client that resolves references.
        trust_callers: whether callers may choose the context of their calls: a bool, or a
            function of gRPC's servicer context that returns one. False, the default, is for
            servers that outsiders can reach: references are ignored. "signed" trusts references
            that the store has signed, which the client's `reference_keys` verify; any other
            one ends the call with PERMISSION_DENIED.
        authorize: a function of the reference and gRPC's servicer context; if it returns
            False, the call ends with PERMISSION_DENIED. None authorizes every reference.
        policy: the fallbacks for calls whose context cannot be resolved.
        policies: policies for some methods instead; the first filter that matches counts.
        exempt: a filter of methods that the interceptor leaves alone.

    Raises TypeError for a blocking client, and if `trust_callers`, `authorize` or a filter is
    a coroutine function; ValueError for "signed" if the client has no `reference_keys`.

    """
    must_be_asyncio(client, "aio_server_interceptor", instead="server_interceptor")
    rules = Inbound(
        trust_callers=trust_callers,
        authorize=authorize,
        policy=policy,
        policies=policies,
        exempt=exempt,
        keys=keys_of(client),
    )
    return _ServerInterceptor(client, rules)


class _ReferenceInterceptor(Own):
    def __init__(self, rules: Outbound) -> None:
        self._rules = rules

    async def intercept(
        self,
        continuation: Callable[[aio.ClientCallDetails, Any], Awaitable[Any]],
        details: aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        """Continue a call of any arity, with the current reference in its metadata."""
        if not self._rules.concerns(details.method):
            return await continuation(details, request)
        added = self._rules.added(details.metadata)
        if added:
            details = aio.ClientCallDetails(
                details.method,
                details.timeout,
                extended(details.metadata, added),
                details.credentials,
                details.wait_for_ready,
            )
        call = await continuation(details, request)
        listener = self._rules.listener(details.metadata)
        if listener:
            aio_listen(call, listener)
        return call


# A channel registers an interceptor for one arity only, so each arity has a class.
_CLIENT_INTERCEPTORS: Sequence[Any] = [
    type(
        f"_{base.__name__}",
        (_ReferenceInterceptor, base),
        {f"intercept_{arity}": _ReferenceInterceptor.intercept},
    )
    for arity, base in zip(
        handlers.ARITIES,
        (
            aio.UnaryUnaryClientInterceptor,
            aio.UnaryStreamClientInterceptor,
            aio.StreamUnaryClientInterceptor,
            aio.StreamStreamClientInterceptor,
        ),
        strict=True,
    )
]


class _ServerInterceptor(Own, aio.ServerInterceptor):
    def __init__(self, client: AsyncContextClient, rules: Inbound) -> None:
        self._rules = rules
        self._source = AsyncClientSource(client, trusts_callers=rules.trusts_callers)
        self._wrapper = handlers.HandlerWrapper(self._wrap)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or self.is_over:
            return handler
        set_received(handler_call_details.invocation_metadata)
        return self._wrapper(handler_call_details.method, handler)

    def _wrap(
        self, method: str, streams: bool, behaviour: handlers.Behaviour
    ) -> handlers.Behaviour:
        shape_on_loop = _shape_on_loop(behaviour)
        if shape_on_loop:
            return shape_on_loop(AsyncEntrance(self._rules, method, self._source), behaviour)
        # gRPC runs any other handler in a thread of its pool.
        shape = handlers.generator if streams else handlers.function
        source = ThreadSource(self._source, asyncio.get_running_loop())
        return shape(Entrance(self._rules, method, source), behaviour)


def _shape_on_loop(behaviour: handlers.Behaviour) -> Callable[..., handlers.Behaviour] | None:
    """The wrapper for a handler that runs on the event loop, or None for any other handler."""
    if inspect.iscoroutinefunction(behaviour):
        return handlers.coroutine
    if inspect.isasyncgenfunction(behaviour):
        return handlers.async_generator
    return None
