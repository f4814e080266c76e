"""Conditions of a Put: `if_version` and `if_absent`."""

import pytest
from grpc import StatusCode
from support.clients.calls import (
    Stub,
    context,
    get,
    invalidate,
    invalidate_tenant,
    is_alive,
    key,
    put,
    seconds,
)
from support.failures import failure_of
from support.waiting import until_async


async def end(stub: Stub, how: str) -> None:
    """End the entry in one of the ways that an entry can end."""
    if how == "invalidated":
        await invalidate(stub, key())
    elif how == "tenant":
        await invalidate_tenant(stub, "acme")
    elif how == "scope":
        await invalidate_tenant(stub, "acme", "conversation")
    else:
        await put(stub, key(), ttl=seconds(0.02))

        async def expired() -> bool:
            return not await is_alive(stub, key())

        await until_async(expired)


ENDS = ("invalidated", "tenant", "scope", "expired")


async def test_if_version_holds_for_the_current_version_only(stub: Stub) -> None:
    """A Put with the live entry's version replaces it; the previous version is then refused."""
    first = (await put(stub, key(), context(user_id="one"))).revision
    second = (await put(stub, key(), context(user_id="two"), if_version=first)).revision
    failure = await failure_of(put(stub, key(), context(user_id="three"), if_version=first))
    assert (failure.code, failure.reason) == (StatusCode.ABORTED, "VERSION_MISMATCH")
    assert failure.metadata == {"key": "conversation:acme:c1", "current_version": str(second)}
    entry = (await get(stub, key())).entry
    assert (entry.version, entry.context.user_id) == (second, "two")


async def test_if_version_does_not_hold_for_what_never_was(stub: Stub) -> None:
    """If no entry ever existed, every `if_version` is refused."""
    failure = await failure_of(put(stub, key(), if_version=1))
    assert (failure.code, failure.reason) == (StatusCode.ABORTED, "VERSION_MISMATCH")
    assert failure.metadata["current_version"] == "0"
    assert not await is_alive(stub, key())


@pytest.mark.parametrize("how", ENDS)
async def test_if_version_does_not_hold_for_what_has_ended(stub: Stub, how: str) -> None:
    """The last version of an ended entry is refused, whether or not the entry was created again."""
    version = (await put(stub, key())).revision
    await end(stub, how)
    failure = await failure_of(put(stub, key(), if_version=version))
    assert (failure.reason, failure.metadata["current_version"]) == ("VERSION_MISMATCH", "0")
    created = (await put(stub, key())).revision
    failure = await failure_of(put(stub, key(), if_version=version))
    assert failure.metadata["current_version"] == str(created)


async def test_if_absent_creates_once(stub: Stub) -> None:
    """A Put with `if_absent` creates an entry, and is refused if one exists."""
    version = (await put(stub, key(), context(user_id="one"), if_absent=True)).revision
    failure = await failure_of(put(stub, key(), context(user_id="two"), if_absent=True))
    assert (failure.code, failure.reason) == (StatusCode.ABORTED, "ENTRY_EXISTS")
    assert failure.metadata == {"key": "conversation:acme:c1", "current_version": str(version)}
    assert (await get(stub, key())).entry.context.user_id == "one"


@pytest.mark.parametrize("how", ENDS)
async def test_if_absent_holds_for_what_has_ended(stub: Stub, how: str) -> None:
    """An entry that has ended, in any way, counts as absent."""
    await put(stub, key())
    await end(stub, how)
    await put(stub, key(), if_absent=True)
    assert await is_alive(stub, key())


async def test_a_lease_that_nobody_holds_is_refused(stub: Stub) -> None:
    """A Put with a lease's token writes nothing if that lease is not held (S4)."""
    failure = await failure_of(put(stub, key(), lease_token="t"))  # noqa: S106
    assert (failure.code, failure.reason) == (StatusCode.FAILED_PRECONDITION, "LEASE_LOST")
    assert failure.metadata == {"key": "conversation:acme:c1"}
    assert not await is_alive(stub, key())
