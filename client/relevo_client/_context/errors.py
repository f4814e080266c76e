"""The exceptions of the client. Each one's docstring says when it is raised and what to do."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from relevo_client._context.reasons import Reason, reason_of

RETRY_DELAY = 0.5
"""Seconds before a retry if the store has named no delay; it is the store's own default."""


class RelevoError(Exception):
    """The base class of Relevo's errors.

    Raised itself if no subclass fits: the store has a defect, holds an invalid entry or is too
    old for the call (CORRUPT_ENTRY, INTERNAL, NOT_IMPLEMENTED and others), or the client belongs
    to the parent of this forked process (CLIENT_FORKED: the text says what to do). A retry does
    not help; the server's log has the cause. Catch it last.

    `reason` is a `Reason`, or a plain string if the server is newer than this client: a name of
    `relevo.v1.ErrorReason` without its prefix, the name of gRPC's code if the server gave no
    reason, or a reason of the client alone. `metadata` is a dict of further texts from the
    server. `retry_after` is the delay in seconds before a retry, None if a retry is not known to
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
        # Exceptions pass between processes, and each class has other arguments. The reason is
        # pickled as a plain string, because the receiver may run another release.
        state = {**vars(self), "reason": str(self.reason)}
        return _restored, (type(self), self.args, state)


def _restored(kind: type[RelevoError], args: tuple[Any, ...], state: dict[str, Any]) -> RelevoError:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(state, reason=reason_of(state["reason"]))
    return error


class InvalidFieldError(RelevoError, ValueError):
    """An argument, a field of a context, a reference or a message is invalid.

    Raised by the client before it sends anything, and by calls that the store refuses. Correct
    the fields in `violations`; a retry does not help.

    `violations` is a tuple of pairs: a field's path, and the rule that it breaks. The store may
    leave some out; `metadata["violations_left_out"]` is their number, as a text.
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
    `get_or_create` create it, or go on without a context.
    """


class ConflictError(RelevoError):
    """A write failed because of other writers.

    Raised by `put` and `update`: the entry's version is not `if_version`, the entry exists
    despite `if_absent`, or other writers were faster on each attempt. Read the entry, decide
    again, and write with the version that was read.
    """

    @property
    def current_version(self) -> int:
        """The version of the live entry, or 0 if there is none or its version is unknown."""
        return int(self.metadata.get("current_version", 0))


class LeaseHeldError(ConflictError):
    """Another process holds the lease of an entry and creates it now.

    The store's answer to a request for the lease until then. `get_or_create` and `resolve` do not
    raise it: they repeat the request until the entry exists or their timeout is over.
    """


class StoreBehindError(RelevoError):
    """The store has not reached the requested revision.

    Raised by `get` with `min_revision` and by `resolve` with a reference. Either the
    revision is of another store, or this store has lost its newest writes in a failover. Put the
    context again, or use `last_known`.
    """


class LeaseLostError(RelevoError):
    """An entry was not created, because its lease ended before the write.

    Raised by `get_or_create` and `resolve` if that happened on each attempt. The factory or
    loader takes longer than the server's `lease_ttl` (make it faster), or the entry was
    invalidated meanwhile (try again).
    """


class TooLargeError(RelevoError):
    """A limit of the server is reached: the size of a context, the memory, the calls, or a quota.

    Raised by any call of the store. For CONTEXT_TOO_LARGE make the context smaller, or move
    parts of it into entries that it includes. For STORE_FULL and TOO_MANY_REQUESTS try again
    later, and inform the store's operator. For QUOTA_EXCEEDED the tenant or this caller uses as
    much as it may: try again after `retry_after` seconds, and not before. `metadata` has the
    `quota`, its `limit`, and the `tenant_id` or `principal`. The client does not repeat the call
    itself.
    """


class UnavailableError(RelevoError):
    """The store cannot be reached now, or did not answer in time.

    Raised by any call of the store, after the client's own retries. Try again after
    `retry_after` seconds, or go on with `last_known`. A write may have been done nevertheless.
    If the client was closed (CLIENT_CLOSED), `retry_after` is None: make another client.
    """


class AccessDeniedError(RelevoError):
    """The token is missing or unknown, or gives no access to this tenant.

    Raised by any call of the store. Give the client the `token` of this service, and grant that
    token this tenant in the server's settings.

    Raised by `bound` and `aio_bound` for an action that may not use its context (FORBIDDEN) or
    may not have its replies sent to its `callback_queue` (CALLBACK_DENIED). Do not do the action.
    """


NO_CONTEXT = "no context is current in this call"


class NoContextError(RelevoError, LookupError):
    """The code needs a current context, and there is none, or it is not resolved yet.

    Raised by `require_context`, `require_entry` and `require_ref`, by `bound` and `aio_bound` for
    an action without a reference if the policy rejects that, and by `current_context` and
    `current_entry` under a lazy policy. If a handler does not catch it, its call ends with a
    typed status.

    What to do depends on the reason. NO_CONTEXT: the caller must send a reference, or a test must
    use `use_context`. CONTEXT_NOT_RESOLVED: the handler must await `await_context()` first.
    CONTEXT_WITHOUT_ENTRY (`require_entry` only): a policy's function or a test has made the
    context; use `require_context`.
    """

    def __init__(self, message: str = NO_CONTEXT, *, reason: str = Reason.NO_CONTEXT) -> None:
        super().__init__(message, reason=reason)


class IncompleteContextError(RelevoError):
    """A context includes entries that do not exist.

    Raised by `resolve`, `snapshot` and `snapshot_key`. Put the entries in `missing`, or give
    their scopes loaders. An entry from `get` has no layers: use `resolve` instead.

    `key` is the key of the context's entry, `missing` a tuple of the keys of the missing entries,
    all in their text form.
    """

    def __init__(self, key: str, missing: Sequence[str]) -> None:
        self.key = key
        self.missing = tuple(missing)
        super().__init__(
            f"{key} includes entries that do not exist: {', '.join(self.missing)}",
            reason=Reason.INCOMPLETE_CONTEXT,
            metadata={"key": key},
        )


class SectionViolation(NamedTuple):
    """A value of a section that is missing or wrong."""

    path: str
    """The value's path, such as `rag_config.top_k`."""
    description: str
    """The rule that it breaks. It quotes the model, and never the value."""
    entries: tuple[str, ...]
    """The text forms of the keys of the entries that it may have come from. One, if the value is
    there; several, if it is missing or was read from a snapshot; none, if it is of no entry."""

    def __str__(self) -> str:
        came_from = f" of {' or '.join(self.entries)}" if self.entries else ""
        return f"{self.path}{came_from}: {self.description}"


class InvalidSectionError(RelevoError, ValueError):
    """A section of the context does not fit the model that the code asks for.

    Raised by `ExecutionContext.section` and `settings`. Correct the entries that the violations
    name, or the model; a retry does not help. If a handler does not catch it, its call ends with
    FAILED_PRECONDITION and a fixed text, and the service's log has this one.

    `section` is the section's path, and `model` the name of the model's class. `violations` is a
    tuple of SectionViolation, at most 20; `left_out` is the number of further ones.
    """

    def __init__(
        self, section: str, model: str, violations: Sequence[SectionViolation], left_out: int = 0
    ) -> None:
        self.section = section
        self.model = model
        self.violations = tuple(violations)
        self.left_out = left_out
        texts = [str(each) for each in self.violations]
        if left_out:
            texts.append(f"and {left_out} more")
        super().__init__(
            f"{section} does not fit {model}: {'; '.join(texts)}", reason=Reason.INVALID_SECTION
        )


def cannot_answer_now(error: Exception) -> bool:
    """Whether a retry may succeed: the store is unavailable, or has too many calls.

    Too many calls of all, or of the tenant or the caller: a share is used up only for a moment.
    """
    if isinstance(error, TooLargeError):
        return error.reason in (Reason.TOO_MANY_REQUESTS, Reason.QUOTA_EXCEEDED)
    return isinstance(error, UnavailableError)


def is_out_of_reach(error: Exception) -> bool:
    """Whether a last known copy may take the place of an answer: the store has refused nothing.

    It cannot answer now, or is behind. A client that was closed is no such case.
    """
    if isinstance(error, RelevoError) and error.reason == Reason.CLIENT_CLOSED:
        return False
    return isinstance(error, StoreBehindError) or cannot_answer_now(error)


def client_closed() -> UnavailableError:
    """The error of a call on a client that was closed before the call or during it."""
    return UnavailableError("the client is closed", reason=Reason.CLIENT_CLOSED)


def client_forked(way_out: str) -> RelevoError:
    """The error of a call that a forked process cannot make; `way_out` says what to do instead."""
    return RelevoError(
        f"a client cannot be used after a fork: {way_out}", reason=Reason.CLIENT_FORKED
    )


def unreadable_response() -> RelevoError:
    """The error of a call whose answer is not the protobuf message that it must be."""
    return RelevoError("the store's answer cannot be read", reason=Reason.INTERNAL)
