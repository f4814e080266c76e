"""Relevo's client library: one execution context, current in every service of a chain of calls."""

from typing import TYPE_CHECKING, Any

from relevo_client._client.aio import AsyncContextClient
from relevo_client._client.blocking import ContextClient
from relevo_client._context.current import (
    await_context,
    current_context,
    current_entry,
    current_ref,
    require_context,
    require_entry,
    require_ref,
    use_context,
)
from relevo_client._context.entry import ContextEntry
from relevo_client._context.errors import (
    AccessDeniedError,
    ConflictError,
    IncompleteContextError,
    InvalidFieldError,
    InvalidSectionError,
    LeaseHeldError,
    LeaseLostError,
    NoContextError,
    NotFoundError,
    RelevoError,
    SectionViolation,
    StoreBehindError,
    TooLargeError,
    UnavailableError,
)
from relevo_client._context.keys import ContextKey, ContextRef
from relevo_client._context.model import ExecutionContext
from relevo_client._context.reasons import Reason
from relevo_client._context.settings import settings
from relevo_client._context.sources import ContextSource
from relevo_client._context.wrapping import wrap
from relevo_client._instrument.instrument import instrument
from relevo_client._instrument.instrumentation import Instrumentation
from relevo_client._near_cache.options import CacheOptions
from relevo_client._propagation.aio import aio_client_interceptors, aio_server_interceptor
from relevo_client._propagation.answers import hear
from relevo_client._propagation.blocking import client_interceptors, server_interceptor
from relevo_client._propagation.channels import aio_context_channel, context_channel
from relevo_client._propagation.fallbacks import Fallback, LostContext, Policy
from relevo_client._propagation.outgoing import context_headers
from relevo_client._store.channel import CHANNEL_OPTIONS
from relevo_client._store.requests import Invalidation
from relevo_client._telemetry.counts import CacheCounts

__all__ = [
    "CHANNEL_OPTIONS",
    "AccessDeniedError",
    "AsyncContextClient",
    "CacheCounts",
    "CacheOptions",
    "ConflictError",
    "ContextClient",
    "ContextEntry",
    "ContextKey",
    "ContextRef",
    "ContextSource",
    "ExecutionContext",
    "Fallback",
    "IncompleteContextError",
    "Instrumentation",
    "InvalidFieldError",
    "InvalidSectionError",
    "Invalidation",
    "LeaseHeldError",
    "LeaseLostError",
    "LostContext",
    "NoContextError",
    "NotFoundError",
    "Policy",
    "Reason",
    "RelevoError",
    "SectionViolation",
    "StoreBehindError",
    "TooLargeError",
    "UnavailableError",
    "aio_client_interceptors",
    "aio_context_channel",
    "aio_server_interceptor",
    "await_context",
    "client_interceptors",
    "context_channel",
    "context_headers",
    "current_context",
    "current_entry",
    "current_ref",
    "hear",
    "instrument",
    "require_context",
    "require_entry",
    "require_ref",
    "server_interceptor",
    "settings",
    "use_context",
    "wrap",
]

if TYPE_CHECKING:
    Action = Fallback
else:

    def __getattr__(name: str) -> Any:
        """Return `Fallback` for `Action`, its name until the last release, with a warning."""
        if name != "Action":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import warnings  # noqa: PLC0415 - rarely needed

        warnings.warn(
            "relevo_client.Action is now relevo_client.Fallback; the old name ends with the next "
            "release",
            DeprecationWarning,
            stacklevel=2,
        )
        return Fallback
