"""Wrapped channels whose calls carry the current reference.

They do the same as the client interceptors at a lower cost: gRPC adds a task and a call object
to each call of a channel with interceptors. A wrapped channel only adds to the metadata, and
the caller gets gRPC's own call object.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import grpc
from grpc import aio

from relevo_client._propagation.aio_metadata import extended
from relevo_client._propagation.listening import Listener, aio_listen, listen
from relevo_client._propagation.outgoing import Outbound
from relevo_client._store.channel import must_be_asyncio, must_be_blocking
from relevo_client.filters import INFRASTRUCTURE, MethodFilter


def context_channel(
    channel: grpc.Channel,
    *,
    exempt: MethodFilter = INFRASTRUCTURE,
    target: str | None = None,
    allow: Sequence[str] | None = None,
) -> grpc.Channel:
    """Wrap a blocking channel so that its calls carry the current reference.

    Arguments, errors and rules are those of `client_interceptors`. Closing the wrapper closes
    `channel`. Raises TypeError for an asyncio channel.
    """
    must_be_blocking(channel, "context_channel", instead="aio_context_channel")
    return _Channel(channel, Outbound(exempt=exempt, target=target, allow=allow))


def aio_context_channel(
    channel: aio.Channel,
    *,
    exempt: MethodFilter = INFRASTRUCTURE,
    target: str | None = None,
    allow: Sequence[str] | None = None,
) -> aio.Channel:
    """Wrap an asyncio channel so that its calls carry the current reference.

    Arguments, errors and rules are those of `aio_client_interceptors`. Closing the wrapper
    closes `channel`. Raises TypeError for a blocking channel.
    """
    must_be_asyncio(channel, "aio_context_channel", instead="context_channel")
    return _AioChannel(channel, Outbound(exempt=exempt, target=target, allow=allow))


class Calls:
    """A method of a blocking channel that returns a call: its answers are a stream."""

    def __init__(self, inner: Any, rules: Outbound) -> None:
        self.inner = inner
        """gRPC's own object."""
        self._rules = rules

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._begin(self.inner, args, options)

    def _begin(self, inner: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        args, listener = self._carrying(args, options)
        call = inner(*args, **options)
        if listener:
            listen(call, listener)
        return call

    def _carrying(
        self, args: tuple[Any, ...], options: dict[str, Any]
    ) -> tuple[tuple[Any, ...], Listener | None]:
        """Put the reference into a call's arguments; returns `args`, and the call's listener."""
        # The arguments are request, timeout, metadata, ..., by position or by name.
        metadata = args[2] if len(args) > 2 else options.get("metadata")
        added = self._rules.added(metadata)
        if added:
            metadata = (*metadata, *added) if metadata else added
            if len(args) > 2:
                args = (*args[:2], metadata, *args[3:])
            else:
                options["metadata"] = metadata
        return args, self._rules.listener(metadata)


class UnaryCalls(Calls):
    """A method of a blocking channel with one answer, which it returns."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        args, listener = self._carrying(args, options)
        if listener is None:
            return self.inner(*args, **options)
        response, _ = _listened(self.inner.with_call, args, options, listener)
        return response

    def with_call(self, *args: Any, **options: Any) -> Any:
        args, listener = self._carrying(args, options)
        if listener is None:
            return self.inner.with_call(*args, **options)
        return _listened(self.inner.with_call, args, options, listener)

    def future(self, *args: Any, **options: Any) -> Any:
        return self._begin(self.inner.future, args, options)


def _listened(
    with_call: Any, args: tuple[Any, ...], options: dict[str, Any], listener: Listener
) -> tuple[Any, Any]:
    """The answer and the call of `with_call`, which the listener has heard, failed or not."""
    try:
        response, call = with_call(*args, **options)
    except grpc.RpcError as failed:
        listen(failed, listener)
        raise
    listen(call, listener)
    return response, call


class AioCalls:
    """A method of an asyncio channel: calls `inner` with the reference in the metadata."""

    def __init__(self, inner: Any, rules: Outbound) -> None:
        self.inner = inner
        """gRPC's own object."""
        self._added = rules.added
        self._listener = rules.listener

    def __call__(self, *request: Any, metadata: Any = None, **options: Any) -> Any:
        added = self._added(metadata)
        if added:
            metadata = extended(metadata, added)
        call = self.inner(*request, metadata=metadata, **options)
        listener = self._listener(metadata)
        if listener:
            aio_listen(call, listener)
        return call


CALLS: Mapping[str, type[Calls]] = {
    "unary_unary": UnaryCalls,
    "unary_stream": Calls,
    "stream_unary": UnaryCalls,
    "stream_stream": Calls,
}
"""The kind of a blocking channel's calls, by the method of the channel that opens them."""


class _Methods:
    """The methods of a wrapped channel of either kind, with calls of its kind on `inner`."""

    _unary_calls: type[UnaryCalls | AioCalls]
    _calls: type[Calls | AioCalls]

    def __init__(self, inner: Any, rules: Outbound) -> None:
        self._inner = inner
        self._rules = rules

    def unary_unary(self, method: str, *args: Any, **options: Any) -> Any:
        return self._open(self._unary_calls, self._inner.unary_unary, method, args, options)

    def unary_stream(self, method: str, *args: Any, **options: Any) -> Any:
        return self._open(self._calls, self._inner.unary_stream, method, args, options)

    def stream_unary(self, method: str, *args: Any, **options: Any) -> Any:
        return self._open(self._unary_calls, self._inner.stream_unary, method, args, options)

    def stream_stream(self, method: str, *args: Any, **options: Any) -> Any:
        return self._open(self._calls, self._inner.stream_stream, method, args, options)

    def _open(
        self, kind: Any, inner: Any, method: str, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        opened = inner(method, *args, **options)
        if isinstance(opened, (Calls, AioCalls)):
            opened = opened.inner  # of a channel that is wrapped itself: these rules count
        return kind(opened, self._rules) if self._rules.concerns(method) else opened


class _Channel(_Methods, grpc.Channel):
    _unary_calls, _calls = UnaryCalls, Calls

    def subscribe(self, callback: Any, try_to_connect: bool = False) -> None:
        self._inner.subscribe(callback, try_to_connect=try_to_connect)

    def unsubscribe(self, callback: Any) -> None:
        self._inner.unsubscribe(callback)

    def close(self) -> None:
        self._inner.close()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(self, *raised: object) -> Any:
        return self._inner.__exit__(*raised)


class _AioChannel(_Methods, aio.Channel):
    _unary_calls = _calls = AioCalls

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        state: grpc.ChannelConnectivity = self._inner.get_state(try_to_connect)
        return state

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._inner.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        await self._inner.close(grace)

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *raised: object) -> Any:
        return await self._inner.__aexit__(*raised)
