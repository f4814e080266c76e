"""Which modules are made from which, and what of their text has to be given by hand.

Text is given only for what no rule of `async_to_sync` can know: what is true for one kind of
client and not for the other. A phrase that its source does not have is an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

NAMES = {
    "AsyncDeferred": "BlockingDeferred",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "add_done_callback": "add_callback",
    "asynccontextmanager": "contextmanager",
}
"""Names that become others than `AsyncThing` to `Thing` and `aio_thing` to `thing`."""


@dataclass(frozen=True)
class Twin:
    """A module of asyncio's, and the blocking one that is made from it."""

    source: PurePosixPath
    """Relative to the repository."""
    phrases: Mapping[str, str] = field(default_factory=dict[str, str])
    """Parts of the source's text, and what stands in their places."""

    @property
    def target(self) -> PurePosixPath:
        """The module that is made: `aio_thing.py` makes `blocking_thing.py`."""
        return self.source.with_name(self.source.name.replace("aio", "blocking", 1))


_CLIENT = PurePosixPath("client/relevo_client")

TWINS = (
    Twin(
        _CLIENT / "_client/aio.py",
        {
            "The asyncio client": "The blocking client",
            "Asks a ContextStore, on an event loop. Use with": (
                "Asks a ContextStore, from any number of threads. Use with"
            ),
            "by scope, a coroutine function that": "by scope, a plain function that",
            "A channel of the other kind\n    raises TypeError here.": (
                "A channel of the other kind\n    and a coroutine function raise TypeError here."
            ),
            "End what is under way, and the channel if it is the client's own.": (
                "End what is under way if the channel is the client's own, and close that.\n\n"
                "        Waits for no factory: what one makes after this is not written.\n        "
            ),
            "in a task of its own: a caller that is cancelled does not end": (
                "in a thread of its own: a caller that gives up does not end"
            ),
        },
    ),
    Twin(
        _CLIENT / "_client/aio_creation.py",
        {"nearly over, on an event loop.": "nearly over, in threads."},
    ),
    Twin(
        _CLIENT / "_propagation/aio_resolution.py",
        {
            "on an event loop: the rules, with its I/O.": "in threads: the rules, with their I/O.",
            "\n\n        A coroutine if that has to be waited for.\n        ": "",
        },
    ),
    Twin(_CLIENT / "actions/_aio_binding.py"),
)
