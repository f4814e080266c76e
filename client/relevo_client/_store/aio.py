"""The store's calls over asyncio: a channel, and what a failed call raises."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
from grpc import aio
from relevo.v1 import store_pb2, store_pb2_grpc

from relevo_client._context.deadline import UNBOUNDED, Deadline
from relevo_client._context.errors import client_closed, client_forked, unreadable_response
from relevo_client._store.channel import CHANNEL_OPTIONS, metadata_of, must_be_asyncio
from relevo_client._store.contact import Contact
from relevo_client._store.statuses import error_of_call

_Response = TypeVar("_Response")


class AsyncStore:
    """A ContextStore, asked by messages. Every method raises RelevoError.

    `timeout` (seconds) is what a call may take, repetitions included. A caller's own
    deadline can only shorten that.
    """

    _is_forked = False
    """Whether this process was forked from one where such a store was in use."""

    def __init__(
        self,
        target: str | None,
        channel: aio.Channel | None,
        credentials: grpc.ChannelCredentials | None,
        *,
        token: str | None,
        timeout: float,
    ) -> None:
        if (target is None) == (channel is None):
            raise ValueError("give either a target or a channel")
        must_be_asyncio(channel, "AsyncContextClient", instead="ContextClient")
        self.timeout = timeout
        self.contact = Contact(target, timeout)
        """Whether the store answers, as this client knows it."""
        self._target = target or ""
        self._channel = channel
        self._credentials = credentials
        self._metadata = metadata_of(token)
        self._is_closed = False
        # Made now: on a channel that is closed by then, gRPC would crash.
        self._stub = store_pb2_grpc.ContextStoreStub(channel) if channel else None

    @property
    def is_used(self) -> bool:
        """Whether there has been a call, or a channel."""
        return self._stub is not None

    def after_fork(self) -> None:
        """Say so from now on: this is a child process, and the channel is its parent's."""
        # The thread that moves all of gRPC's asyncio was the parent's.
        AsyncStore._is_forked = True

    def refuse_calls(self) -> None:
        """Take no calls any more, but `release`."""
        self._is_closed = True
        self.contact.close()

    async def close(self) -> None:
        """Close the channel, where it is the store's own."""
        self.refuse_calls()
        if self._target and self._channel is not None and not self._is_forked:
            await self._channel.close()
            self._channel = self._stub = None

    async def get(
        self, request: store_pb2.GetRequest, deadline: Deadline = UNBOUNDED
    ) -> store_pb2.GetResponse:
        """One entry."""
        return await self._call(self._open.Get, request, deadline)

    async def batch_get(self, request: store_pb2.BatchGetRequest) -> store_pb2.BatchGetResponse:
        """Several entries."""
        return await self._call(self._open.BatchGet, request)

    async def put(self, request: store_pb2.PutRequest) -> store_pb2.PutResponse:
        """Write an entry."""
        return await self._call(self._open.Put, request)

    async def invalidate(
        self, request: store_pb2.InvalidateRequest
    ) -> store_pb2.InvalidateResponse:
        """End entries."""
        return await self._call(self._open.Invalidate, request)

    async def lease(self, request: store_pb2.LeaseRequest) -> store_pb2.LeaseResponse:
        """An entry, or the right to write it."""
        return await self._call(self._open.Lease, request)

    async def release(self, request: store_pb2.ReleaseRequest, deadline: Deadline) -> None:
        """End a lease, amid closing too."""
        if self._stub:
            await self._call(self._stub.Release, request, deadline)

    def watch(self) -> Any:
        """A stream of watching. It raises gRPC's own errors."""
        return self._open.Watch(metadata=self._metadata)

    @property
    def _open(self) -> "store_pb2_grpc.ContextStoreAsyncStub":
        if self._is_forked:
            raise client_forked("spawn the child, or use a ContextClient there")
        if self._is_closed:
            raise client_closed()
        if self._stub is None:
            if self._channel is None:
                self._channel = self._new_channel()
            self._stub = store_pb2_grpc.ContextStoreStub(self._channel)
        return self._stub

    def _new_channel(self) -> aio.Channel:
        options = CHANNEL_OPTIONS
        if self._credentials is None:
            return aio.insecure_channel(self._target, options)
        return aio.secure_channel(self._target, self._credentials, options)

    async def _call(
        self,
        method: Callable[..., Awaitable[_Response]],
        request: Any,
        deadline: Deadline = UNBOUNDED,
    ) -> _Response:
        timeout = deadline.within(self.timeout).remaining()
        attempt = self.contact.begin()
        try:
            response = await method(request, timeout=timeout, metadata=self._metadata)
        except aio.AioRpcError as error:
            failure = error_of_call(error)
            self.contact.ended(attempt, failure, timeout)
            raise failure from None
        except aio.UsageError:
            raise client_closed() from None
        except asyncio.CancelledError:
            if _cancelled_from_outside():
                raise
            raise client_closed() from None  # the channel ended the call
        if response is None:  # what gRPC returns for an answer that it cannot parse
            raise unreadable_response()
        self.contact.answered()
        return response


def _cancelled_from_outside() -> bool:
    """Whether a CancelledError that arrives in this task was meant for it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
