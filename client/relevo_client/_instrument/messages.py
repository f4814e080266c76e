"""A context for each message of a queue, whose headers carry its reference.

It knows no queue: `brokers` gives it the headers of FastStream's messages.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from relevo_client._client.aio import AsyncContextClient
from relevo_client._context.current import current_ref, using_in_one_task
from relevo_client._context.deadline import UNBOUNDED
from relevo_client._context.deferred import AsyncDeferred, Current
from relevo_client._context.errors import AccessDeniedError, NoContextError, RelevoError
from relevo_client._context.fences import Fences
from relevo_client._context.keys import ContextRef
from relevo_client._context.reasons import Reason
from relevo_client._context.resolved import Resolved
from relevo_client._instrument.clients import SharedClients
from relevo_client._propagation.aio_resolution import AsyncClientSource, aio_resolve_with_policy
from relevo_client._propagation.fallbacks import Policy
from relevo_client._propagation.incoming import Call, Inbound, keys_of
from relevo_client._propagation.metadata import encode, names_a_context
from relevo_client._propagation.refusals import FORBIDDEN, MALFORMED, RejectedError
from relevo_client._telemetry.counts import COUNTS


def stamped(headers: Mapping[str, Any] | None) -> dict[str, Any]:
    """The headers of a message, with the current reference unless they have one.

    Values of the context are not among them: messages stay in queues.
    """
    own = dict(headers or {})
    ref = current_ref()
    if ref is None or names_a_context(own.items()):
        return own
    entries = encode(ref)
    COUNTS.sent += 1
    return {**own, **dict(entries)}


class Messages:
    """The rules of a process for the messages that reach it: `rules()` of a server's calls."""

    def __init__(self, clients: SharedClients, rules: Callable[[], dict[str, Any]]) -> None:
        self._clients = clients
        self._rules = rules
        self._policy: Policy
        self._inbound: Inbound | None = None
        self._client: AsyncContextClient | None = None
        self._source: AsyncClientSource
        self.is_over = False

    def end(self) -> None:
        """Messages have no context from now on."""
        self.is_over = True

    async def current(self, queue: str, headers: Mapping[str, Any], message: object) -> "Bound":
        """The context of a message, to be made current while it is handled.

        Raises RelevoError if a fallback rejects the message, or if its reference is malformed or
        not allowed.
        """
        client = self._clients.asyncio()
        if client is not self._client or self._inbound is None:
            rules = self._rules()
            self._policy = rules["policy"]
            self._inbound = Inbound(**rules, keys=keys_of(client))
            self._client = client
            self._source = AsyncClientSource(client, trusts_callers=self._inbound.trusts_callers)
        pairs = [(name.lower(), value) for name, value in headers.items() if _is_text(value)]
        call = Call(queue, None, pairs, UNBOUNDED)
        try:
            ref = self._inbound.reference(message, pairs)
            if self._policy.lazy:
                deferred = AsyncDeferred(ref, lambda: self._resolved(ref, call))
                return Bound(deferred, ref)
            # Nothing that was current when the broker began is current in the resolution.
            with Bound(None, ref).current():
                return Bound(await self._resolved(ref, call), ref)
        except RejectedError as rejected:
            raise _cause_of(rejected) from None

    async def _resolved(self, ref: ContextRef | None, call: Call) -> Resolved:
        try:
            return await aio_resolve_with_policy(self._source, self._policy, ref, call)
        except RejectedError as rejected:
            raise _cause_of(rejected) from None


class Bound:
    """A context and the reference that it was found by."""

    def __init__(self, context: Current, ref: ContextRef | None) -> None:
        self.ref = ref
        """The reference; None if the message has none that counts."""
        self._context = context
        self._fences = Fences(ref)

    @contextmanager
    def current(self) -> Generator[None]:
        """Make the context current within a `with` block, and no other one."""
        with using_in_one_task(self._context, self._fences):
            yield


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _cause_of(rejected: RejectedError) -> RelevoError:
    if rejected.error is not None:
        return rejected.error
    if rejected.refusal is FORBIDDEN:
        return AccessDeniedError(FORBIDDEN.text, reason=Reason.FORBIDDEN)
    if rejected.refusal is MALFORMED:
        return RelevoError(MALFORMED.text, reason=Reason.INVALID_FIELD)
    return NoContextError("the message names no context")
