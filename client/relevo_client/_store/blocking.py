"""`Store`: the store's RPCs over a blocking channel, with failures as RelevoErrors."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import Context
from typing import Any, NamedTuple, Self, TypeAlias, TypeVar

import grpc
from relevo.v1 import store_pb2, store_pb2_grpc

from relevo_client._context.deadline import UNBOUNDED, Deadline
from relevo_client._context.errors import AccessDeniedError, client_closed, client_forked
from relevo_client._context.functions import is_coroutine_function
from relevo_client._context.reasons import Reason
from relevo_client._store.access import Access
from relevo_client._store.bearer import Entries, token_late
from relevo_client._store.channel import Balance, must_be_blocking, options_of
from relevo_client._store.contact import Contact
from relevo_client._store.statuses import error_of_call, status_of
from relevo_client._store.streams import Stream
from relevo_client._store.tls import MARGIN
from relevo_client._telemetry.calls import Call, record_current, record_sizes

Token: TypeAlias = str | Callable[[], str]
"""A bearer token, or a plain function that returns one."""

_Response = TypeVar("_Response")


class Store:
    """`AsyncStore` with blocking calls, for any number of threads."""

    def __init__(
        self,
        target: str | None,
        channel: grpc.Channel | None,
        access: Access,
        *,
        timeout: float,
        balance: Balance,
        trace_keys: bool,
    ) -> None:
        if (target is None) == (channel is None):
            raise ValueError("give either a target or a channel")
        must_be_blocking(channel, "ContextClient", instead="AsyncContextClient")
        if is_coroutine_function(access.token):
            raise TypeError("token must be a plain function: nothing is awaited in threads")
        self._tls = access.tls(target)
        self._bearer = access.bearer(target)
        self._reading_token = threading.Lock()
        self.timeout = timeout
        self.trace_keys = trace_keys
        self.contact = Contact(target, timeout)
        """The record of whether the store answers this client."""
        self._own_channel = channel is None
        self._target = str(target)
        self._options = list(options_of(target, balance))
        given: Any = channel and _UnregisteredChannel(channel)
        self._connection = _Connection.on(channel or self._new_channel(), given)
        self._is_closed = self._is_forked = False
        self._renewing = threading.Lock()
        self._closing = threading.Event()
        self._ending: list[threading.Thread] = []  # each ends a former channel
        self._stream: Stream | None = None

    @property
    def is_used(self) -> bool:
        """True: a channel exists from the beginning."""
        return True

    def after_fork(self) -> None:
        """Refuse all calls from now on: the channel belongs to the parent of this process."""
        self._is_forked = True

    def refuse_calls(self) -> None:
        """Refuse all calls from now on."""
        self._is_closed = True
        self.contact.close()

    def close(self) -> None:
        """Refuse further calls. If the store has made the channel, close it and end its calls."""
        self.refuse_calls()
        if self._own_channel and not self._is_forked:
            self._closing.set()
            with self._renewing:  # no thread is added from now on
                ending = list(self._ending)
            for thread in ending:
                thread.join()
            self._connection.channel.close()

    def get(
        self, request: store_pb2.GetRequest, deadline: Deadline = UNBOUNDED
    ) -> store_pb2.GetResponse:
        """Read one entry."""
        response = self._call(self._stub.Get, request, deadline)
        record_sizes([response.entry, *response.layers])
        return response

    def batch_get(self, request: store_pb2.BatchGetRequest) -> store_pb2.BatchGetResponse:
        """Read several entries."""
        return self._call(self._stub.BatchGet, request)

    def put(self, request: store_pb2.PutRequest) -> store_pb2.PutResponse:
        """Write an entry."""
        response = self._call(self._stub.Put, request)
        record_current(response)
        return response

    def snapshot(
        self, request: store_pb2.SnapshotRequest, deadline: Deadline
    ) -> store_pb2.SnapshotResponse:
        """Compose an entry, and write its snapshot."""
        response = self._call(self._stub.Snapshot, request, deadline)
        record_sizes([response.entry])
        return response

    def invalidate(self, request: store_pb2.InvalidateRequest) -> store_pb2.InvalidateResponse:
        """Invalidate entries."""
        return self._call(self._stub.Invalidate, request)

    def lease(self, request: store_pb2.LeaseRequest) -> store_pb2.LeaseResponse:
        """Read an entry, or take the lease to create it."""
        response = self._call(self._stub.Lease, request)
        record_current(response)
        return response

    def release(self, request: store_pb2.ReleaseRequest, deadline: Deadline) -> None:
        """Release a lease."""
        self._call(self._stub.Release, request, deadline)

    def watch(self, requests: Iterator[store_pb2.WatchRequest]) -> Any:
        """Open a Watch stream with these requests, and with a fresh token.

        The stream raises gRPC's own errors.
        """
        entries = self._read_token(Deadline.after(self.timeout), is_fresh=True)
        connection = self._newest_connection()
        try:
            call = connection.stub.Watch(requests, metadata=entries)
        except ValueError:  # gRPC raises it for a call on a closed channel
            raise client_closed() from None
        if not self._tls.may_change:
            return call
        self._stream = Stream(call, lambda: self._newest_connection() is not connection)
        return self._stream

    @property
    def _stub(self) -> "store_pb2_grpc.ContextStoreStub":
        return self._newest_connection().stub

    def _newest_connection(self) -> "_Connection":
        if self._tls.is_due() and not self._is_forked:
            self._renew()
        return self._connection

    def _new_channel(self) -> grpc.Channel:
        options, credentials = self._options, self._tls.credentials
        if credentials is None:
            return grpc.insecure_channel(self._target, options)
        return grpc.secure_channel(self._target, credentials, options)

    def _renew(self) -> None:
        """Move to a new channel if the files of TLS have changed. One thread looks."""
        with self._renewing:
            if self._is_closed or not (self._tls.is_due() and self._tls.renew()):
                return
            former, self._connection = self._connection, _Connection.on(self._new_channel())
            # In an empty context: a caller's context must not be current in the thread.
            thread = threading.Thread(
                target=Context().run, args=(self._end, former.channel, self._stream), daemon=True
            )
            with suppress(RuntimeError):  # too many threads: the channel ends as garbage
                thread.start()
                self._ending = [*(each for each in self._ending if each.is_alive()), thread]

    def _end(self, former: grpc.Channel, stream: Stream | None) -> None:
        """Close a former channel once its last call has ended: each has `timeout` seconds."""
        if not self._closing.wait(self.timeout + MARGIN) and stream:
            stream.ended.wait()
        former.close()

    def _call(
        self, method: Callable[..., _Response], request: Any, deadline: Deadline = UNBOUNDED
    ) -> _Response:
        if self._is_forked:
            raise client_forked("make another one in the child")
        if self._is_closed:
            raise client_closed()
        deadline = deadline.within(self.timeout)
        is_retry = False
        while True:
            entries = self._bearer.entries()
            if entries is None:
                entries = self._read_token(deadline)
            try:
                return self._attempt(method, request, deadline, entries)
            except AccessDeniedError as error:
                # The store has done nothing: it refuses a token before it reads the request.
                if not self._bearer.refused(error, entries, is_retry=is_retry):
                    raise
            is_retry = True

    def _attempt(
        self,
        method: Callable[..., _Response],
        request: Any,
        deadline: Deadline,
        entries: Entries,
    ) -> _Response:
        timeout = deadline.remaining()
        attempt = self.contact.begin()
        with Call(request, has_key=self.trace_keys) as call:
            metadata = call.metadata(entries)
            try:
                response = method(request, timeout=timeout, metadata=metadata)
            except grpc.RpcError as error:
                failure = error_of_call(error)
                call.ended(status_of(error).name)
                if self._is_closed and failure.reason == Reason.CANCELLED:
                    failure = client_closed()  # the channel ended the call
                self.contact.ended(attempt, failure, timeout)
                raise failure from None
            except ValueError:  # gRPC raises it for a call on a closed channel
                raise client_closed() from None
            call.ended("OK")
            self.contact.answered()
            return response

    def _read_token(self, deadline: Deadline, *, is_fresh: bool = False) -> Entries:
        """Read the token, once for all calls that wait for it.

        With `is_fresh`, read it even if the last one may be used on. A function that takes longer
        than the call has time is waited for: it runs in the calling thread.
        """
        seconds = deadline.remaining()
        if not self._reading_token.acquire(timeout=-1 if seconds is None else seconds):
            raise token_late()
        try:
            entries = self._bearer.entries()
            read = self._bearer.read
            if read is None or (entries is not None and not is_fresh):
                return entries or ()
            try:
                return self._bearer.renewed(read())
            except Exception as error:  # noqa: BLE001 - the user's function, whatever it raises
                return self._bearer.failed(error)
        finally:
            self._reading_token.release()


class _Connection(NamedTuple):
    """A channel and its stub."""

    channel: grpc.Channel
    stub: "store_pb2_grpc.ContextStoreStub"

    @classmethod
    def on(cls, channel: grpc.Channel, given: Any = None) -> Self:
        """The connection on a channel. Its stub uses `given` if there is one."""
        return cls(channel, store_pb2_grpc.ContextStoreStub(given or channel))


class _UnregisteredChannel:
    """A user's channel for a stub, without gRPC's registered methods.

    gRPC would look these up in the channel's memory after it was freed, and crash.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def unary_unary(self, method: str, *args: Any, **options: Any) -> Any:
        return self._channel.unary_unary(method, *args, **{**options, "_registered_method": False})

    def stream_stream(self, method: str, *args: Any, **options: Any) -> Any:
        return self._channel.stream_stream(
            method, *args, **{**options, "_registered_method": False}
        )
