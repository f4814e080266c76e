"""The interceptors for asyncio channels and servers."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import grpc
from grpc import aio

from relevo_client._client.aio import AsyncContextClient
from relevo_client._propagation import handlers
from relevo_client._propagation.aio_resolution import AsyncClientSource, AsyncEntrance, aio_entering
from relevo_client._propagation.blocking_resolution import Entrance, entering
from relevo_client._propagation.bridge import ThreadSource
from relevo_client._propagation.clients import must_be_asyncio
from relevo_client._propagation.fallbacks import DEFAULT_POLICY, Policy
from relevo_client._propagation.incoming import Authorize, Inbound, Trust
from relevo_client._propagation.outgoing import Outbound
from relevo_client.filters import INFRASTRUCTURE, MethodFilter


def aio_client_interceptors(
    *,
    exempt: MethodFilter = INFRASTRUCTURE,
    target: str | None = None,
    allow: Sequence[str] | None = None,
) -> Sequence[aio.ClientInterceptor]:
    """Interceptors for `grpc.aio` channels: calls carry the current reference.

    They add `context-key` and `context-revision` to a call's metadata unless it
    has a `context-key`, and touch nothing else. Nothing is sent for it.

    Args:
        exempt: methods whose calls get nothing.
        target: what the channel calls; needed for `allow`.
        allow: patterns (`*.internal:*`); a channel to any other target adds nothing.

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
    """An interceptor for `grpc.aio` servers: handlers find their call's context.

    The reference that a call carries is resolved by `client`, in at most half of
    the call's remaining time, and is current for the whole handler, whatever
    its shape. A call without one has no context. Malformed references end with
    INVALID_ARGUMENT.

    Args:
        client: asks the store.
        trust_callers: whether callers may say which context a call has: True, or
            a function of gRPC's servicer context. False, the default, is for servers
            that outsiders can reach: what they send is ignored.
        authorize: a function of the reference and gRPC's servicer context; where it
            says no, the call ends with PERMISSION_DENIED.
        policy: what to do where the context cannot be had.
        policies: other policies for some methods; the first filter that applies counts.
        exempt: methods that have no part in this.

    Raises TypeError for a blocking client.

    """
    must_be_asyncio(client, "aio_server_interceptor", instead="server_interceptor")
    rules = Inbound(
        trust_callers=trust_callers,
        authorize=authorize,
        policy=policy,
        policies=policies,
        exempt=exempt,
    )
    return _ServerInterceptor(client, rules)


class _ReferenceInterceptor:
    def __init__(self, rules: Outbound) -> None:
        self._rules = rules

    async def intercept(
        self,
        continuation: Callable[[aio.ClientCallDetails, Any], Awaitable[Any]],
        details: aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        """Pass a call on, with the reference; whatever the arity."""
        added = self._rules.concerns(details.method) and self._rules.added(details.metadata)
        if added:
            details = aio.ClientCallDetails(
                details.method,
                details.timeout,
                # A new object: the caller may use its own for other calls.
                aio.Metadata(*(details.metadata or ()), *added),
                details.credentials,
                details.wait_for_ready,
            )
        return await continuation(details, request)


# A channel registers an interceptor under one arity only, so each has a class.
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


class _ServerInterceptor(aio.ServerInterceptor):
    def __init__(self, client: AsyncContextClient, rules: Inbound) -> None:
        self._rules = rules
        self._source = AsyncClientSource(client)
        self._wrapper = handlers.HandlerWrapper(self._wrap)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        return None if handler is None else self._wrapper(handler_call_details.method, handler)

    def _wrap(
        self, method: str, streams: bool, behaviour: handlers.Behaviour
    ) -> handlers.Behaviour:
        shape_on_loop = _shape_on_loop(behaviour)
        if shape_on_loop:
            return shape_on_loop(aio_entering(partial(self._entrance, method)), behaviour)
        # Anything else gRPC runs in a thread of its pool.
        shape = handlers.generator if streams else handlers.function
        source = ThreadSource(self._source, asyncio.get_running_loop())
        return shape(entering(partial(self._entrance_in_thread, method, source)), behaviour)

    def _entrance(self, method: str) -> handlers.AsyncEnter:
        if self._rules.is_exempt(method):
            return handlers.no_context
        return AsyncEntrance(self._rules, method, self._source)

    def _entrance_in_thread(self, method: str, source: ThreadSource) -> handlers.Enter:
        if self._rules.is_exempt(method):
            return handlers.no_context
        return Entrance(self._rules, method, source)


def _shape_on_loop(behaviour: handlers.Behaviour) -> Callable[..., handlers.Behaviour] | None:
    """What wraps a handler that runs on the event loop, None for any other."""
    if inspect.iscoroutinefunction(behaviour):
        return handlers.coroutine
    if inspect.isasyncgenfunction(behaviour):
        return handlers.async_generator
    return None
