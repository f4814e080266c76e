"""Admission: which calls are answered, until when, and how a failed one ends."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from time import monotonic
from typing import Any, NoReturn, TypeVar

from google.protobuf.message import Message
from grpc import StatusCode, aio

from relevo_server import errors
from relevo_server.access.access import Access
from relevo_server.access.callers import Caller
from relevo_server.access.pending import KeysPending
from relevo_server.audit import SILENT, Trail
from relevo_server.deadline import set_remaining
from relevo_server.errors import Reason, StoreError
from relevo_server.logs import log, where
from relevo_server.quotas import reserve_of
from relevo_server.service.holds import Hold
from relevo_server.service.pacing import Pacing
from relevo_server.service.shares import Shares
from relevo_server.service.unsent import LARGE, Room, Unsent
from relevo_server.wire.statuses import status_of

STATUS_DETAILS = "grpc-status-details-bin"
"""The trailer in which gRPC carries google.rpc.Status:
https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md"""
PUSHBACK = "grpc-retry-pushback-ms"
"""The trailer that tells gRPC's clients when to repeat a call:
https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback"""
_SOON = 0.1
"""Seconds. A store that fails within them, if they are little of the call's time, may only have
lost a connection: the next call opens another."""
_AMPLE = 1.0
"""Seconds in which a client can repeat a call twice, after pauses of its own choice."""

Context = aio.ServicerContext[Any, Any]
Request = TypeVar("Request")
Read = Callable[[bytes, Caller], Request]
Answer = Callable[[Request], Coroutine[Any, Any, Message | bytes] | bytes]
Method = Callable[[bytes, Context], Coroutine[Any, Any, bytes]]


class Admission:
    """Admits calls, `limit` at the same time at most.

    Invalidates have a reserve in addition: the end of an entry must get through. `unsent` bounds
    the answers that a caller has not received, and `shares` what a principal and a tenant may have
    of the calls; None for no such bounds. `trail` has the calls that are refused.
    """

    def __init__(
        self,
        access: Access,
        limit: int,
        unsent: Unsent,
        shares: Shares | None = None,
        *,
        trail: Trail = SILENT,
    ) -> None:
        self._access = access
        self._trail = trail
        self._limit = limit
        self._unsent = unsent
        self._shares = shares
        self._pacing = Pacing()
        self._in_flight = 0
        self._stopping = False
        self._refused = asyncio.Event()

    @property
    def active_calls(self) -> int:
        """The number of calls in flight."""
        return self._in_flight

    def admit(self, context: Context, reserve: int = 0) -> Caller:
        """The caller of a call.

        Raises what `require_room` does, UNAUTHENTICATED, and KeysPending.
        """
        self.require_room(reserve)
        return self._access.caller(context)

    def require_room(self, reserve: int = 0) -> None:
        """Raise UNAVAILABLE if the server is stopping, RESOURCE_EXHAUSTED if it is full.

        It is with `limit` calls in flight, and as many more as the `reserve` for this call.
        """
        if self._stopping:
            self._refused.set()
            raise errors.stopping()
        if self._in_flight >= self._limit + reserve:
            raise errors.too_many_requests(self._limit)

    def method(
        self,
        answer: Answer[Request],
        read: Read[Request],
        *,
        expected: int = 0,
        has_reserve: bool = False,
    ) -> Method:
        """A unary method for gRPC, which gets and returns bytes.

        Once the caller is admitted, `read` makes a checked request of the bytes, and `answer`
        the response. Both may raise StoreError. `expected` is the size of large responses in bytes,
        for which there has to be room before `answer` is called.

        If `answer` returns few bytes, it did not have to wait: the call does not count as one in
        flight and needs no deadline. The method is one coroutine of a plain function, because an
        answer from memory is so fast that one more coroutine is felt, and so is gRPC's inspection
        of what it calls, which takes longer for a bound method.
        """
        reserve = reserve_of(self._limit) if has_reserve else 0
        shares, unsent = self._shares, self._unsent

        async def method(serialized: bytes, context: Context) -> bytes:
            begun = hold = caller = room = None
            try:
                try:
                    caller = self.admit(context, reserve)
                except KeysPending:
                    caller = await self._access.authenticate(context)
                if shares is None:
                    request = read(serialized, caller)
                else:
                    hold = Hold(shares)
                    hold.take_principal(caller.name, len(serialized), has_reserve=has_reserve)
                    request = hold.take_tenants(read(serialized, caller))
                answered = None if expected else answer(request)
                if isinstance(answered, bytes) and len(answered) < LARGE:
                    return answered
                room = Room(unsent, caller.name, context)
                self._in_flight += 1
                try:
                    if expected:
                        await room.take(expected)
                    begun = monotonic()
                    remaining = context.time_remaining()
                    if remaining is not None:  # pyright: ignore[reportUnnecessaryComparison]
                        set_remaining(remaining)
                    response = await _response(answered or answer(request))
                    if not room.has(len(response)):
                        size = len(response)
                        answered = response = b""  # it takes no memory while the call waits
                        await room.take(size)
                        response = await _response(answer(request))
                    room.hold(len(response))
                    return response
                finally:
                    self._in_flight -= 1
                    room.give_back()
            except Exception as error:  # noqa: BLE001 - typed for the caller
                failure = error
            finally:
                if hold:
                    hold.release()
            spent = 0.0 if begun is None else monotonic() - begun
            self._trail.failed(answer.__name__, name_of(caller), context.peer, failure)
            if shares:
                await self._pacing.before(failure, len(serialized), context.time_remaining())
            ending = fail(context, failure, answer.__name__, spent)
            # gRPC keeps what ends a call with the call, and its traceback keeps this frame: without
            # these, the request goes at once. It would wait for a garbage collection otherwise.
            del context, failure, room
            return await ending

        return method

    async def refuse(self, *, quiet: float, within: float) -> None:
        """Admit no calls from now on.

        Returns when none has come for `quiet` seconds, after `within` seconds at the latest.
        """
        self._stopping = True
        self._pacing.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while await self._is_refusing(quiet):
                    pass

    async def _is_refusing(self, seconds: float) -> bool:
        """Whether a call is refused within so many seconds."""
        self._refused.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._refused.wait()
        return False


async def _response(answered: Coroutine[Any, Any, Message | bytes] | bytes) -> bytes:
    """The bytes of an answer, once it is there."""
    response = answered if isinstance(answered, bytes) else await answered
    return response if isinstance(response, bytes) else response.SerializeToString()


def name_of(caller: Caller | None) -> str:
    """The principal of a caller, "" if the caller is not known."""
    return caller.name if caller else ""


async def fail(context: Context, error: Exception, method: str, spent: float = 0.0) -> NoReturn:
    """End a call with the status of an error. One that is no StoreError is a defect, and logged.

    `spent` is how many seconds the call had been in the store's hands.
    """
    if not isinstance(error, StoreError):
        log.error("call.failed", method=method, where=where(error))
        error = errors.internal()
    trailers: list[tuple[str, str | bytes]] = [
        (STATUS_DETAILS, status_of(error).SerializeToString())
    ]
    pushback = pushback_ms(error, spent, context.time_remaining())
    if pushback is not None:
        trailers.append((PUSHBACK, str(pushback)))
    ending = context.abort(error.code, error.message, tuple(trailers))
    del context, error  # as in `Admission.method`
    await ending
    raise AssertionError("gRPC ends the call with an error")


def pushback_ms(error: StoreError, spent: float, left: float | None) -> int | None:
    """The milliseconds after which a client may repeat a call; -1: never, None: as it likes.

    `spent` is how many seconds the store had for the call, `left` how many the call still has
    (None: no deadline). All attempts of a call share its time. So an attempt whose time the store
    has used up is the last one; and if little time is left, two more attempts have to begin soon,
    or the call would end without an answer.
    """
    if error.code is not StatusCode.UNAVAILABLE:
        return None
    soon = _SOON if left is None else min(_SOON, (spent + left) / 8)
    if error.reason is Reason.STORE_UNAVAILABLE and spent > soon:
        return -1
    if left is None or left > _AMPLE:
        return None
    return max(1, round(left * 1000 / 8))  # grpcio never repeats a call after 0 ms
