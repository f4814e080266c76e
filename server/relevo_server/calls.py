"""What the answers to all calls have in common: who may call, until when, and what failures say."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

from google.protobuf.message import Message
from grpc import aio

from relevo_server import errors
from relevo_server.access import Access, Caller
from relevo_server.deadline import set_until
from relevo_server.errors import StoreError
from relevo_server.logs import log, where

STATUS_DETAILS = "grpc-status-details-bin"
"""Where gRPC carries google.rpc.Status:
https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md"""
_BUDGET = 0.5
"""The part of a call's time after which it is answered UNAVAILABLE: the answer has to
arrive in time, however many calls end at once."""
WAITING_BUDGET = 0.9
"""The same for calls whose work it is to wait."""

Context = aio.ServicerContext[Any, Any]
Request = TypeVar("Request")
Work = Callable[[Request, Caller], Coroutine[Any, Any, Message | bytes] | bytes]
Method = Callable[[Request, Context], Coroutine[Any, Any, Message | bytes]]


class Calls:
    """The calls that are being answered. `limit` is how many may be at once."""

    def __init__(self, access: Access, limit: int) -> None:
        self._access = access
        self._limit = limit
        self._working = 0
        self._stopping = False
        self._refused = asyncio.Event()

    def admit(self, context: Context) -> Caller:
        """Who calls. Raises where the call is not to be answered."""
        if self._stopping:
            self._refused.set()
            raise errors.stopping()
        if self._working >= self._limit:
            raise errors.too_many_requests(self._limit)
        return self._access.caller(context.invocation_metadata)

    def answered(self, work: Work[Request], *, budget: float = _BUDGET) -> Method[Request]:
        """Makes what answers a caller's request a method that gRPC can call.

        Bytes are an answer that did not have to wait: it neither counts as a call that is being
        answered, nor needs to know until when. A method is one coroutine of a plain function,
        whatever it does: where answers come from memory, one more coroutine is felt, and so is
        that gRPC looks at what it calls each time, which takes longer for a bound method.
        """

        async def method(request: Request, context: Context) -> Message | bytes:
            try:
                answer = work(request, self.admit(context))
                if isinstance(answer, bytes):
                    return answer
                remaining = context.time_remaining()
                if remaining is not None:  # pyright: ignore[reportUnnecessaryComparison]
                    set_until(asyncio.get_running_loop().time() + remaining * budget)
                self._working += 1
                try:
                    return await answer
                finally:
                    self._working -= 1
            except Exception as error:  # noqa: BLE001 - typed for the caller
                failure = error
            return await fail(context, failure, work.__name__)

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


async def fail(context: Context, error: Exception, method: str) -> NoReturn:
    """End a call with what the caller is told. What nobody foresaw is a defect, and logged."""
    if not isinstance(error, StoreError):
        log.error("call.failed", method=method, where=where(error))
        error = errors.internal()
    details = error.to_message().SerializeToString()
    await context.abort(error.code, error.message, ((STATUS_DETAILS, details),))
