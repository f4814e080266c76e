"""Resolves the contexts of calls by their rules and policies, on an event loop."""

from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, Protocol

from relevo_client._client.aio import AsyncContextClient
from relevo_client._client.aio_compat import invoke
from relevo_client._client.aio_flights import AsyncFlights
from relevo_client._context.deadline import Deadline
from relevo_client._context.deferred import AsyncDeferred, Current
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import NoContextError, RelevoError
from relevo_client._context.keys import ContextRef
from relevo_client._context.resolved import Rebuilt, Resolved
from relevo_client._propagation.callbacks import own_timeouts
from relevo_client._propagation.fallbacks import (
    PROCEEDS,
    Fallback,
    LastKnownCopy,
    LostContext,
    Policy,
    RebuildCall,
    fallback_for,
)
from relevo_client._propagation.handlers import AsyncEnter
from relevo_client._propagation.incoming import Call, Inbound, Requester, deadline_of
from relevo_client._propagation.incomplete import log_incomplete
from relevo_client._propagation.refusals import RejectedError
from relevo_client._telemetry.counts import COUNTS
from relevo_client._telemetry.spans import describe


class AsyncSource(Protocol):
    """A source of contexts: the store, its near cache, and the functions of policies."""

    def peek(self, ref: ContextRef, /) -> ContextEntry | None:
        """The reference's entry if it is cached, else None. Sends nothing."""
        ...

    def last_known(self, ref: ContextRef) -> ContextEntry | None:
        """The last cached copy of the reference's entry, marked as stale, or None."""
        ...

    async def resolve(self, ref: ContextRef, deadline: Deadline) -> ContextEntry:
        """The reference's entry. Raises RelevoError."""
        ...

    async def rebuild(self, call: RebuildCall, deadline: Deadline) -> Rebuilt:
        """The context that a policy's function returns.

        Raises TimeoutError at the deadline, and the function's exceptions.
        """
        ...


class AsyncClientSource:
    """The AsyncSource of a client. It describes each context on the current span."""

    def __init__(self, client: AsyncContextClient) -> None:
        self._client = client
        self._flights = AsyncFlights[object, object]("relevo-make")

    def peek(self, ref: ContextRef) -> ContextEntry | None:
        """The reference's entry if the client has it cached, else None. Sends nothing."""
        try:
            entry = self._client.peek(ref)
        except RelevoError:  # `resolve` raises it again
            return None
        describe(entry, self._client)
        return entry

    def last_known(self, ref: ContextRef) -> ContextEntry | None:
        """The client's last cached copy of the reference's entry, or None."""
        entry = self._client.last_known(ref)
        describe(entry, self._client)
        return entry

    async def resolve(self, ref: ContextRef, deadline: Deadline) -> ContextEntry:
        """The reference's entry. Raises RelevoError."""
        entry = await self._client.resolve(ref, timeout=deadline.remaining())
        describe(entry, self._client)
        return entry

    async def rebuild(self, call: RebuildCall, deadline: Deadline) -> Rebuilt:
        """The context that a policy's function returns, called once for all waiting calls.

        Raises TimeoutError at the deadline, and the function's exceptions.
        """

        async def load() -> object:
            with own_timeouts(call.function):
                return await invoke(call.function, call.lost)

        rebuilt = call.rebuilt(await self._flights.share(call.flight_key, load, deadline))
        describe(rebuilt, self._client)
        return rebuilt


async def aio_resolve_with_policy(
    source: AsyncSource, policy: Policy, ref: ContextRef | None, requester: Requester
) -> Resolved:
    """The reference's context, or the policy's fallback. Raises RejectedError."""
    error: RelevoError | None = None
    if ref is not None:
        try:
            return await source.resolve(ref, requester.deadline.half())
        except RelevoError as caught:
            error = caught
    return await aio_apply_fallback(source, policy, requester, requester.lost_context(ref, error))


async def aio_apply_fallback(
    source: AsyncSource, policy: Policy, requester: Requester, lost: LostContext
) -> Resolved:
    """The context, or None, with which a policy lets a call proceed. Raises RejectedError."""
    log_incomplete(lost.error)
    fallback = fallback_for(policy, lost)
    if isinstance(fallback, LastKnownCopy):
        return fallback.entry_or_reject(source.last_known(fallback.ref))
    if fallback is None:
        return None
    try:
        return await source.rebuild(fallback, requester.deadline)
    except Exception as error:  # noqa: BLE001 - the user's function, whatever it raises
        raise fallback.rejection(error) from None


class AsyncEntrance:
    """Decides which context is current in the calls of a method, or rejects them."""

    def __init__(self, rules: Inbound, method: str, source: AsyncSource) -> None:
        self._rules = rules
        self._method = method
        self._policy = rules.policy_of(method)
        self._source = source

    def __call__(self, context: Any) -> Current | Coroutine[Any, Any, Current]:
        """The value to make current in the call with this servicer context.

        A coroutine if it takes I/O.
        """
        metadata = context.invocation_metadata()
        try:
            ref = self._rules.reference(context, metadata)
        except RejectedError as rejected:
            return _rejected(context, rejected)
        if ref is None and self._policy.no_reference is Fallback.PROCEED:
            COUNTS.fallbacks[PROCEEDS] += 1
            return None
        if self._policy.lazy:
            call = Call(self._method, context, metadata, deadline_of(context))
            context.add_done_callback(call.end)
            return AsyncDeferred(ref, lambda: self._resolved(ref, call))
        entry = self._source.peek(ref) if ref else None
        if entry:
            return entry
        call = Call(self._method, context, metadata, deadline_of(context))
        return self._resolved(ref, call)

    async def _resolved(self, ref: ContextRef | None, call: Call) -> Resolved:
        try:
            return await aio_resolve_with_policy(self._source, self._policy, ref, call)
        except RejectedError as rejected:
            if call.is_over:  # a call that has ended cannot be aborted
                raise NoContextError(rejected.refusal.text) from None
            await call.context.abort(*rejected.refusal)
            raise


def aio_entering(make: Callable[[], AsyncEnter]) -> AsyncEnter:
    """The `enter` function of a method, made by `make` in the first call and then kept.

    `make` evaluates filters, which are the user's functions: if one fails, the call is
    rejected, and the next call tries again.
    """
    method_enter: AsyncEnter | None = None

    def enter(context: Any) -> Current | Coroutine[Any, Any, Current]:
        nonlocal method_enter
        if method_enter is None:
            try:
                method_enter = make()
            except RejectedError as rejected:
                return _rejected(context, rejected)
        return method_enter(context)

    return enter


async def _rejected(context: Any, rejected: RejectedError) -> NoReturn:
    await context.abort(*rejected.refusal)
    raise rejected
