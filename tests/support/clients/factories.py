"""Factories of entries, for clients of either kind."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from relevo_client import ContextKey, ExecutionContext

from support.pauses import PATIENCE
from support.servers.shapes import Kind
from support.waiting import until_async

_ENDLESS = 2 * PATIENCE
"""Seconds. One load may be waited for by each attempt of a measurement that is begun again."""


class Factory:
    """A factory that counts its calls. If `waits`, each call waits for `let`.

    `make` is the context to return, an error to raise, or a function to call for a context.
    """

    def __init__(
        self,
        make: ExecutionContext | Exception | Callable[[], ExecutionContext],
        *,
        waits: bool = False,
    ) -> None:
        self.calls: list[ContextKey] = []
        self.let = threading.Event()
        if not waits:
            self.let.set()
        self._make = make

    def of(self, kind: Kind) -> Any:
        """The factory in the form for clients of a kind."""
        return self._blocking if kind == "blocking" else self._asyncio

    async def called(self, times: int = 1) -> None:
        """Wait until the factory was called this often."""
        await until_async(lambda: len(self.calls) >= times)

    def _blocking(self, key: ContextKey) -> ExecutionContext:
        self.calls.append(key)
        assert self.let.wait(_ENDLESS)
        if isinstance(self._make, Exception):
            raise self._make
        return self._make if isinstance(self._make, ExecutionContext) else self._make()

    async def _asyncio(self, key: ContextKey) -> ExecutionContext:
        return await asyncio.to_thread(self._blocking, key)
