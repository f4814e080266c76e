"""The client that an integration asks: it has to be of its own kind, blocking or asyncio."""

from relevo_client._client.aio import AsyncContextClient
from relevo_client._client.blocking import ContextClient
from relevo_client._context.kinds import Kind, must_not_be

_BLOCKING = Kind(ContextClient, "a ContextClient")
_ASYNCIO = Kind(AsyncContextClient, "an AsyncContextClient")


def must_be_blocking(client: object, user: str, *, instead: str) -> None:
    """Raise TypeError unless `user` can ask this client in threads.

    `instead` is what takes an asyncio client.
    """
    must_not_be(_ASYNCIO, client, user, needed=_BLOCKING, instead=instead)
    _must_resolve(client, user, _BLOCKING)


def must_be_asyncio(client: object, user: str, *, instead: str = "") -> None:
    """Raise TypeError unless `user` can ask this client on an event loop.

    `instead` is what takes a blocking client, if anything does.
    """
    must_not_be(_BLOCKING, client, user, needed=_ASYNCIO, instead=instead)
    _must_resolve(client, user, _ASYNCIO)


def _must_resolve(client: object, user: str, needed: Kind) -> None:
    # What is like a client is welcome: tests have some of their own.
    if not callable(getattr(client, "resolve", None)):
        raise TypeError(f"{user} needs {needed.name}, and got {_with_article(type(client))}")


def _with_article(kind: type) -> str:
    name = kind.__name__
    return f"an {name}" if name[0] in "AEIOaeio" else f"a {name}"
