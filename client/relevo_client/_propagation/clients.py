"""The client that an integration asks: it has to be of its own kind, blocking or asyncio."""

from relevo_client._client.aio import AsyncContextClient
from relevo_client._client.blocking import ContextClient


def must_be_blocking(client: object, user: str, *, instead: str) -> None:
    """Raise TypeError unless `user` can ask this client in threads.

    `instead` is what takes an asyncio client.
    """
    _must_be(ContextClient, client, user, AsyncContextClient, instead)


def must_be_asyncio(client: object, user: str, *, instead: str = "") -> None:
    """Raise TypeError unless `user` can ask this client on an event loop.

    `instead` is what takes a blocking client, if anything does.
    """
    _must_be(AsyncContextClient, client, user, ContextClient, instead)


def _must_be(needed: type, client: object, user: str, other: type, instead: str) -> None:
    text = f"{user} needs {_a(needed)}, and got {_a(type(client))}"
    if isinstance(client, other):
        raise TypeError(f"{text}: for that there is {instead}" if instead else text)
    # What is like a client is welcome: tests have some of their own.
    if not callable(getattr(client, "resolve", None)):
        raise TypeError(text)


def _a(kind: type) -> str:
    name = kind.__name__
    return f"an {name}" if name[0] in "AEIOaeio" else f"a {name}"
