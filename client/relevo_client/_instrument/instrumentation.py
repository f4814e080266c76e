"""`Instrumentation`: what `instrument` has changed in a process, and its undoing."""

import atexit
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from relevo.on_import import on_import

from relevo_client._client.aio import AsyncContextClient
from relevo_client._client.blocking import ContextClient
from relevo_client._context.errors import InvalidFieldError
from relevo_client._context.log import log
from relevo_client._instrument import applications, brokers
from relevo_client._instrument.applications import Applications, names_no_reference
from relevo_client._instrument.channels import Targets, patch_channels
from relevo_client._instrument.clients import SharedClients
from relevo_client._instrument.messages import Messages
from relevo_client._instrument.patches import Patch
from relevo_client._instrument.servers import Interceptors, patch_servers
from relevo_client._instrument.settings import Kind, Settings, loaded, named
from relevo_client._propagation.outgoing import Outbound
from relevo_client.asgi import Scope
from relevo_client.filters import INFRASTRUCTURE, MethodFilter, any_of, prefix

_COLLECTORS = prefix("/opentelemetry.proto.collector.")
"""Exports of telemetry: what goes to a collector is no call of the service."""


class Instrumentation:
    """What `instrument` has done in this process, and the clients that it shares.

    `kinds` are those that are instrumented.
    """

    def __init__(self, settings: Settings) -> None:
        self.kinds: frozenset[Kind] = settings.kinds
        self._settings = settings
        self._clients = SharedClients(settings)
        self._untold = _Untold()
        exempt = _exempt(settings)
        self._outbound = Outbound(exempt=exempt, target=None, allow=None)
        self._interceptors = Interceptors(self._clients, lambda: self._rules(exempt))
        self._applications = Applications(self._clients, self._http_rules)
        self._messages = Messages(self._clients, lambda: self._rules(exempt))
        self._undo = ExitStack()
        self.is_over = False
        """Whether it was undone."""
        try:
            self._begin()
        except BaseException:
            self._undo.close()
            raise

    def __repr__(self) -> str:
        return f"Instrumentation(kinds={sorted(self.kinds)})"

    def client(self) -> ContextClient:
        """The blocking client of this process, which its blocking servers use.

        It is closed when the process ends. Raises InvalidFieldError without a target.
        """
        self._must_have_target()
        return self._clients.blocking()

    def aio_client(self) -> AsyncContextClient:
        """The client of the running event loop, which its servers, applications and brokers use.

        It ends with its loop. Raises RuntimeError if no loop runs, and InvalidFieldError without
        a target.
        """
        self._must_have_target()
        return self._clients.asyncio()

    def undo(self) -> None:
        """Put back what was changed, and close the clients.

        What was made meanwhile goes on without contexts: calls of its channels carry none, and
        handlers have none. A client of a running event loop is closed by a task of that loop.
        """
        self.is_over = True
        for each in (self._interceptors, self._applications, self._messages):
            each.end()
        self._outbound.is_over = True
        self._undo.close()
        self._clients.close()

    async def aundo(self) -> None:
        """Do what `undo` does, and wait until the client of this event loop is closed."""
        await self._clients.close_own()
        self.undo()

    def _begin(self) -> None:
        atexit.register(self._clients.close)
        self._undo.callback(atexit.unregister, self._clients.close)
        if "grpc.client" in self.kinds:
            targets = Targets(self._settings.allow)
            self._keep("grpcio", lambda: patch_channels(self._outbound, targets))
        if "grpc.server" in self.kinds:
            self._keep("grpcio", lambda: patch_servers(self._interceptors))
        if "starlette" in self.kinds:
            make = applications.patch_applications
            self._when_imported(applications.MODULE, "starlette", lambda: make(self._applications))
        if "faststream" in self.kinds:
            patch = brokers.patch_brokers
            self._when_imported(brokers.MODULE, "faststream", lambda: patch(self._messages))

    def _when_imported(
        self, module: str, package: str, patches: Callable[[], Iterator[Patch]]
    ) -> None:
        self._undo.callback(on_import(module, lambda: self._keep(package, patches)))

    def _keep(self, package: str, patches: Callable[[], Iterator[Patch]]) -> None:
        """Make patches of a package, and undo them at the end."""
        try:
            for patch in patches():
                self._undo.callback(patch.undo)
        except (ImportError, AttributeError) as error:
            from importlib.metadata import version  # noqa: PLC0415 - it takes a moment

            text = (
                f"{package} {version(package)} cannot be instrumented: name the other kinds, and "
                "give this one its context explicitly"
            )
            raise InvalidFieldError([(named("kinds"), text)]) from error

    def _must_have_target(self) -> None:
        if self._settings.target is None:
            raise InvalidFieldError([(named("target"), "must be given: a client needs it")])

    def _rules(self, exempt: MethodFilter) -> dict[str, Any]:
        """The rules of servers, which hold for messages too."""
        settings = self._settings
        trust = settings.trust_callers
        return {
            "trust_callers": self._untold if trust is None else trust,
            "authorize": loaded("authorize", settings.authorize),
            "policy": settings.policy,
            "policies": settings.policies,
            "exempt": exempt,
        }

    def _http_rules(self) -> dict[str, Any]:
        settings = self._settings
        return {
            "begin": loaded("begin", settings.begin),
            "trust_callers": settings.trust_http_callers,
            "authorize": loaded("authorize", settings.authorize),
            "policy": replace(settings.policy, lazy=False),
            "turns": settings.turns,
            "exempt": self._is_exempt_request,
        }

    def _is_exempt_request(self, scope: Scope) -> bool:
        if not self._settings.trust_identity and names_no_reference(scope):
            return True
        return _fits(scope["path"], self._settings.exempt)


class _Untold:
    """The trust in callers if nobody has said whether they are trusted: none, and a warning."""

    def __init__(self) -> None:
        self._has_warned = False

    def __call__(self, _: object) -> bool:
        if not self._has_warned:
            self._has_warned = True
            log.warning(
                "a caller's context was ignored: RELEVO_TRUST_CALLERS, or 'trust_callers' of "
                "instrument(), must say whether callers are trusted"
            )
        return False


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _exempt(settings: Settings) -> MethodFilter:
    def matches(method: str) -> bool:
        return _fits(method, settings.exempt)

    return any_of(INFRASTRUCTURE, _COLLECTORS, matches)
