"""What the answers to all calls have in common: who may call, until when, and what failures say."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from time import monotonic
from typing import Any, NoReturn, TypeVar

from google.protobuf.message import Message
from grpc import StatusCode, aio

from relevo_server import errors
from relevo_server.deadline import set_remaining
from relevo_server.errors import Reason, StoreError
from relevo_server.event_log.pace import Pace
from relevo_server.logs import log, where
from relevo_server.service.access import Access, Caller
from relevo_server.wire.statuses import status_of

STATUS_DETAILS = "grpc-status-details-bin"
"""Where gRPC carries google.rpc.Status:
https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md"""
PUSHBACK = "grpc-retry-pushback-ms"
"""Where gRPC's clients are told when a call may be repeated:
https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback"""
_SOON = 0.1
"""Seconds, if that is not much of the call's time. A store that fails so soon may have lost a
connection: the next call opens another."""
_AMPLE = 1.0
"""Seconds in which a client can repeat a call twice, after pauses of its own choice."""

Context = aio.ServicerContext[Any, Any]
Request = TypeVar("Request")
Work = Callable[[Request], Coroutine[Any, Any, Message | bytes] | bytes]
Read = Callable[[bytes, Caller], Request]
Method = Callable[[bytes, Context], Coroutine[Any, Any, bytes]]


class Calls:
    """The calls that are being answered. `limit` is how many may be at once."""

    def __init__(self, access: Access, pace: Pace, limit: int) -> None:
        self._access = access
        self._pace = pace
        self._limit = limit
        self._working = 0
        self._stopping = False
        self._refused = asyncio.Event()

    def admit(self, context: Context) -> Caller:
        """Who calls. Raises where the call is not to be answered."""
        if self._stopping:
            self._refused.set()
            raise errors.stopping()
        self._pace.called(monotonic())
        if self._working >= self._limit:
            raise errors.too_many_requests(self._limit)
        return self._access.caller(context.invocation_metadata)

    def answered(self, work: Work[Request], read: Read[Request]) -> Method:
        """Makes what answers a request a method that gRPC can call, with bytes for bytes.

        `read` makes a checked request of bytes, once the caller is known, or raises StoreError.

        Bytes are an answer that did not have to wait: it neither counts as a call that is being
        answered, nor needs to know until when. A method is one coroutine of a plain function,
        whatever it does: where answers come from memory, one more coroutine is felt, and so is
        that gRPC looks at what it calls each time, which takes longer for a bound method.
        """

        async def method(serialized: bytes, context: Context) -> bytes:
            begun = None
            try:
                caller = self.admit(context)
                answer = work(read(serialized, caller))
                if isinstance(answer, bytes):
                    return answer
                begun = monotonic()
                remaining = context.time_remaining()
                if remaining is not None:  # pyright: ignore[reportUnnecessaryComparison]
                    set_remaining(remaining)
                self._working += 1
                try:
                    made = await answer
                    return made if isinstance(made, bytes) else made.SerializeToString()
                finally:
                    self._working -= 1
            except Exception as error:  # noqa: BLE001 - typed for the caller
                failure = error
            spent = 0.0 if begun is None else monotonic() - begun
            return await fail(context, failure, work.__name__, spent)

        return method

    async def refuse(self, *, quiet: float, within: float) -> None:
        """Admit no calls from now on.

        Returns when none has come for `quiet` seconds, after `within` at the latest.
        """
        self._stopping = True
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while await self._arrives(quiet):
                    pass

    async def _arrives(self, within: float) -> bool:
        self._refused.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                return await self._refused.wait()
        return False


async def fail(context: Context, error: Exception, method: str, spent: float = 0.0) -> NoReturn:
    """End a call with what the caller is told. What nobody foresaw is a defect, and logged.

    `spent` is how many seconds the store had for it.
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
    await context.abort(error.code, error.message, tuple(trailers))


def pushback_ms(error: StoreError, spent: float, left: float | None) -> int | None:
    """After how many milliseconds a client may repeat a call; -1 for never, None as it likes.

    All attempts of a call share its time. So one that the store has used up is the last; and
    if little is left, two more have to begin soon, or the call would end without an answer.
    """
    if error.code is not StatusCode.UNAVAILABLE:
        return None
    soon = _SOON if left is None else min(_SOON, (spent + left) / 8)
    if error.reason is Reason.STORE_UNAVAILABLE and spent > soon:
        return -1
    if left is None or left > _AMPLE:
        return None
    return max(1, round(left * 1000 / 8))  # grpcio never repeats a call after 0 ms
