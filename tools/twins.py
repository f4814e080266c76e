"""The generated modules, their sources, and the phrases that no rule of `async_to_sync` derives.

A phrase states what is true for one kind of client and not for the other. A phrase that its
source lacks is an error.
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
"""Exceptions from the rules `AsyncThing` to `Thing` and `aio_thing` to `thing`."""


@dataclass(frozen=True)
class Twin:
    """An asyncio module and the blocking module that is generated from it."""

    source: PurePosixPath
    """The asyncio module's path in the repository."""
    phrases: Mapping[str, str] = field(default_factory=dict[str, str])
    """Parts of the source's text, each with its replacement."""

    @property
    def target(self) -> PurePosixPath:
        """The generated module's path: `blocking_thing.py` for `aio_thing.py`."""
        return self.source.with_name(self.source.name.replace("aio", "blocking", 1))


_CLIENT = PurePosixPath("client/relevo_client")

TWINS = (
    Twin(
        _CLIENT / "_client/aio.py",
        {
            "The asyncio client": "The blocking client",
            "A client of a ContextStore for an event loop. Use `async with`,": (
                "A client of a ContextStore for any number of threads. Use `with`,"
            ),
            "by scope, a coroutine function that": "by scope, a plain function that",
            "A channel of the other kind\n    raises TypeError here.": (
                "A channel of the other kind\n    and a coroutine function raise TypeError here."
            ),
            "A str, or a function that returns one: a\n            coroutine function, or a plain "
            "one, which runs in a thread.": (
                "A str, or a plain function that\n            returns one."
            ),
            "End the loads in flight and the cache's stream, and close the client's own channel.": (
                "If the channel is the client's own, end the calls in flight and close it.\n\n"
                "        Does not wait for factories: what one returns after this is not written."
                "\n        "
            ),
            "in a task of its own: a caller that is cancelled does not end": (
                "in a thread of its own: a caller that gives up does not end"
            ),
        },
    ),
    Twin(
        _CLIENT / "_client/aio_creation.py",
        {"about to expire, on an event loop.": "about to expire, in threads."},
    ),
    Twin(_CLIENT / "_client/aio_resolver.py"),
    Twin(_CLIENT / "_client/aio_sampler.py"),
    Twin(
        _CLIENT / "_client/aio_snapshots.py",
        {"stores snapshots, on an event loop:": "stores snapshots, in threads:"},
    ),
    Twin(
        _CLIENT / "_client/aio_turns.py",
        {
            "The turns of an asyncio client": "The turns of a blocking client",
            "The base of the asyncio client": "The base of the blocking client",
        },
    ),
    Twin(
        _CLIENT / "_propagation/aio_resolution.py",
        {
            "policies, on an event loop.": "policies, in threads.",
            "\n\n        A coroutine if it takes I/O.\n        ": "",
            "get_received() or ": "",
        },
    ),
    Twin(
        _CLIENT / "actions/_aio_binding.py",
        {"for a blocking client.": "for an asyncio client or a policy with a coroutine function."},
    ),
)
