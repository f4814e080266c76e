"""Scenes: the behaviour of a test's handler in one call, and what it observes."""

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum
from typing import Any, NamedTuple

from grpc import StatusCode
from relevo_client import current_context, current_ref

ITEMS = 3
"""The number of messages of a stream, in either direction."""

NOBODY = "nobody without a reference"
"""The observation if no context is current."""

TRAILING = ("x-why", "deleted")
"""Trailing metadata of an error status."""


class Ending(Enum):
    """The ending of a call."""

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
        """Whether the handler waits for an end from outside."""
        return self in (Ending.CANCEL, Ending.DEADLINE, Ending.STOP)


class _Status(NamedTuple):
    code: StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str], ...]


_STATUS = _Status(StatusCode.NOT_FOUND, "no such document", (TRAILING,))


class Scene:
    """A handler's part in one call. It is safe for the threads and tasks of handler and test."""

    def __init__(self, ending: Ending = Ending.SUCCESS) -> None:
        self.ending = ending
        self.seen: list[str] = []
        """The observations of the current context by the handler."""
        self.context: Any = None
        """The servicer context that gRPC passed to the handler."""
        self.is_over = threading.Event()
        """Set once the handler, including its `finally`, has ended."""
        self._free = threading.Event()

    def see(self) -> bytes:
        """Record the current context. It is also the content of the next message."""
        context, ref = current_context(), current_ref()
        user = context.user_id if context else "nobody"
        self.seen.append(f"{user} {ref}" if ref else f"{user} without a reference")
        item = self.seen[-1].encode()
        # Unread items fill the connection, so that the handler is blocked among them.
        return item.ljust(1 << 16) if self.ending is Ending.CANCEL_AMID_ITEMS else item

    async def has_worked(self) -> bool:
        """Whether the handler has received all requests, and sent its stream."""
        return len(self.seen) > ITEMS

    @contextmanager
    def playing(self) -> Generator[None, None, None]:
        """Wrap the handler's body."""
        self.see()
        try:
            yield
        finally:
            self.see()
            self.is_over.set()

    def end(self, context: Any) -> None:
        """End the call with the scene's ending, in a thread."""
        self.context = context
        if self.ending is Ending.ABORT:
            # An asyncio server sends a thread's abort before the items that it has not sent yet.
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
        """End the call with the scene's ending, in a task."""
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
        """Resume a handler that waits in a thread."""
        self._free.set()

    def _end_in_place(self, context: Any) -> None:
        if self.ending is Ending.SET_CODE:
            context.set_code(StatusCode.NOT_FOUND)
            context.set_details("no such document")
            context.set_trailing_metadata((TRAILING,))
        elif self.ending is Ending.EXCEPTION:
            raise RuntimeError("a defect")
