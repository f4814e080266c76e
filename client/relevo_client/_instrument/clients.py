"""The clients of an instrumented process: a blocking one, and one for each event loop."""

import asyncio
import threading
from typing import Any

import grpc

from relevo_client._client import forks
from relevo_client._client.aio import AsyncContextClient
from relevo_client._client.blocking import ContextClient
from relevo_client._context.errors import InvalidFieldError
from relevo_client._instrument.settings import Settings, named
from relevo_client._near_cache.options import CacheOptions

_ABOUT_TOKENS = "a token must not travel"


class SharedClients:
    """Makes each client when it is first needed, and shares it from then on.

    A forked process gets its own. Raises InvalidFieldError now if a client cannot be made of the
    settings: a file cannot be read, or a token would leave this host unencrypted.
    """

    def __init__(self, settings: Settings) -> None:
        self._arguments = _arguments(settings)
        self._lock = threading.Lock()
        self._blocking: ContextClient | None = None
        self._by_loop: dict[asyncio.AbstractEventLoop, AsyncContextClient] = {}
        # It is bound to no loop before its first call, so the first loop gets it.
        self._unbound: AsyncContextClient | None = self._checked() if settings.target else None
        forks.call_in_child(SharedClients._forget, self)

    def blocking(self) -> ContextClient:
        """The blocking client of this process."""
        with self._lock:
            if self._blocking is None:
                self._blocking = ContextClient(**self._arguments)
            return self._blocking

    def asyncio(self, loop: asyncio.AbstractEventLoop | None = None) -> AsyncContextClient:
        """The client of an event loop, by default of the running one.

        Raises RuntimeError if none is given and none is running.
        """
        loop = loop or asyncio.get_running_loop()
        client = self._by_loop.get(loop)
        if client is not None:
            return client
        with self._lock:
            for ended in [each for each in self._by_loop if each.is_closed()]:
                del self._by_loop[ended]
            client, self._unbound = self._unbound, None
            if client is None:
                client = AsyncContextClient(**self._arguments)
            return self._by_loop.setdefault(loop, client)

    def close(self) -> None:
        """Close the blocking client, and those of running loops: each of these in its loop."""
        with self._lock:
            blocking, self._blocking = self._blocking, None
            by_loop, self._by_loop = self._by_loop, {}
        if blocking:
            blocking.close()
        for loop, client in by_loop.items():
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(client.close(), loop)

    async def close_own(self) -> None:
        """Close the client of the running loop, if it has one."""
        client = self._by_loop.pop(asyncio.get_running_loop(), None)
        if client:
            await client.close()

    def _checked(self) -> AsyncContextClient:
        try:
            return AsyncContextClient(**self._arguments)
        except InvalidFieldError as error:
            violations = [(named(field), text) for field, text in error.violations]
            raise InvalidFieldError(violations) from None
        except ValueError as error:
            raise InvalidFieldError([self._problem(str(error))]) from None

    def _problem(self, text: str) -> tuple[str, str]:
        """The setting that a client refuses with this text, and the problem."""
        if not text.startswith(_ABOUT_TOKENS):
            return named("key" if self._arguments["cert"] is None else "cert"), text
        field = "token" if self._arguments["token_file"] is None else "token_file"
        remedies = ", ".join(map(named, ("tls", "ca", "insecure_token")))
        return named(field), f"must not travel unencrypted beyond this host: give one of {remedies}"

    def _forget(self) -> None:
        """Forget the clients of the parent of this process, whose connections it does not have."""
        self._lock = threading.Lock()
        self._blocking = None
        self._by_loop = {}


def _arguments(settings: Settings) -> dict[str, Any]:
    """The arguments of both kinds of client."""
    has_files = settings.ca or settings.cert
    token = settings.token.get_secret_value() if settings.token else None
    return {
        "target": settings.target,
        "credentials": grpc.ssl_channel_credentials() if settings.tls and not has_files else None,
        "ca": settings.ca,
        "cert": settings.cert,
        "key": settings.key,
        "token": token,
        "token_file": settings.token_file,
        "insecure_token": settings.insecure_token,
        "timeout": settings.timeout,
        "cache": settings.cache or CacheOptions(),
        "loaders": settings.loaders,
        "reference_keys": settings.reference_keys,
    }
