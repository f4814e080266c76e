"""What can go wrong, as exceptions."""

from collections.abc import Iterable, Sequence
from typing import Any

from relevo_client._context.reasons import Reason, reason_of

RETRY_DELAY = 0.5
"""Seconds after which a store that said nothing may be asked again: what it says itself."""


class RelevoError(Exception):
    """The base of all errors of Relevo's.

    Raised itself if no subclass fits: the store has a defect, holds something that is no context,
    or is too old for the call (CORRUPT_ENTRY, INTERNAL, NOT_IMPLEMENTED and the like), or the
    client was made in the process that this one was forked from (CLIENT_FORKED: make another
    one). To try again does not help; the server's log has the cause. Catch it last.

    `reason` is a `Reason`, or a plain string if the server is newer than this client: a name of
    `relevo.v1.ErrorReason` without its prefix, the name of gRPC's code if the server gave no
    reason, or one that only the client has. `metadata` is what the server told beside it.
    `retry_after` is after how many seconds it may be tried again, None if that is not known to
    help. None of these holds a context's values.
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
        self.reason: Reason | str = reason_of(reason)
        self.metadata = metadata or {}
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions pass between processes; each class has arguments of its own. The reason goes
        # as a plain string: who receives it may be of another release.
        state = {**vars(self), "reason": str(self.reason)}
        return _restored, (type(self), self.args, state)


def _restored(kind: type[RelevoError], args: tuple[Any, ...], state: dict[str, Any]) -> RelevoError:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(state, reason=reason_of(state["reason"]))
    return error


class InvalidFieldError(RelevoError, ValueError):
    """Something is malformed: an argument, a field of a context, a reference, a message.

    Raised by the client before it sends anything, and for what the store refuses. Correct what
    `violations` names; to try again does not help.

    `violations` has each field's path, and what is wrong with it. The store names some of them
    only; `metadata["violations_left_out"]` is how many more it found.
    """

    def __init__(
        self,
        violations: Iterable[tuple[str, str]],
        *,
        reason: str = Reason.INVALID_FIELD,
        metadata: dict[str, str] | None = None,
    ) -> None:
        self.violations = tuple(violations)
        texts = [f"{field}: {description}" for field, description in self.violations]
        if metadata and "violations_left_out" in metadata:
            texts.append(f"and {metadata['violations_left_out']} more")
        text = "; ".join(texts)
        super().__init__(text, reason=reason, metadata=metadata)


class NotFoundError(RelevoError):
    """There is no live entry under the key: it was never put, has expired or was invalidated.

    Raised by `get`, `resolve`, `peek` and `update`. Put the entry, let a loader or
    `get_or_create` make it, or go on without a context.
    """


class ConflictError(RelevoError):
    """A write was not done because of other writers.

    Raised by `put` and `update`: the entry does not have `if_version`, exists although
    `if_absent` was asked for, or others were faster again and again. Read the entry, decide
    anew, and write with the version that was read.
    """

    @property
    def current_version(self) -> int:
        """The version of the live entry, 0 if there is none or it is not known."""
        return int(self.metadata.get("current_version", 0))


class LeaseHeldError(ConflictError):
    """Another process holds the lease of an entry, and creates it now.

    What the store answers while that lasts. `get_or_create` and `resolve` do not raise it: they
    ask again until the entry is there, or their time is over.
    """


class StoreBehindError(RelevoError):
    """The store has not reached the revision that was asked for.

    Raised by `get` with `min_revision` and by `resolve` with a reference. Either the
    revision is of another store, or this store has lost its newest writes in a failover: put the
    context again, or use `last_known`.
    """


class LeaseLostError(RelevoError):
    """An entry was not created: its lease was over before it was written.

    Raised by `get_or_create` and `resolve` if that happened on each attempt. The factory or
    loader takes longer than the server's `lease_ttl`, or the entry was invalidated meanwhile:
    make it faster, or try again.
    """


class TooLargeError(RelevoError):
    """A limit of the server's is reached: the size of a context, its memory, or its calls.

    Raised by any call of the store. For CONTEXT_TOO_LARGE make the context smaller, or put
    parts of it into entries that it includes. For STORE_FULL and TOO_MANY_REQUESTS try again
    later, and tell the store's operator.
    """


class UnavailableError(RelevoError):
    """The store cannot be reached now, or did not answer in time.

    Raised by any call of the store, after the client's own repetitions. Try again after
    `retry_after` seconds, or go on with `last_known`. A write may have happened all the same. For
    a client that was closed (CLIENT_CLOSED), `retry_after` is None: make another client.
    """


class AccessDeniedError(RelevoError):
    """The token is missing or not known, or does not open this tenant.

    Raised by any call of the store. Give the client the `token` of this service, and the token
    this tenant in the server's settings.
    """


NO_CONTEXT = "no context is current in this call"


class NoContextError(RelevoError, LookupError):
    """No context is current and the code needs one; or not yet, under a lazy policy.

    Raised by `require_context`, `require_entry` and `require_ref`, by `bound` and `aio_bound` for
    an action without a reference if the policy rejects that, and by `current_context` under a
    lazy policy. A handler that lets it pass ends its call with a typed status.

    The reason NO_CONTEXT: the caller must send a reference, or a test must use `use_context`.
    CONTEXT_NOT_RESOLVED: the handler must await `await_context()` first. CONTEXT_WITHOUT_ENTRY,
    of `require_entry`: the context was made by a policy's function or a test; use
    `require_context`.
    """

    def __init__(self, message: str = NO_CONTEXT, *, reason: str = Reason.NO_CONTEXT) -> None:
        super().__init__(message, reason=reason)


class IncompleteContextError(RelevoError):
    """A context includes entries that do not exist.

    Raised by `resolve`, `snapshot` and `snapshot_key`. Put the entries in `missing`, or give
    their scopes loaders. For an entry that `get` has answered, resolve it instead: only then it
    has its layers.

    `key` is the context's own key, `missing` has those of the entries, all in their text form.
    """

    def __init__(self, key: str, missing: Sequence[str]) -> None:
        self.key = key
        self.missing = tuple(missing)
        super().__init__(
            f"{key} includes entries that do not exist: {', '.join(self.missing)}",
            reason=Reason.INCOMPLETE_CONTEXT,
            metadata={"key": key},
        )


def client_closed() -> UnavailableError:
    """The client was closed while it was asked."""
    return UnavailableError("the client is closed", reason=Reason.CLIENT_CLOSED)


def client_forked(way_out: str) -> RelevoError:
    """The client is of the process that this one was forked from, or as good as that."""
    return RelevoError(f"clients do not pass a fork: {way_out}", reason=Reason.CLIENT_FORKED)


def unreadable_response() -> RelevoError:
    """The store answered, and what it answered is no answer."""
    return RelevoError("the store's answer cannot be read", reason=Reason.INTERNAL)
