"""Applications of Starlette, and so of FastAPI: each gets a ContextMiddleware, unless it has one.

The middleware is the last one, next to the routes. So those of the service's own, which may
authenticate users, come before the store is asked.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from relevo_client._client.aio import AsyncContextClient
from relevo_client._instrument.clients import SharedClients
from relevo_client._instrument.patches import Patch
from relevo_client.asgi import ASGIApp, ContextMiddleware, Receive, Scope, Send
from relevo_client.asgi._headers import names_reference

MODULE = "starlette.applications"
"""The module whose applications are patched."""
_SERVED = "relevo.instrumented"
"""The key of a request's scope that says that an application around this one has its context."""


class Applications:
    """The shared parts of all applications: clients, and `rules()` of their ContextMiddleware."""

    def __init__(self, clients: SharedClients, rules: Callable[[], dict[str, Any]]) -> None:
        self.clients = clients
        self.rules = rules
        self.is_over = False

    def end(self) -> None:
        """Requests have no context from now on."""
        self.is_over = True


class InstrumentedMiddleware:
    """A ContextMiddleware with the client of the event loop that serves a request.

    Of applications within each other, the outer one finds the context.
    """

    def __init__(self, app: ASGIApp, applications: Applications) -> None:
        self._app = app
        self._applications = applications
        self._rules = applications.rules()
        self._client: AsyncContextClient | None = None
        self._inner: ASGIApp = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI specifies."""
        if self._applications.is_over or scope["type"] == "lifespan" or _SERVED in scope:
            return await self._app(scope, receive, send)
        scope[_SERVED] = True
        client = self._applications.clients.asyncio(asyncio.get_running_loop())
        if client is not self._client:
            self._client = client
            self._inner = ContextMiddleware(self._app, client, **self._rules)
        return await self._inner(scope, receive, send)


def patch_applications(applications: Applications) -> Iterator[Patch]:
    """Patch the applications that have not served yet. Starlette must have been imported."""
    from starlette.middleware import Middleware  # noqa: PLC0415 - the service uses it

    def add(app: Any) -> None:
        own = app.user_middleware
        if any(_is_explicit(each.cls) for each in own):
            return
        app.user_middleware = [*own, Middleware(InstrumentedMiddleware, applications=applications)]
        try:
            app.middleware_stack = app.build_middleware_stack()
        finally:
            app.user_middleware = own

    def replace(original: Any) -> Any:
        # A coroutine function: servers look whether the application is one.
        @wraps(original)
        async def call(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
            if self.middleware_stack is None and not applications.is_over:
                add(self)
            await original(self, scope, receive, send)

        return call

    yield Patch.make(sys.modules[MODULE].Starlette, "__call__", replace)


def names_no_reference(scope: Scope) -> bool:
    """Whether a request has no reference of a trusted caller: those of others are removed."""
    return not names_reference(scope["headers"])


def _is_explicit(middleware: Any) -> bool:
    return isinstance(middleware, type) and issubclass(middleware, ContextMiddleware)
