"""Handlers of every shape that ask for what their call may not have, and how the calls end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from grpc import aio

from support.clients.callers import Outcome, calling
from support.servers.hosting import StoreClients, hosted
from support.servers.shapes import Behaviour, Shape

Ask = Callable[[], object]


class Asking:
    """A handler of each shape that requires the context, at once or after some answers."""

    def __init__(self, shape: Shape, ask: Ask, *, after: int) -> None:
        self._ask = ask
        self._after = after
        self.behaviour: Behaviour = getattr(self, f"_{shape.make.__name__}")

    def _function(self, _: Any, __: Any) -> bytes:
        self._ask()
        return b""

    def _generator(self, _: Any, __: Any) -> Iterator[bytes]:
        yield from [b"item"] * self._after
        self._ask()

    def _iterator(self, request: Any, context: Any) -> Iterator[bytes]:
        if not self._after:
            self._ask()
        return map(bytes, self._generator(request, context))

    async def _coroutine(self, _: Any, __: Any) -> bytes:
        await asyncio.sleep(0)
        self._ask()
        return b""

    async def _reading_coroutine(self, _: Any, context: Any) -> bytes:
        while await context.read() is not aio.EOF:
            pass
        self._ask()
        return b""

    async def _async_generator(self, _: Any, __: Any) -> AsyncIterator[bytes]:
        for _ in range(self._after):
            yield b"item"
        self._ask()

    async def _writing_coroutine(self, _: Any, context: Any) -> None:
        for _ in range(self._after):
            await context.write(b"item")
        self._ask()

    _reading_and_writing_coroutine = _writing_coroutine


async def outcome_of(
    shape: Shape, behaviour: Behaviour, clients: StoreClients, *metadata: Any, **rules: Any
) -> Outcome:
    """The status of a call of this handler."""
    methods = {"Do": (shape.arity, behaviour)}
    interceptor = clients.interceptor(shape.server, trust_callers=True, **rules)
    async with (
        hosted(shape.server, methods, interceptors=[interceptor]) as host,
        calling("blocking", host.address, interceptors=()) as caller,
    ):
        call = caller.begin(shape.arity, metadata=metadata, timeout=20)
        return await caller.outcome(shape.arity, call)


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """All log records at WARNING and above."""
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
