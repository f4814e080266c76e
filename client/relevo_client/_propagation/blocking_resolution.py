# Generated from aio_resolution.py by `make twins`: edit that file, not this one.
"""Resolves the contexts of calls by their rules and policies, in threads."""

from typing import Any, NoReturn, Protocol

from relevo_client._client.blocking import ContextClient
from relevo_client._client.blocking_compat import invoke
from relevo_client._client.blocking_flights import Flights
from relevo_client._context.deadline import Deadline
from relevo_client._context.deferred import BlockingDeferred, Current
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
from relevo_client._propagation.faults import log_incomplete
from relevo_client._propagation.incoming import Call, Inbound, Requester, deadline_of
from relevo_client._propagation.metadata import Pairs, rider_in
from relevo_client._propagation.refusals import RejectedError
from relevo_client._telemetry.counts import COUNTS
from relevo_client._telemetry.spans import describe, get_telemetry


class Source(Protocol):
    """A source of contexts: the store, its near cache, and the functions of policies."""

    def peek(self, ref: ContextRef, /) -> ContextEntry | None:
        """The reference's entry if it is cached, else None. Sends nothing."""
        ...

    def last_known(self, ref: ContextRef) -> ContextEntry | None:
        """The last cached copy of the reference's entry, marked as stale, or None."""
        ...

    def ride(self, ref: ContextRef, rider: bytes) -> ContextEntry | None:
        """The entry in the rider that came with a reference, or None. Sends nothing."""
        ...

    def resolve(self, ref: ContextRef, deadline: Deadline) -> ContextEntry:
        """The reference's entry. Raises RelevoError."""
        ...

    def rebuild(self, call: RebuildCall, deadline: Deadline) -> Rebuilt:
        """The context that a policy's function returns.

        Raises TimeoutError at the deadline, and the function's exceptions.
        """
        ...


class ClientSource:
    """The Source of a client. It describes each context on the current span.

    `trusts_callers` is False if only signatures vouch for those who send references and riders.
    """

    def __init__(self, client: ContextClient, *, trusts_callers: bool = True) -> None:
        self._client = client
        self._trusts_callers = trusts_callers
        self._flights = Flights[object, object]("relevo-make")

    def peek(self, ref: ContextRef) -> ContextEntry | None:
        """The reference's entry if the client has it cached, else None. Sends nothing."""
        try:
            entry = self._client.peek(ref)
        except RelevoError:  # `resolve` raises it again
            return None
        if get_telemetry():
            describe(entry, self._client)
        return entry

    def last_known(self, ref: ContextRef) -> ContextEntry | None:
        """The client's last cached copy of the reference's entry, or None."""
        entry = self._client.last_known(ref)
        describe(entry, self._client)
        return entry

    def ride(self, ref: ContextRef, rider: bytes) -> ContextEntry | None:
        """The entry in the rider that came with a reference, or None. Sends nothing."""
        entry = self._client.take_rider(ref, rider, is_trusted=self._trusts_callers)
        if get_telemetry():
            describe(entry, self._client)
        return entry

    def resolve(self, ref: ContextRef, deadline: Deadline) -> ContextEntry:
        """The reference's entry. Raises RelevoError."""
        entry = self._client.resolve(ref, timeout=deadline.remaining())
        describe(entry, self._client)
        return entry

    def rebuild(self, call: RebuildCall, deadline: Deadline) -> Rebuilt:
        """The context that a policy's function returns, called once for all waiting calls.

        Raises TimeoutError at the deadline, and the function's exceptions.
        """

        def load() -> object:
            with own_timeouts(call.function):
                return invoke(call.function, call.lost)

        rebuilt = call.rebuilt(self._flights.share(call.flight_key, load, deadline))
        describe(rebuilt, self._client)
        return rebuilt


def resolve_with_policy(
    source: Source, policy: Policy, ref: ContextRef | None, requester: Requester
) -> Resolved:
    """The reference's context, or the policy's fallback. Raises RejectedError."""
    error: RelevoError | None = None
    if ref is not None:
        rider = requester.rider
        entry = (source.peek(ref) or source.ride(ref, rider)) if rider else None
        if entry:
            return entry
        try:
            return source.resolve(ref, requester.deadline.half())
        except RelevoError as caught:
            error = caught
    return apply_fallback(source, policy, requester, requester.lost_context(ref, error))


def apply_fallback(
    source: Source, policy: Policy, requester: Requester, lost: LostContext
) -> Resolved:
    """The context, or None, with which a policy lets a call proceed. Raises RejectedError."""
    log_incomplete(lost.error)
    fallback = fallback_for(policy, lost)
    if isinstance(fallback, LastKnownCopy):
        return fallback.entry_or_reject(source.last_known(fallback.ref))
    if fallback is None:
        return None
    try:
        return source.rebuild(fallback, requester.deadline)
    except Exception as error:  # noqa: BLE001 - the user's function, whatever it raises
        raise fallback.rejection(error) from None


class Entrance:
    """Decides which context is current in the calls of a method, or rejects them.

    The filters of policies are the user's functions: they are evaluated in the first call, and in
    the next one again if they fail.
    """

    def __init__(self, rules: Inbound, method: str, source: Source) -> None:
        self._rules = rules
        self._method = method
        self._source = source
        self._policy: Policy | None = None
        """The method's policy; None if it is exempt, or has had no call yet."""
        self._is_ready = False

    def __call__(self, context: Any) -> Current:
        """The value to make current in the call with this servicer context."""
        metadata = context.invocation_metadata()
        try:
            if not self._is_ready:
                self._policy = self._rules.policy_of(self._method)
                self._is_ready = True
            policy = self._policy
            if policy is None:
                self._rules.begin(None, context)
                return None
            ref = self._rules.reference(context, metadata)
        except RejectedError as rejected:
            return _rejected(context, rejected)
        self._rules.begin(ref, context)
        if ref is None and policy.no_reference is Fallback.PROCEED:
            COUNTS.fallbacks[PROCEEDS] += 1
            return None
        if policy.lazy:
            return self._deferred(policy, ref, context, metadata)
        if ref is not None:
            entry = self._source.peek(ref)
            if entry is not None:
                return entry
            rider = rider_in(metadata)
            entry = self._source.ride(ref, rider) if rider else None
            if entry is not None:
                return entry
        call = Call(self._method, context, metadata, deadline_of(context))
        return self._resolved(policy, ref, call)

    def _deferred(
        self, policy: Policy, ref: ContextRef | None, context: Any, metadata: Pairs | None
    ) -> BlockingDeferred:
        rider = rider_in(metadata) if ref else None
        call = Call(self._method, context, metadata, deadline_of(context), rider)
        context.add_callback(call.end)
        return BlockingDeferred(ref, lambda: self._resolved(policy, ref, call), rider)

    def _resolved(self, policy: Policy, ref: ContextRef | None, call: Call) -> Resolved:
        try:
            return resolve_with_policy(self._source, policy, ref, call)
        except RejectedError as rejected:
            if call.is_over:  # a call that has ended cannot be aborted
                raise NoContextError(rejected.refusal.text) from None
            call.context.abort(*rejected.refusal)
            raise


def _rejected(context: Any, rejected: RejectedError) -> NoReturn:
    context.abort(*rejected.refusal)
    raise rejected
