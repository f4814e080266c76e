"""`AsyncStore`: the store's RPCs over an asyncio channel, with failures as RelevoErrors."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any, TypeAlias, TypeVar

from grpc import aio
from relevo.v1 import store_pb2, store_pb2_grpc

from relevo_client._context.deadline import UNBOUNDED, Deadline
from relevo_client._context.errors import (
    AccessDeniedError,
    client_closed,
    client_forked,
    unreadable_response,
)
from relevo_client._context.functions import is_coroutine_function
from relevo_client._store.access import Access
from relevo_client._store.bearer import Entries, token_late
from relevo_client._store.channel import Balance, must_be_asyncio, options_of
from relevo_client._store.contact import Contact
from relevo_client._store.statuses import error_of_call
from relevo_client._store.streams import AsyncStream
from relevo_client._store.tls import MARGIN
from relevo_client._telemetry.calls import Call, record_current, record_sizes

AsyncToken: TypeAlias = str | Callable[[], str | Awaitable[str]]
"""A bearer token, or a function that returns one: a coroutine function, or a plain one, which
runs in a thread."""

_Response = TypeVar("_Response")


class AsyncStore:
    """A ContextStore server's RPCs, with protobuf messages. Every RPC may raise RelevoError.

    `timeout` (seconds) bounds each call, including retries; a caller's deadline can only shorten
    it. `balance` is how calls spread over the target's addresses, and `trace_keys` whether spans
    have keys of contexts.

    Give either `target` or `channel`, else it raises ValueError; a blocking channel raises
    TypeError, and `access` raises its own errors.
    """

    _is_forked = False
    """Whether this process was forked from one in which an AsyncStore was in use."""

    def __init__(
        self,
        target: str | None,
        channel: aio.Channel | None,
        access: Access,
        *,
        timeout: float,
        balance: Balance,
        trace_keys: bool,
    ) -> None:
        if (target is None) == (channel is None):
            raise ValueError("give either a target or a channel")
        must_be_asyncio(channel, "AsyncContextClient", instead="ContextClient")
        self.timeout = timeout
        self.trace_keys = trace_keys
        self.contact = Contact(target, timeout)
        """The record of whether the store answers this client."""
        self._target = target or ""
        self._options = options_of(target, balance)
        self._channel = channel
        self._tls = access.tls(target)
        self._ending: set[asyncio.Task[None]] = set()  # each ends a former channel
        self._stream: AsyncStream | None = None
        self._bearer = access.bearer(target)
        self._reading_token = asyncio.Lock()
        self._is_closed = False
        # Made now: gRPC would crash if the user had closed the channel before the first call.
        self._stub = store_pb2_grpc.ContextStoreStub(channel) if channel else None

    @property
    def is_used(self) -> bool:
        """Whether a call was made, or a channel was given."""
        return self._stub is not None

    def after_fork(self) -> None:
        """Refuse all calls from now on: the channel belongs to the parent of this process."""
        # For all stores: the thread that drives gRPC's asyncio exists in the parent only.
        AsyncStore._is_forked = True

    def refuse_calls(self) -> None:
        """Refuse all calls from now on, except `release`."""
        self._is_closed = True
        self.contact.close()

    async def close(self) -> None:
        """Refuse further calls, and close the channel if the store has made it."""
        self.refuse_calls()
        if self._target and self._channel is not None and not self._is_forked:
            for task in self._ending:
                task.cancel()
            await asyncio.gather(*self._ending, return_exceptions=True)
            await self._channel.close()
            self._channel = self._stub = self._stream = None

    async def get(
        self, request: store_pb2.GetRequest, deadline: Deadline = UNBOUNDED
    ) -> store_pb2.GetResponse:
        """Read one entry."""
        response = await self._call(self._usable_stub.Get, request, deadline)
        record_sizes([response.entry, *response.layers])
        return response

    async def batch_get(self, request: store_pb2.BatchGetRequest) -> store_pb2.BatchGetResponse:
        """Read several entries."""
        return await self._call(self._usable_stub.BatchGet, request)

    async def put(self, request: store_pb2.PutRequest) -> store_pb2.PutResponse:
        """Write an entry."""
        response = await self._call(self._usable_stub.Put, request)
        record_current(response)
        return response

    async def snapshot(
        self, request: store_pb2.SnapshotRequest, deadline: Deadline
    ) -> store_pb2.SnapshotResponse:
        """Compose an entry, and write its snapshot."""
        response = await self._call(self._usable_stub.Snapshot, request, deadline)
        record_sizes([response.entry])
        return response

    async def invalidate(
        self, request: store_pb2.InvalidateRequest
    ) -> store_pb2.InvalidateResponse:
        """Invalidate entries."""
        return await self._call(self._usable_stub.Invalidate, request)

    async def lease(self, request: store_pb2.LeaseRequest) -> store_pb2.LeaseResponse:
        """Read an entry, or take the lease to create it."""
        response = await self._call(self._usable_stub.Lease, request)
        record_current(response)
        return response

    async def release(self, request: store_pb2.ReleaseRequest, deadline: Deadline) -> None:
        """Release a lease, also while the client closes."""
        if self._stub:
            await self._call(self._stub.Release, request, deadline)

    async def watch(self) -> Any:
        """Open a Watch stream, with a fresh token. The stream raises gRPC's own errors."""
        entries = await self._read_token(Deadline.after(self.timeout), is_fresh=True)
        call = self._usable_stub.Watch(metadata=entries)
        if not self._tls.may_change:
            return call
        channel = self._channel
        self._stream = AsyncStream(call, lambda: self._is_former(channel))
        return self._stream

    @property
    def _usable_stub(self) -> "store_pb2_grpc.ContextStoreAsyncStub":
        if self._is_forked:
            raise client_forked("spawn the child, or use a ContextClient there")
        if self._is_closed:
            raise client_closed()
        if self._tls.is_due():
            self._renew()
        if self._stub is None:
            if self._channel is None:
                self._channel = self._new_channel()
            self._stub = store_pb2_grpc.ContextStoreStub(self._channel)
        return self._stub

    def _new_channel(self) -> aio.Channel:
        options, credentials = self._options, self._tls.credentials
        if credentials is None:
            return aio.insecure_channel(self._target, options)
        return aio.secure_channel(self._target, credentials, options)

    def _renew(self) -> None:
        """Move to a new channel if the files of TLS have changed."""
        if self._tls.renew() and self._channel is not None:
            former, self._channel = self._channel, self._new_channel()
            self._stub = store_pb2_grpc.ContextStoreStub(self._channel)
            # In an empty context: a caller's context must not be current in the task.
            task = asyncio.create_task(self._end(former, self._stream), context=Context())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    def _is_former(self, channel: aio.Channel | None) -> bool:
        """Whether another channel is used by now."""
        if self._tls.is_due() and not self._is_closed:
            self._renew()
        return self._channel is not channel

    async def _end(self, former: aio.Channel, stream: AsyncStream | None) -> None:
        """Close a former channel once its last call has ended: each has `timeout` seconds."""
        try:
            await asyncio.sleep(self.timeout + MARGIN)
            if stream:
                await stream.ended.wait()
        finally:
            await former.close()

    async def _call(
        self,
        method: Callable[..., Awaitable[_Response]],
        request: Any,
        deadline: Deadline = UNBOUNDED,
    ) -> _Response:
        deadline = deadline.within(self.timeout)
        is_retry = False
        while True:
            entries = self._bearer.entries()
            if entries is None:
                entries = await self._read_token(deadline)
            try:
                return await self._attempt(method, request, deadline, entries)
            except AccessDeniedError as error:
                # The store has done nothing: it refuses a token before it reads the request.
                if not self._bearer.refused(error, entries, is_retry=is_retry):
                    raise
            is_retry = True

    async def _attempt(
        self,
        method: Callable[..., Awaitable[_Response]],
        request: Any,
        deadline: Deadline,
        entries: Entries,
    ) -> _Response:
        timeout = deadline.remaining()
        attempt = self.contact.begin()
        with Call(request, has_key=self.trace_keys) as call:
            metadata = call.metadata(entries)
            try:
                response = await method(request, timeout=timeout, metadata=metadata)
            except aio.AioRpcError as error:
                call.ended(error.code().name)
                failure = error_of_call(error)
                self.contact.ended(attempt, failure, timeout)
                raise failure from None
            except aio.UsageError:
                raise client_closed() from None
            except asyncio.CancelledError:
                if _cancelled_from_outside():
                    raise
                raise client_closed() from None  # the channel ended the call
            if response is None:  # gRPC returns None for an answer that it cannot parse
                raise unreadable_response()
            call.ended("OK")
            self.contact.answered()
            return response

    async def _read_token(self, deadline: Deadline, *, is_fresh: bool = False) -> Entries:
        """Read the token, once for all calls that wait for it.

        With `is_fresh`, read it even if the last one may be used on.
        """
        try:
            async with asyncio.timeout(deadline.remaining()), self._reading_token:
                entries = self._bearer.entries()
                read = self._bearer.read
                if read is None or (entries is not None and not is_fresh):
                    return entries or ()
                try:
                    return self._bearer.renewed(await self._token(read))
                except Exception as error:  # noqa: BLE001 - the user's function, whatever it raises
                    return self._bearer.failed(error)
        except TimeoutError:
            raise token_late() from None

    async def _token(self, read: Callable[[], object]) -> object:
        if self._bearer.is_local or is_coroutine_function(read):
            token = read()
        else:
            token = await asyncio.to_thread(read)  # it may block
        return await token if inspect.isawaitable(token) else token


def _cancelled_from_outside() -> bool:
    """Whether this task itself was cancelled, and not only the call that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
