"""What can go wrong, as the statuses that the wire contract names."""

from collections.abc import Iterable, Mapping, Sequence

from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc import StatusCode
from relevo.v1.store_pb2 import Error
from relevo.v1.store_pb2 import ErrorReason as Reason

from relevo_server.errors.texts import (
    MAX_DESCRIPTION,
    MAX_FIELD,
    MAX_MESSAGE,
    cut,
    encoded_size,
    shortened,
)
from relevo_server.keys import Key

DOMAIN = "relevo"
RETRY_DELAY = 0.5
"""Seconds after which a caller may try again where the store cannot be reached."""
MAX_VIOLATIONS = 20
"""Broken rules that one error names; of the others it says how many they are."""
Violation = tuple[object, str]
"""Each violation is (field, description); `str(field)` is the field's path."""


class StoreError(Exception):
    """A call's failure. `code` and `reason` say which, `details` go to the caller.

    Neither the message nor the details ever hold a context's values.
    """

    def __init__(
        self,
        code: StatusCode,
        reason: Reason,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[tuple[str, str]] = (),
        retry_after: float | None = None,
    ) -> None:
        self.message = shortened(message, MAX_MESSAGE)
        super().__init__(self.message)
        self.code = code
        self.reason = Reason.Name(reason).removeprefix("ERROR_REASON_")
        self.metadata = {name: cut(value) for name, value in (metadata or {}).items()}
        self.violations = tuple(violations)
        self.retry_after = retry_after

    def to_message(self) -> Error:
        """The error with its details: `google.rpc.Status`, byte by byte."""
        details: list[Message] = [
            error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=self.metadata)
        ]
        if self.violations:
            bad_request = error_details_pb2.BadRequest()
            for field, description in self.violations:
                bad_request.field_violations.add(field=field, description=description)
            details.append(bad_request)
        if self.retry_after is not None:
            retry_info = error_details_pb2.RetryInfo()
            retry_info.retry_delay.FromMilliseconds(round(self.retry_after * 1000))
            details.append(retry_info)
        number, _ = self.code.value
        status = Error(code=number, message=self.message)
        for detail in details:
            status.details.add().Pack(detail)
        return status


def invalid(violations: Iterable[Violation]) -> StoreError:
    """INVALID_ARGUMENT: what is wrong with each field.

    The first violations are told, as many as a status has room for; the others are counted.
    """
    told: list[tuple[str, str]] = []
    texts: list[str] = []
    room = MAX_MESSAGE - len("; and 1000000 more")
    others = 0
    for field, description in violations:
        if others or len(told) == MAX_VIOLATIONS:
            others += 1
            continue
        violation = (
            shortened(str(field), MAX_FIELD),
            shortened(description, MAX_DESCRIPTION),
        )
        text = ": ".join(violation)
        room -= encoded_size(text) + len("; ")
        if room < 0:
            others = 1
            continue
        told.append(violation)
        texts.append(text)
    metadata: dict[str, str] = {}
    if others:
        texts.append(f"and {others} more")
        metadata["violations_left_out"] = str(others)
    return StoreError(
        StatusCode.INVALID_ARGUMENT,
        Reason.ERROR_REASON_INVALID_FIELD,
        "; ".join(texts),
        metadata=metadata,
        violations=told,
    )


def request_id_reused(owner: Key | str) -> StoreError:
    """INVALID_ARGUMENT: another Put of the key, or another Invalidate of the tenant, had it."""
    if isinstance(owner, Key):
        text, metadata = "was already used for a different Put", {"key": str(owner)}
    else:
        text, metadata = "was already used for a different Invalidate", {"tenant_id": owner}
    return StoreError(
        StatusCode.INVALID_ARGUMENT,
        Reason.ERROR_REASON_REQUEST_ID_REUSED,
        f"request_id: {text}",
        metadata=metadata,
        violations=[("request_id", text)],
    )


def no_entry(key: Key) -> StoreError:
    """NOT_FOUND: there is no live entry."""
    return StoreError(
        StatusCode.NOT_FOUND,
        Reason.ERROR_REASON_NO_ENTRY,
        f"there is no live entry under {key}",
        metadata={"key": str(key)},
    )


def conflict(key: Key, expected: int, current: int) -> StoreError:
    """ABORTED: the live entry's version is `current`, 0 for none, and not `expected`."""
    if expected == 0:
        reason, text = Reason.ERROR_REASON_ENTRY_EXISTS, f"there is an entry under {key} already"
    else:
        reason = Reason.ERROR_REASON_VERSION_MISMATCH
        text = f"the entry under {key} does not have this version"
    return StoreError(
        StatusCode.ABORTED,
        reason,
        text,
        metadata={"key": str(key), "current_version": str(current)},
    )


def contention(key: Key) -> StoreError:
    """ABORTED: a masked Put lost every race."""
    return StoreError(
        StatusCode.ABORTED,
        Reason.ERROR_REASON_CONTENTION,
        f"the entry under {key} kept changing",
        metadata={"key": str(key)},
        retry_after=RETRY_DELAY,
    )


def lease_lost(key: Key) -> StoreError:
    """FAILED_PRECONDITION: the token's lease is not held, or not any more."""
    return StoreError(
        StatusCode.FAILED_PRECONDITION,
        Reason.ERROR_REASON_LEASE_LOST,
        f"the lease on {key} is not held",
        metadata={"key": str(key)},
    )


def lease_held(key: Key, left: float) -> StoreError:
    """ABORTED: another caller holds the lease, for `left` more seconds at most."""
    return StoreError(
        StatusCode.ABORTED,
        Reason.ERROR_REASON_LEASE_HELD,
        f"another caller holds the lease on {key}",
        metadata={"key": str(key)},
        retry_after=left,
    )


def store_behind(key: Key, revision: int) -> StoreError:
    """FAILED_PRECONDITION: the store's revision is less than the fence."""
    return StoreError(
        StatusCode.FAILED_PRECONDITION,
        Reason.ERROR_REASON_STORE_BEHIND,
        "the store has not reached min_revision",
        metadata={"key": str(key), "revision": str(revision)},
    )


def context_too_large(size: int, limit: int) -> StoreError:
    """RESOURCE_EXHAUSTED: sizes in bytes, of the serialized context."""
    return StoreError(
        StatusCode.RESOURCE_EXHAUSTED,
        Reason.ERROR_REASON_CONTEXT_TOO_LARGE,
        f"context: has {size} bytes, at most {limit} are allowed",
        metadata={"size_bytes": str(size), "limit_bytes": str(limit)},
    )


def response_too_large(limit: int) -> StoreError:
    """RESOURCE_EXHAUSTED: no room for this result in a batch. `limit` in bytes."""
    return StoreError(
        StatusCode.RESOURCE_EXHAUSTED,
        Reason.ERROR_REASON_RESPONSE_TOO_LARGE,
        f"the answers before this one fill the batch (limit {limit} bytes); ask for it again",
        metadata={"limit_bytes": str(limit)},
    )


def too_many_requests(limit: int) -> StoreError:
    """RESOURCE_EXHAUSTED: the server already works on `limit` calls."""
    return StoreError(
        StatusCode.RESOURCE_EXHAUSTED,
        Reason.ERROR_REASON_TOO_MANY_REQUESTS,
        f"the server works on {limit} calls already",
        retry_after=RETRY_DELAY,
    )


def too_many_keys(limit: int) -> StoreError:
    """RESOURCE_EXHAUSTED: the stream already watches `limit` keys."""
    return StoreError(
        StatusCode.RESOURCE_EXHAUSTED,
        Reason.ERROR_REASON_TOO_MANY_REQUESTS,
        f"the stream watches {limit} keys already",
    )


def store_full() -> StoreError:
    """RESOURCE_EXHAUSTED: the store refuses writes for want of memory."""
    return StoreError(
        StatusCode.RESOURCE_EXHAUSTED,
        Reason.ERROR_REASON_STORE_FULL,
        "the store has no memory for another entry",
        retry_after=RETRY_DELAY,
    )


def unavailable(text: str = "the store cannot be reached") -> StoreError:
    """UNAVAILABLE: try again later. A write without request_id may have happened."""
    return StoreError(
        StatusCode.UNAVAILABLE,
        Reason.ERROR_REASON_STORE_UNAVAILABLE,
        text,
        retry_after=RETRY_DELAY,
    )


def stopping() -> StoreError:
    """UNAVAILABLE: this server does not take calls any more; others may."""
    return StoreError(
        StatusCode.UNAVAILABLE,
        Reason.ERROR_REASON_SERVER_STOPPING,
        "the server is stopping",
        retry_after=RETRY_DELAY,
    )


def unauthenticated() -> StoreError:
    """UNAUTHENTICATED: the call has no token that the server knows."""
    return StoreError(
        StatusCode.UNAUTHENTICATED,
        Reason.ERROR_REASON_UNAUTHENTICATED,
        "metadata 'authorization' must be 'Bearer' and a known token",
    )


def tenant_denied(tenant_id: str) -> StoreError:
    """PERMISSION_DENIED: the caller may not use this tenant."""
    return StoreError(
        StatusCode.PERMISSION_DENIED,
        Reason.ERROR_REASON_TENANT_DENIED,
        "the caller may not use this tenant",
        metadata={"tenant_id": tenant_id},
    )


def corrupt_entry(key: Key) -> StoreError:
    """DATA_LOSS: what the store holds under the key cannot be read."""
    return StoreError(
        StatusCode.DATA_LOSS,
        Reason.ERROR_REASON_CORRUPT_ENTRY,
        f"what the store holds under {key} is not a context",
        metadata={"key": str(key)},
    )


def internal() -> StoreError:
    """INTERNAL: a defect. The cause goes to the log, not to the caller."""
    return StoreError(
        StatusCode.INTERNAL, Reason.ERROR_REASON_INTERNAL, "a defect of the server; see its log"
    )
