"""The interceptors for blocking channels and servers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import grpc

from relevo_client._client.blocking import ContextClient
from relevo_client._context.hiding import hides
from relevo_client._propagation import handlers
from relevo_client._propagation.blocking_resolution import ClientSource, Entrance
from relevo_client._propagation.clients import must_be_blocking
from relevo_client._propagation.fallbacks import DEFAULT_POLICY, Policy, must_await_nothing
from relevo_client._propagation.incoming import Authorize, Inbound, Trust, keys_of
from relevo_client._propagation.listening import listen
from relevo_client._propagation.outgoing import Outbound
from relevo_client._propagation.own import Own
from relevo_client.filters import INFRASTRUCTURE, MethodFilter


def client_interceptors(
    *,
    exempt: MethodFilter = INFRASTRUCTURE,
    target: str | None = None,
    allow: Sequence[str] | None = None,
) -> Sequence[Any]:
    """Interceptors for `grpc.intercept_channel`: calls carry the current reference.

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
    return (_ClientInterceptor(Outbound(exempt=exempt, target=target, allow=allow)),)


def server_interceptor(
    client: ContextClient,
    *,
    trust_callers: Trust = False,
    authorize: Authorize | None = None,
    policy: Policy = DEFAULT_POLICY,
    policies: Sequence[tuple[MethodFilter, Policy]] = (),
    exempt: MethodFilter = INFRASTRUCTURE,
) -> grpc.ServerInterceptor:
    """An interceptor for `grpc.server`: a call's context is current in its handler.

    The arguments are those of `aio_server_interceptor`, with plain functions. References are
    resolved in the handler's worker thread, never in the server's own thread. Raises TypeError
    for an asyncio client, and for coroutine functions.
    """
    must_be_blocking(client, "server_interceptor", instead="aio_server_interceptor")
    must_await_nothing(policy, *(each for _, each in policies))
    rules = Inbound(
        trust_callers=trust_callers,
        authorize=authorize,
        policy=policy,
        policies=policies,
        exempt=exempt,
        keys=keys_of(client),
    )
    return _ServerInterceptor(client, rules)


@hides("metadata")
class _CallDetails(NamedTuple):
    """The details of a call that a channel reads."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: Any


class _ReferenceInterceptor(Own):
    def __init__(self, rules: Outbound) -> None:
        self._rules = rules

    def intercept(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        """Continue a call of any arity, with the current reference in its metadata."""
        if not self._rules.concerns(details.method):
            return continuation(details, request)
        added = self._rules.added(details.metadata)
        if added:
            details = _CallDetails(
                details.method,
                details.timeout,
                # A copy: the caller may use its metadata for other calls, too.
                (*details.metadata, *added) if details.metadata else added,
                details.credentials,
                getattr(details, "wait_for_ready", None),
                getattr(details, "compression", None),
            )
        call = continuation(details, request)
        listener = self._rules.listener(details.metadata)
        if listener:
            listen(call, listener)
        return call


_ClientInterceptor: Any = type(
    "_ClientInterceptor",
    (
        _ReferenceInterceptor,
        grpc.UnaryUnaryClientInterceptor,
        grpc.UnaryStreamClientInterceptor,
        grpc.StreamUnaryClientInterceptor,
        grpc.StreamStreamClientInterceptor,
    ),
    {f"intercept_{arity}": _ReferenceInterceptor.intercept for arity in handlers.ARITIES},
)


class _ServerInterceptor(Own, grpc.ServerInterceptor):
    def __init__(self, client: ContextClient, rules: Inbound) -> None:
        self._rules = rules
        self._source = ClientSource(client, trusts_callers=rules.trusts_callers)
        self._wrapper = handlers.HandlerWrapper(self._wrap)

    def intercept_service(
        self, continuation: Callable[[Any], Any], handler_call_details: Any
    ) -> Any:
        handler = continuation(handler_call_details)
        if handler is None or self.is_over:
            return handler
        return self._wrapper(handler_call_details.method, handler)

    def _wrap(
        self, method: str, streams: bool, behaviour: handlers.Behaviour
    ) -> handlers.Behaviour:
        shape = handlers.generator if streams else handlers.function
        return shape(Entrance(self._rules, method, self._source), behaviour)
