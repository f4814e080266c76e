"""`instrument`: one call that gives the libraries of a process their contexts."""

import os
import threading
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from os import PathLike
from typing import Any, Literal

from relevo_client._context.errors import InvalidFieldError
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.model import ExecutionContext
from relevo_client._instrument.instrumentation import Instrumentation
from relevo_client._instrument.settings import Kind, Settings, differing, named, settings_of
from relevo_client._near_cache.options import CacheOptions
from relevo_client._propagation.fallbacks import Policy
from relevo_client.filters import MethodFilter

_lock = threading.RLock()


class _InForce:
    """The instrumentation of this process."""

    instrumentation: Instrumentation | None = None
    settings: Settings


def instrument(
    *,
    kinds: Collection[Kind] | None = None,
    target: str | None = None,
    tls: bool | None = None,
    ca: str | PathLike[str] | None = None,
    cert: str | PathLike[str] | None = None,
    key: str | PathLike[str] | None = None,
    token: str | None = None,
    token_file: str | PathLike[str] | None = None,
    insecure_token: bool | None = None,
    timeout: float | None = None,
    trust_callers: bool | Literal["signed"] | None = None,
    reference_keys: str | PathLike[str] | None = None,
    authorize: Callable[[ContextRef, Any], bool] | str | None = None,
    policy: Policy | None = None,
    policies: Sequence[tuple[MethodFilter, Policy]] | None = None,
    allow: Sequence[str] | None = None,
    exempt: Sequence[str] | None = None,
    trust_identity: bool | None = None,
    trust_http_callers: bool | Literal["signed"] | None = None,
    begin: Callable[[ExecutionContext], Awaitable[ExecutionContext]] | str | None = None,
    turns: bool | None = None,
    loaders: Mapping[str, Callable[[ContextKey], Any]] | None = None,
    cache: CacheOptions | None = None,
) -> Instrumentation:
    """Give the libraries of this process their contexts: call it once, before all else.

    The channels and servers of gRPC, blocking and asyncio, the applications of Starlette and
    FastAPI, and the brokers of FastStream that are made from now on carry contexts. What has
    Relevo's interceptor or middleware already is left alone. The names under which a module has
    imported `insecure_channel` and others do not matter.

    An argument that is None has the value of its environment variable, else its default. A later
    call changes nothing and returns the same Instrumentation, if what it gives is the same.

    Args:
        kinds: what is instrumented, of "grpc.client", "grpc.server", "starlette" and
            "faststream"; all by default. RELEVO_KINDS.
        target: the store's address; only "grpc.client" alone needs none. RELEVO_TARGET.
        tls: whether the store is reached by TLS, with the system's authorities. RELEVO_TLS.
        ca: a file of PEM: the authorities that are trusted instead. RELEVO_CA.
        cert: a file of PEM: the certificate of this process. RELEVO_CERT.
        key: a file of PEM: the certificate's key. RELEVO_KEY.
        token: the bearer token. RELEVO_TOKEN.
        token_file: a file with the token, which is read again when it changes. It goes before
            RELEVO_TOKEN. RELEVO_TOKEN_FILE.
        insecure_token: whether the token may leave this host without TLS. RELEVO_INSECURE_TOKEN.
        timeout: seconds for a call of the store; 2 by default. RELEVO_TIMEOUT.
        trust_callers: whether the references of callers and of messages count; "signed" for those
            that the store has signed. If nobody says so they are ignored, and the first one is
            logged. RELEVO_TRUST_CALLERS.
        reference_keys: the file of the keys for "signed". RELEVO_TRUSTED_KEYS.
        authorize: a plain function of a reference and of gRPC's servicer context, ASGI's scope or
            FastStream's message; or its place as `module:name`. RELEVO_AUTHORIZE.
        policy: the fallbacks if a context cannot be had. RELEVO_FALLBACKS has them as
            `unavailable=last_known,not_found=proceed`.
        policies: policies for some methods of gRPC instead.
        allow: patterns of the targets to which references may go, as `*.internal:*`. By default
            those on this host. RELEVO_ALLOW, with commas.
        exempt: patterns of methods and of paths over HTTP that have no context, besides health
            checks, reflection, channelz, the store's own and OpenTelemetry's collectors.
            RELEVO_EXEMPT, with commas.
        trust_identity: whether the headers X-Tenant-ID, X-Conversation-ID and others of HTTP
            requests are true, so that they name a conversation. RELEVO_TRUST_IDENTITY.
        trust_http_callers: whether the references of HTTP requests count, as `trust_callers`.
            RELEVO_TRUST_HTTP_CALLERS.
        begin: the coroutine function that begins a conversation over HTTP, or its place.
            RELEVO_BEGIN.
        turns: whether each HTTP request is a turn. RELEVO_TURNS.
        loaders: by scope, the functions of the clients that create missing entries.
        cache: the options of the clients' near caches.

    Raises InvalidFieldError, which names each wrong argument and its variable.

    """
    arguments = locals()
    given = {name: value for name, value in arguments.items() if value is not None}
    with _lock:
        existing = _InForce.instrumentation
        if existing is not None and not existing.is_over:
            different = differing(_InForce.settings, given)
            if different:
                text = "differs from the instrumentation of this process: undo that first"
                raise InvalidFieldError([(named(name), text) for name in different])
            return existing
        settings = settings_of(given, os.environ)
        _InForce.settings = settings
        _InForce.instrumentation = Instrumentation(settings)
        return _InForce.instrumentation
