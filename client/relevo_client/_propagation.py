"""What interceptors do with a call, whatever its shape and whoever runs it.

The shapes themselves are in `_aio_interceptors`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from grpc import StatusCode

from relevo_client import _metadata
from relevo_client._current import current_ref
from relevo_client._errors import (
    IncompleteContextError,
    InvalidFieldError,
    NotFoundError,
    RelevoError,
    StoreBehindError,
    UnavailableError,
)

EXEMPT = (
    "/relevo.v1.ContextStore/",
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1alpha.ServerReflection/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.channelz.v1.Channelz/",
)
"""Services whose calls are about the infrastructure and need no context."""


class Refusal(NamedTuple):
    """How a call ends that cannot have its context. The texts tell no internals."""

    code: StatusCode
    text: str


_MALFORMED = Refusal(StatusCode.INVALID_ARGUMENT, "the call's context reference is malformed")
_UNAVAILABLE = Refusal(StatusCode.UNAVAILABLE, "the call's context cannot be resolved now")
_FAILED = Refusal(StatusCode.INTERNAL, "the call's context could not be resolved")
_REFUSALS: tuple[tuple[type[RelevoError], Refusal], ...] = (
    (InvalidFieldError, _MALFORMED),
    (
        NotFoundError,
        Refusal(StatusCode.FAILED_PRECONDITION, "the call's context does not exist"),
    ),
    (
        IncompleteContextError,
        Refusal(StatusCode.FAILED_PRECONDITION, "the call's context is incomplete"),
    ),
    (
        StoreBehindError,
        Refusal(StatusCode.FAILED_PRECONDITION, "the call's context is newer than the store"),
    ),
    (UnavailableError, _UNAVAILABLE),
)


def refusal_of(error: RelevoError) -> Refusal:
    """How a call ends whose context could not be resolved."""
    return next((refusal for kind, refusal in _REFUSALS if isinstance(error, kind)), _FAILED)


def is_exempt(method: str | bytes) -> bool:
    """Whether a method (`/package.Service/Method`) has no part in propagation."""
    name = method.decode() if isinstance(method, bytes) else method
    return name.startswith(EXEMPT)


def outgoing(method: str | bytes, metadata: _metadata.Pairs | None) -> Sequence[tuple[str, str]]:
    """What to add to a call's metadata: the current reference, or nothing."""
    ref = current_ref()
    if ref is None or is_exempt(method) or _metadata.names_a_context(metadata):
        return ()
    return _metadata.encode(ref)
