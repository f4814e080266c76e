"""A gRPC server that forwards calls to a store, with delays and lost answers."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self

import grpc
from grpc import aio

Context = aio.ServicerContext[bytes, bytes]
Behaviour = Callable[[bytes, Context], Awaitable[bytes]]


@dataclass(frozen=True)
class Call:
    """A received call: the method's name, the serialized request and the metadata."""

    method: str
    request: bytes
    metadata: tuple[tuple[str, str | bytes], ...]
    remaining: float
    """The seconds until its deadline when it arrived."""


class Relay(grpc.GenericRpcHandler):
    """Forwards unary calls to `target`, with unchanged bytes and with their token.

    Use with `async with`.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._server = aio.server()
        self._server.add_generic_rpc_handlers((self,))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        """The address that the relay listens on."""
        self.calls: list[Call] = []
        """The calls received so far, including retries."""
        self.delays: dict[str, float] = {}
        """The delay in seconds, by method, before calls are forwarded."""
        self.answers_to_lose = 0
        """The number of next answers to lose: the store executes the call, and the caller
        gets another status."""
        self.while_losing: Callable[[], Awaitable[object]] | None = None
        """A function to call between the store's execution and the loss of its answer."""
        self.lost_with = grpc.StatusCode.UNAVAILABLE
        """The status that callers get for a lost answer."""

    async def __aenter__(self) -> Self:
        self._channel = aio.insecure_channel(self._target)
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)
        await self._channel.close()

    def of(self, method: str) -> list[Call]:
        """The calls of one method received so far."""
        return [call for call in self.calls if call.method == method]

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[Any, Any]":
        """Forward every method."""
        method = handler_call_details.method
        return grpc.unary_unary_rpc_method_handler(self._passing_on(method))

    def _passing_on(self, method: str) -> Any:
        forward: aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(method)

        async def behaviour(request: bytes, context: Context) -> bytes:
            name = method.rpartition("/")[2]
            metadata = tuple((name, value) for name, value in context.invocation_metadata() or ())
            self.calls.append(Call(name, request, metadata, context.time_remaining()))
            await asyncio.sleep(self.delays.get(name, 0.0))
            token = [each for each in metadata if each[0] == "authorization"]
            try:
                answer = await forward(request, timeout=context.time_remaining(), metadata=token)
            except aio.AioRpcError as error:
                await context.abort(
                    error.code(), error.details() or "", tuple(error.trailing_metadata())
                )
            if self.answers_to_lose:
                self.answers_to_lose -= 1
                if self.while_losing:
                    await self.while_losing()
                await context.abort(self.lost_with, "the answer is lost")
            return answer

        return behaviour
