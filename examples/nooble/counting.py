"""Counts a process's calls to the store, those for the first turns of conversations apart.

The id of a turn says whether the turn is its conversation's first. It is the correlation id of
the turn's actions and gRPC calls, and is noted before a service resolves the turn's context.
"""

import uuid
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import grpc
from faststream import BaseMiddleware
from grpc import aio
from starlette.types import ASGIApp, Receive, Scope, Send

from nooble import steps

CORRELATION = "x-correlation-id"
"""The metadata of gRPC calls that has the turn's id."""
_FIRST = "first-"
_is_first: ContextVar[bool] = ContextVar("is_first", default=False)
_beginning: set[str] = set()
"""The conversations whose first turns run in this process: a snapshot that is put in background,
in no turn's context, belongs to its conversation's."""


def turn_id(*, is_first: bool) -> str:
    """A new id for a turn."""
    return f"{_FIRST if is_first else ''}{uuid.uuid4().hex}"


@contextmanager
def counted_for(turn: str, conversation_id: str = "") -> Generator[None]:
    """Count the calls of the block, and of tasks that it starts, for the turn with this id.

    And the Puts of this conversation's contexts, if the turn begins here.
    """
    steps.arrive(turn, conversation_id)
    is_first = turn.startswith(_FIRST)
    token = _is_first.set(is_first)
    if is_first and conversation_id:
        _beginning.add(conversation_id)
    try:
        yield
    finally:
        _is_first.reset(token)
        _beginning.discard(conversation_id)


class CountedChannel:
    """A gRPC channel with the numbers of unary calls that were started on it."""

    def __init__(self, channel: aio.Channel) -> None:
        self._channel = channel
        self.calls = 0
        self.first_calls = 0
        """Those that belong to the first turns of conversations."""

    def __getattr__(self, name: str) -> Any:
        """Delegate everything else to the channel."""
        return getattr(self._channel, name)

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        """Create a method whose calls are counted."""
        method = self._channel.unary_unary(*arguments, **options)

        def counted(request: Any, **options: Any) -> Any:
            self.calls += 1
            written = getattr(request, "context", None)
            self.first_calls += (
                _is_first.get() or getattr(written, "conversation_id", "") in _beginning
            )
            return method(request, **options)

        return counted

    def as_channel(self) -> aio.Channel:
        """Return this object, typed as a channel."""
        return cast("aio.Channel", self)


class CountingActions(BaseMiddleware[Any]):
    """A middleware of queues: an action's calls count for its turn."""

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
        """Handle an action."""
        with counted_for(msg.correlation_id or ""):
            return await call_next(msg)


class CountingCalls(aio.ServerInterceptor):
    """A server's interceptor, before all others: a call's calls count for its turn."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Note the turn for the rest of the call's task."""
        for name, value in handler_call_details.invocation_metadata:
            if name == CORRELATION:
                _is_first.set(str(value).startswith(_FIRST))
                steps.arrive(str(value))
        return await continuation(handler_call_details)


class CountingConnections:
    """An ASGI middleware, outside of all others: what a connection begins with counts as first."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        with counted_for(_FIRST):
            await self._app(scope, receive, send)
