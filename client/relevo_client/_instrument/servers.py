"""Servers of gRPC, of both kinds: each gets Relevo's interceptor, unless it has one.

The interceptor is the last one, next to the handler. So those of the service's own, which may
authenticate callers, come before the store is asked.
"""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from importlib import import_module
from typing import Any
from weakref import WeakSet

from relevo_client._client.aio import AsyncContextClient
from relevo_client._instrument.clients import SharedClients
from relevo_client._instrument.patches import Patch
from relevo_client._propagation.aio import aio_server_interceptor
from relevo_client._propagation.blocking import server_interceptor
from relevo_client._propagation.own import Own


class Interceptors:
    """Makes the interceptors of servers, and ends them.

    `rules()` are the arguments of the factories of both kinds.
    """

    def __init__(self, clients: SharedClients, rules: Callable[[], dict[str, Any]]) -> None:
        self._clients = clients
        self._rules = rules
        self._made: WeakSet[Own] = WeakSet()
        self.is_over = False

    def blocking(self) -> Any:
        """The interceptor of a blocking server."""
        return self._kept(server_interceptor(self._clients.blocking(), **self._rules()))

    def asyncio(self) -> Any:
        """The interceptor of an asyncio server."""
        return self._kept(aio_server_interceptor(self._client(), **self._rules()))

    def end(self) -> None:
        """Calls of all servers have no context from now on."""
        self.is_over = True
        for interceptor in self._made:
            interceptor.is_over = True

    def _client(self) -> AsyncContextClient:
        try:
            return self._clients.asyncio()
        except RuntimeError:  # no loop runs yet
            return self._clients.asyncio(_coming_loop())

    def _kept(self, interceptor: Any) -> Any:
        self._made.add(interceptor)
        return interceptor


def patch_servers(interceptors: Interceptors) -> Iterator[Patch]:
    """Patch the servers that are made from now on. Yields each patch when it is made.

    Raises ImportError or AttributeError for a version of gRPC that has other classes.
    """
    blocking = import_module("grpc._server")._Server
    asyncio_server = import_module("grpc.aio._server").Server
    yield Patch.make(blocking, "__init__", _adding(interceptors, interceptors.blocking))
    yield Patch.make(asyncio_server, "__init__", _adding(interceptors, interceptors.asyncio))


def _adding(interceptors: Interceptors, make: Callable[[], Any]) -> Callable[[Any], Any]:
    def replace(original: Any) -> Any:
        signature = inspect.signature(original)

        @wraps(original)
        def init(*args: Any, **options: Any) -> None:
            bound = signature.bind(*args, **options)
            given: tuple[Any, ...] = tuple(bound.arguments.get("interceptors") or ())
            if not interceptors.is_over and not any(isinstance(each, Own) for each in given):
                bound.arguments["interceptors"] = (*given, make())
            original(*bound.args, **bound.kwargs)

        return init

    return replace


def _coming_loop() -> asyncio.AbstractEventLoop:
    """The loop in which gRPC will run a server that is made before any loop runs."""
    loop: asyncio.AbstractEventLoop = import_module("grpc._cython.cygrpc").get_working_loop()
    return loop
