"""What a handler of the tests does with its call, and what it sees meanwhile."""

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum
from typing import Any, NamedTuple

from grpc import StatusCode
from relevo_client import current_context, current_ref

ITEMS = 3
"""How many messages a stream has, either way."""

NOBODY = "nobody without a reference"
"""What is seen where no context is current."""

TRAILING = ("x-why", "deleted")
"""Metadata that comes with an error status."""


class Ending(Enum):
    """How a call ends."""

    SUCCESS = "success"
    SET_CODE = "an error status"
    ABORT = "abort"
    ABORT_WITH_STATUS = "abort with a status"
    EXCEPTION = "exception"
    CANCEL = "the client cancels"
    CANCEL_AMID_ITEMS = "the client cancels amid the items"
    DEADLINE = "deadline"
    STOP = "the server stops"

    @property
    def is_outside(self) -> bool:
        """Whether the handler waits for an end that comes from outside."""
        return self in (Ending.CANCEL, Ending.DEADLINE, Ending.STOP)


class _Status(NamedTuple):
    code: StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str], ...]


_STATUS = _Status(StatusCode.NOT_FOUND, "no such document", (TRAILING,))


class Scene:
    """A handler's part in one call. Its threads and tasks may use it, and the test's."""

    def __init__(self, ending: Ending = Ending.SUCCESS) -> None:
        self.ending = ending
        self.seen: list[str] = []
        """What was current, each time that the handler looked."""
        self.context: Any = None
        """gRPC's servicer context, as the handler got it."""
        self.is_over = threading.Event()
        """The handler has ended, its `finally` too."""
        self._free = threading.Event()

    def see(self) -> bytes:
        """Look at what is current. What it was is also the next message's content."""
        context, ref = current_context(), current_ref()
        user = context.user_id if context else "nobody"
        self.seen.append(f"{user} {ref}" if ref else f"{user} without a reference")
        item = self.seen[-1].encode()
        # Items that nobody reads fill the connection, so that the handler is stopped amid them.
        return item.ljust(1 << 16) if self.ending is Ending.CANCEL_AMID_ITEMS else item

    async def has_worked(self) -> bool:
        """Whether the handler has received everything, and answered what it streams."""
        return len(self.seen) > ITEMS

    @contextmanager
    def playing(self) -> Generator[None, None, None]:
        """Around the handler's body."""
        self.see()
        try:
            yield
        finally:
            self.see()
            self.is_over.set()

    def end(self, context: Any) -> None:
        """End as the ending says, in a thread."""
        self.context = context
        if self.ending is Ending.ABORT:
            # An asyncio server sends a thread's abort past the items that it has not sent yet.
            self._free.wait()
            context.set_trailing_metadata((TRAILING,))
            context.abort(StatusCode.NOT_FOUND, "no such document")
        elif self.ending is Ending.ABORT_WITH_STATUS:
            context.abort_with_status(_STATUS)
        elif self.ending.is_outside:
            self._free.wait()
        else:
            self._end_in_place(context)

    async def end_async(self, context: Any) -> None:
        """End as the ending says, in a task."""
        self.context = context
        if self.ending is Ending.ABORT:
            await context.abort(StatusCode.NOT_FOUND, "no such document", (TRAILING,))
        elif self.ending is Ending.ABORT_WITH_STATUS:
            await context.abort_with_status(_STATUS)
        elif self.ending.is_outside:
            await asyncio.Event().wait()
        else:
            self._end_in_place(context)

    def let_go(self) -> None:
        """Let a handler go on that waits in a thread."""
        self._free.set()

    def _end_in_place(self, context: Any) -> None:
        if self.ending is Ending.SET_CODE:
            context.set_code(StatusCode.NOT_FOUND)
            context.set_details("no such document")
            context.set_trailing_metadata((TRAILING,))
        elif self.ending is Ending.EXCEPTION:
            raise RuntimeError("a defect")
