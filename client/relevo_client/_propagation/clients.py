"""Checks that an integration is given a client of its kind, blocking or asyncio."""

from relevo_client._client.aio import AsyncContextClient
from relevo_client._client.blocking import ContextClient
from relevo_client._context.kinds import Kind, must_not_be

_BLOCKING = Kind(ContextClient, "a ContextClient")
_ASYNCIO = Kind(AsyncContextClient, "an AsyncContextClient")


def must_be_blocking(client: object, user: str, *, instead: str) -> None:
    """Raise TypeError unless `client` is a blocking client, as the function `user` needs.

    `instead` names the function that takes an asyncio client.
    """
    must_not_be(_ASYNCIO, client, user, needed=_BLOCKING, instead=instead)
    _must_resolve(client, user, _BLOCKING)


def must_be_asyncio(client: object, user: str, *, instead: str = "") -> None:
    """Raise TypeError unless `client` is an asyncio client, as the function `user` needs.

    `instead` names the function that takes a blocking client, if there is one.
    """
    must_not_be(_BLOCKING, client, user, needed=_ASYNCIO, instead=instead)
    _must_resolve(client, user, _ASYNCIO)


def _must_resolve(client: object, user: str, needed: Kind) -> None:
    # Anything with `resolve` will do: tests have clients of their own.
    if not callable(getattr(client, "resolve", None)):
        raise TypeError(f"{user} needs {needed.name}, and got {_with_article(type(client))}")


def _with_article(kind: type) -> str:
    name = kind.__name__
    return f"an {name}" if name[0] in "AEIOaeio" else f"a {name}"
