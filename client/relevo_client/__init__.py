"""Relevo for services: contexts that are simply there, in every service of a chain."""

from relevo_client._aio_client import AsyncContextClient
from relevo_client._aio_interceptors import aio_client_interceptors, aio_server_interceptor
from relevo_client._calls import CHANNEL_OPTIONS, Invalidation
from relevo_client._current import (
    current_context,
    current_entry,
    current_ref,
    require_context,
    use_context,
)
from relevo_client._errors import (
    AccessDeniedError,
    ConflictError,
    IncompleteContextError,
    InvalidFieldError,
    LeaseLostError,
    NoContextError,
    NotFoundError,
    RelevoError,
    StoreBehindError,
    TooLargeError,
    UnavailableError,
)
from relevo_client._keys import ContextKey, ContextRef
from relevo_client._messages import ContextEntry
from relevo_client._model import ExecutionContext

__all__ = [
    "CHANNEL_OPTIONS",
    "AccessDeniedError",
    "AsyncContextClient",
    "ConflictError",
    "ContextEntry",
    "ContextKey",
    "ContextRef",
    "ExecutionContext",
    "IncompleteContextError",
    "InvalidFieldError",
    "Invalidation",
    "LeaseLostError",
    "NoContextError",
    "NotFoundError",
    "RelevoError",
    "StoreBehindError",
    "TooLargeError",
    "UnavailableError",
    "aio_client_interceptors",
    "aio_server_interceptor",
    "current_context",
    "current_entry",
    "current_ref",
    "require_context",
    "use_context",
]
