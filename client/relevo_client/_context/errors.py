"""What can go wrong, as exceptions."""

from collections.abc import Iterable, Sequence
from typing import Any

RETRY_DELAY = 0.5
"""Seconds after which a store that said nothing may be asked again: what it says itself."""


class RelevoError(Exception):
    """Whatever Relevo fails with.

    `reason` is a name of `relevo.v1.ErrorReason` without its prefix, the name of
    gRPC's code where there is no reason, or one that only the client has:
    NO_CONTEXT, CONTEXT_NOT_RESOLVED, CONTEXT_WITHOUT_ENTRY, INCOMPLETE_CONTEXT, QUEUE_LOST,
    CLIENT_CLOSED, CLIENT_FORKED. CORRUPT_ENTRY comes from the client too, for a snapshot that
    is not what its name says.
    `metadata` is what the server told beside it. `retry_after` is after how many seconds it
    may be tried again, None if that is not known to help; every UnavailableError has it but
    that of a closed client. None of these holds a context's values.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        metadata: dict[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.metadata = metadata or {}
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions pass between processes; each class has arguments of its own.
        return _restored, (type(self), self.args, vars(self))


def _restored(kind: type[RelevoError], args: tuple[Any, ...], state: dict[str, Any]) -> RelevoError:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(state)
    return error


class InvalidFieldError(RelevoError, ValueError):
    """Something is malformed: `violations` has each field's path, and what is wrong with it.

    The store names some of them only; `metadata["violations_left_out"]` is how many more it found.
    """

    def __init__(
        self,
        violations: Iterable[tuple[str, str]],
        *,
        reason: str = "INVALID_FIELD",
        metadata: dict[str, str] | None = None,
    ) -> None:
        self.violations = tuple(violations)
        texts = [f"{field}: {description}" for field, description in self.violations]
        if metadata and "violations_left_out" in metadata:
            texts.append(f"and {metadata['violations_left_out']} more")
        text = "; ".join(texts)
        super().__init__(text, reason=reason, metadata=metadata)


class NotFoundError(RelevoError):
    """There is no live entry under the key."""


class ConflictError(RelevoError):
    """`if_version` or `if_absent` did not hold, or other writers were always faster."""

    @property
    def current_version(self) -> int:
        """The version of the live entry, 0 where there is none or it is not known."""
        return int(self.metadata.get("current_version", 0))


class StoreBehindError(RelevoError):
    """The store has not reached the revision that was asked for."""


class LeaseLostError(RelevoError):
    """The lease is not held any more."""


class TooLargeError(RelevoError):
    """The context is over the size limit, or a quota is used up."""


class UnavailableError(RelevoError):
    """The store cannot be reached now."""


class AccessDeniedError(RelevoError):
    """The token is not known, or does not open this tenant."""


NO_CONTEXT = "no context is current in this call"


class NoContextError(RelevoError, LookupError):
    """No context is current and the code needs one; or not yet, under a lazy policy.

    `reason` is NO_CONTEXT; CONTEXT_NOT_RESOLVED for a handler that has not awaited
    `await_context()` yet; CONTEXT_WITHOUT_ENTRY for `require_entry()` if the context was made
    by a policy's function or a test. A handler that lets it pass ends its call with a typed
    status.
    """

    def __init__(self, message: str = NO_CONTEXT, *, reason: str = "NO_CONTEXT") -> None:
        super().__init__(message, reason=reason)


class IncompleteContextError(RelevoError):
    """A context includes entries that do not exist.

    `key` is the context's own key, `missing` has those of the entries, all in their text form.
    """

    def __init__(self, key: str, missing: Sequence[str]) -> None:
        self.key = key
        self.missing = tuple(missing)
        super().__init__(
            f"{key} includes entries that do not exist: {', '.join(self.missing)}",
            reason="INCOMPLETE_CONTEXT",
            metadata={"key": key},
        )


def closed() -> UnavailableError:
    """The client was closed while it was asked."""
    return UnavailableError("the client is closed", reason="CLIENT_CLOSED")


def forked(way_out: str) -> RelevoError:
    """The client is of the process that this one was forked from, or as good as that."""
    return RelevoError(f"clients do not pass a fork: {way_out}", reason="CLIENT_FORKED")


def unreadable() -> RelevoError:
    """The store answered, and what it answered is no answer."""
    return RelevoError("the store's answer cannot be read", reason="INTERNAL")
