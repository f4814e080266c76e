"""Wrapped channels whose calls carry the current reference.

They do the same as the client interceptors at a lower cost: gRPC adds a task and a call object
to each call of a channel with interceptors. A wrapped channel only adds to the metadata, and
the caller gets gRPC's own call object.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Self

import grpc
from grpc import aio

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


class _Calls:
    """A method of a blocking channel: calls `inner` with the reference in the metadata."""

    def __init__(self, inner: Any, rules: Outbound) -> None:
        self._inner = inner
        self._carrying = rules.carrying

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._call(self._inner, args, options)

    def with_call(self, *args: Any, **options: Any) -> Any:
        return self._call(self._inner.with_call, args, options)

    def future(self, *args: Any, **options: Any) -> Any:
        return self._call(self._inner.future, args, options)

    def _call(self, inner: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if len(args) > 2:  # request, timeout, metadata: by position or by name
            request, timeout, metadata, *rest = args
            return inner(request, timeout, self._carrying(metadata), *rest, **options)
        options["metadata"] = self._carrying(options.get("metadata"))
        return inner(*args, **options)


class _AioCalls:
    """A method of an asyncio channel: calls `inner` with the reference in the metadata."""

    def __init__(self, inner: Any, rules: Outbound) -> None:
        self._inner = inner
        self._carrying = rules.carrying

    def __call__(self, *request: Any, metadata: Any = None, **options: Any) -> Any:
        return self._inner(*request, metadata=self._carrying(metadata, _Entries), **options)


class _Entries(aio.Metadata):
    """The metadata of a call that has a reference and no other entries.

    gRPC only iterates over it, which takes measurably longer over Metadata's dict of lists. That
    dict is built on the first use of anything else, as by an interceptor of the channel.
    """

    def __init__(self, entries: Sequence[tuple[str, str]]) -> None:
        self._entries: Sequence[tuple[str, str]] | None = entries

    def __getattr__(self, name: str) -> Any:
        """Build Metadata's own attributes on the first access to one of them."""
        entries = self.__dict__.get("_entries")
        if entries is None:
            raise AttributeError(name)
        self._entries = None
        super().__init__(*entries)
        return getattr(self, name)

    def __len__(self) -> int:
        return super().__len__() if self._entries is None else len(self._entries)

    def __iter__(self) -> Iterator[Any]:
        return super().__iter__() if self._entries is None else iter(self._entries)


class _Methods:
    """The methods of a wrapped channel of either kind, with calls of its kind on `inner`."""

    _calls: type[_Calls | _AioCalls]

    def __init__(self, inner: Any, rules: Outbound) -> None:
        self._inner = inner
        self._rules = rules

    def unary_unary(self, method: str, *args: Any, **options: Any) -> Any:
        return self._open(method, self._inner.unary_unary(method, *args, **options))

    def unary_stream(self, method: str, *args: Any, **options: Any) -> Any:
        return self._open(method, self._inner.unary_stream(method, *args, **options))

    def stream_unary(self, method: str, *args: Any, **options: Any) -> Any:
        return self._open(method, self._inner.stream_unary(method, *args, **options))

    def stream_stream(self, method: str, *args: Any, **options: Any) -> Any:
        return self._open(method, self._inner.stream_stream(method, *args, **options))

    def _open(self, method: str, inner: Any) -> Any:
        return self._calls(inner, self._rules) if self._rules.concerns(method) else inner


class _Channel(_Methods, grpc.Channel):
    _calls = _Calls

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
    _calls = _AioCalls

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
