"""Resolves the context of a request, or begins its conversation."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from relevo_client._client.aio import AsyncContextClient
from relevo_client._client.aio_creation import AsyncFactory
from relevo_client._context.deadline import Deadline
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import (
    RETRY_DELAY,
    InvalidFieldError,
    NotFoundError,
    RelevoError,
    UnavailableError,
    cannot_answer_now,
)
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.model import ExecutionContext
from relevo_client._context.reasons import Reason
from relevo_client._context.resolved import Resolved
from relevo_client._propagation.aio_resolution import AsyncClientSource, aio_apply_fallback
from relevo_client._propagation.callbacks import failure
from relevo_client._propagation.fallbacks import CASES, Policy
from relevo_client._propagation.incoming import Call
from relevo_client._propagation.refusals import RejectedError
from relevo_client._telemetry.spans import describe
from relevo_client.asgi._answers import (
    OTHER_AGENT,
    OTHER_USER,
    USER_REQUIRED,
    AnsweredError,
    rejected,
)
from relevo_client.asgi._overrides import RequestedOverrides

Begin: TypeAlias = Callable[[ExecutionContext], Awaitable[ExecutionContext]]
"""A user's function that returns the context of a new conversation for its identity."""

# Not the tenant: it is part of the key, and the store refuses an entry with another one.
_CONTRADICTIONS = ("user_id", OTHER_USER), ("agent_id", OTHER_AGENT)


@dataclass(frozen=True)
class RequestedContext:
    """The context that a request names, and its changes to it."""

    ref: ContextRef | None
    """The context's reference; None if the request names none."""
    identity: ExecutionContext
    """The identity in the request's headers."""
    overrides: RequestedOverrides
    """The changes to the conversation's entry."""
    may_begin: bool
    """Whether the request may begin a conversation that does not exist."""
    rider: bytes | None = field(default=None, repr=False)
    """The rider of a trusted caller's reference."""
    must_name_user: bool = False
    """Whether the request must name the conversation's user, if that has one."""


class Finder:
    """Finds the contexts of requests by the rules of one middleware."""

    def __init__(
        self,
        contexts: AsyncContextClient,
        begin: Begin | None,
        policy: Policy,
        *,
        turns: bool,
        trusts_callers: bool,
    ) -> None:
        self._contexts = contexts
        self._turns = turns
        self._source = AsyncClientSource(contexts, trusts_callers=trusts_callers)
        self._begin = begin
        self._policy = policy
        self._makes_contexts = any(callable(getattr(policy, case)) for case in CASES)

    async def find(self, requested: RequestedContext, call: Call) -> Resolved:
        """The context to make current in a request. Raises AnsweredError."""
        error: RelevoError | None = None
        try:
            if requested.ref is not None:
                try:
                    return await self._find_in_time(requested, requested.ref, call)
                except RelevoError as caught:
                    error = caught
            lost = call.lost_context(requested.ref, error)
            resolved = await aio_apply_fallback(self._source, self._policy, call, lost)
        except RejectedError as ended:
            raise rejected(ended.refusal, ended.error) from None
        if resolved:
            _must_not_contradict(requested, resolved.context)
        if self._turns and isinstance(resolved, ContextEntry):
            # Services that are called may know nothing but snapshots: this one travels with calls.
            return await self._contexts.turn_entry(resolved)
        return resolved

    async def _find_in_time(
        self, requested: RequestedContext, ref: ContextRef, call: Call
    ) -> ContextEntry:
        # A policy's function needs time, too.
        deadline = call.deadline.half() if self._makes_contexts else call.deadline
        try:
            # For `begin` and `update`, which take no timeout.
            async with asyncio.timeout(deadline.remaining()):
                entry = await self._resolve_or_begin(requested, ref, deadline)
        except TimeoutError:
            raise UnavailableError(
                "not in time", reason=Reason.DEADLINE_EXCEEDED, retry_after=RETRY_DELAY
            ) from None
        describe(entry, self._contexts)
        return entry

    async def _resolve_or_begin(
        self, requested: RequestedContext, ref: ContextRef, deadline: Deadline
    ) -> ContextEntry:
        rider = requested.rider
        rode = (self._source.peek(ref) or self._source.ride(ref, rider)) if rider else None
        begin = self._begin if requested.may_begin else None
        entry = rode or await self._found_or_begun(begin, ref, requested.identity, deadline)
        # A request with another identity changes nothing.
        _must_not_contradict(requested, entry.context)
        changes = requested.overrides.changes(entry.context)
        if not changes:
            return entry
        changed = await self._contexts.update(ref.key, changes)
        return await self._found(changed, deadline)

    async def _found_or_begun(
        self, begin: Begin | None, ref: ContextRef, identity: ExecutionContext, deadline: Deadline
    ) -> ContextEntry:
        if begin is None:
            return await self._found(ref, deadline)

        async def make(_: ContextKey) -> ExecutionContext:
            try:
                return _context(await begin(identity))
            except Exception as error:
                if isinstance(error, NotFoundError) or cannot_answer_now(error):
                    raise  # from a call of the store in `begin`
                raise failure(begin, error) from None

        try:
            return await self._found(ref, deadline, make)
        except InvalidFieldError as error:  # the store refuses the context of `begin`
            raise failure(begin, error) from None

    async def _found(
        self, ref: ContextRef, deadline: Deadline, begin: AsyncFactory | None = None
    ) -> ContextEntry:
        """The entry of a reference, or the snapshot with which its turn begins."""
        within = deadline.remaining()
        if self._turns:
            return await self._contexts.turn_entry(ref, begin=begin, timeout=within)
        return await self._contexts.resolve(ref, begin=begin, timeout=within)


def _context(begun: object) -> ExecutionContext:
    if not isinstance(begun, ExecutionContext):
        raise TypeError(f"begin returned {type(begun).__name__}, no context")
    return begun


def _must_not_contradict(requested: RequestedContext, context: ExecutionContext) -> None:
    if requested.must_name_user and context.user_id and not requested.identity.user_id:
        raise AnsweredError(USER_REQUIRED)
    for name, answer in _CONTRADICTIONS:
        claimed, stored = getattr(requested.identity, name), getattr(context, name)
        if claimed and stored and claimed != stored:
            raise AnsweredError(answer)
