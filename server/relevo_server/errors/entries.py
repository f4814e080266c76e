"""Errors of an entry: its state in the store is not what the request needs."""

from grpc import StatusCode

from relevo_server.errors.base import RETRY_DELAY, StoreError
from relevo_server.errors.reason import Reason
from relevo_server.keys import Key


def no_entry(key: Key) -> StoreError:
    """NOT_FOUND: there is no live entry under the key.

    Raised by a Get, and by a Put with a mask. The client can create the entry.
    """
    return StoreError(
        StatusCode.NOT_FOUND,
        Reason.NO_ENTRY,
        f"there is no live entry under {key}",
        metadata={"key": str(key)},
    )


def conflict(key: Key, expected: int, current: int) -> StoreError:
    """ABORTED: a Put's `if_version` or `if_absent` does not hold.

    `current` is the live entry's version, 0 for none; `expected` is the version that was asked
    for, 0 for `if_absent`. The client has to read the entry again before it can decide.
    """
    if expected == 0:
        reason, text = Reason.ENTRY_EXISTS, f"there is an entry under {key} already"
    else:
        reason = Reason.VERSION_MISMATCH
        text = f"the entry under {key} does not have this version"
    return StoreError(
        StatusCode.ABORTED,
        reason,
        text,
        metadata={"key": str(key), "current_version": str(current)},
    )


def contention(key: Key) -> StoreError:
    """ABORTED: the entry changed between reading and writing it, again and again.

    Raised by a Put with a mask, and by a Get whose layers kept changing. The client can repeat
    the call after the RetryInfo's delay.
    """
    return StoreError(
        StatusCode.ABORTED,
        Reason.CONTENTION,
        f"the entry under {key} kept changing",
        metadata={"key": str(key)},
        retry_after=RETRY_DELAY,
    )


def lease_lost(key: Key) -> StoreError:
    """FAILED_PRECONDITION: a Put's `lease_token` is not, or no longer, the lease on the key.

    The lease's time is over, or an Invalidate or another Put ended it. What the client made may
    be outdated: it has to ask for the lease anew.
    """
    return StoreError(
        StatusCode.FAILED_PRECONDITION,
        Reason.LEASE_LOST,
        f"the lease on {key} is not held",
        metadata={"key": str(key)},
    )


def lease_held(key: Key, left: float) -> StoreError:
    """ABORTED: another caller holds the lease, for `left` more seconds at most.

    Raised by a Lease once its `wait` is over. The client can ask again after the RetryInfo's
    delay, which is `left`: by then there is an entry, or the lease is free.
    """
    return StoreError(
        StatusCode.ABORTED,
        Reason.LEASE_HELD,
        f"another caller holds the lease on {key}",
        metadata={"key": str(key)},
        retry_after=left,
    )


def store_behind(key: Key, revision: int) -> StoreError:
    """FAILED_PRECONDITION: the store's `revision` is less than the Get's `min_revision`.

    The store has lost writes, for example in a failover, or the fence is of another store. The
    client has to drop the fence with what it came from.
    """
    return StoreError(
        StatusCode.FAILED_PRECONDITION,
        Reason.STORE_BEHIND,
        "the store has not reached min_revision",
        metadata={"key": str(key), "revision": str(revision)},
    )


def corrupt_entry(key: Key) -> StoreError:
    """DATA_LOSS: what the store holds under the key is not a context.

    Something other than a server of Relevo wrote it. Or it is encrypted, and was changed, moved, or
    encrypted by a data key that is gone. A Put of the whole context, or an Invalidate of the key,
    mends it.
    """
    return StoreError(
        StatusCode.DATA_LOSS,
        Reason.CORRUPT_ENTRY,
        f"what the store holds under {key} is not a context, or cannot be decrypted",
        metadata={"key": str(key)},
    )


def corrupt_key(tenant_id: str) -> StoreError:
    """DATA_LOSS: the tenant's data key, which encrypts its values, was changed.

    Nothing was written. The operator has to shred the tenant, which then begins anew.
    """
    return StoreError(
        StatusCode.DATA_LOSS,
        Reason.CORRUPT_ENTRY,
        "the tenant's data key cannot be decrypted",
        metadata={"tenant_id": tenant_id},
    )
