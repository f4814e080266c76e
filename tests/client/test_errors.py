"""Statuses of the wire become exceptions of one class, with all details of the server."""

import pickle
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode, aio
from relevo.v1 import store_pb2
from relevo_client import (
    AccessDeniedError,
    AsyncContextClient,
    ConflictError,
    ContextKey,
    ExecutionContext,
    IncompleteContextError,
    InvalidFieldError,
    LeaseHeldError,
    LeaseLostError,
    NoContextError,
    NotFoundError,
    RelevoError,
    StoreBehindError,
    TooLargeError,
    UnavailableError,
    require_context,
)
from relevo_server.errors import StoreError
from relevo_server.wire.statuses import status_of as wire_status_of
from support.servers.services import service
from support.servers.statuses import EVERY_ERROR

KEY = ContextKey("conversation", "acme", "c 1")
STORE = "relevo.v1.ContextStore"
DETAILS = "grpc-status-details-bin"

KINDS: dict[str, type[RelevoError]] = {
    "INVALID_FIELD": InvalidFieldError,
    "REQUEST_ID_REUSED": InvalidFieldError,
    "SCHEMA_VIOLATION": InvalidFieldError,
    "NO_ENTRY": NotFoundError,
    "VERSION_MISMATCH": ConflictError,
    "ENTRY_EXISTS": ConflictError,
    "CONTENTION": ConflictError,
    "LEASE_LOST": LeaseLostError,
    "LEASE_HELD": LeaseHeldError,
    "STORE_BEHIND": StoreBehindError,
    "CONTEXT_TOO_LARGE": TooLargeError,
    "RESPONSE_TOO_LARGE": TooLargeError,
    "TOO_MANY_REQUESTS": TooLargeError,
    "QUOTA_EXCEEDED": TooLargeError,
    "STORE_FULL": TooLargeError,
    "STORE_UNAVAILABLE": UnavailableError,
    "SERVER_STOPPING": UnavailableError,
    "UNAUTHENTICATED": AccessDeniedError,
    "TENANT_DENIED": AccessDeniedError,
    "ROLE_DENIED": AccessDeniedError,
    "CORRUPT_ENTRY": RelevoError,
    "NOT_IMPLEMENTED": RelevoError,
    "INTERNAL": RelevoError,
}

each_error = pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: error.reason)


def status_of(error: StoreError) -> status_pb2.Status:
    """The status with which the server ends a call."""
    return status_pb2.Status.FromString(wire_status_of(error).SerializeToString())


@asynccontextmanager
async def store_that_fails_with(
    status: status_pb2.Status,
) -> AsyncGenerator[AsyncContextClient, None]:
    """A client of a store whose Gets end with a status, also in a batch."""

    async def get(_: bytes, context: aio.ServicerContext[bytes, bytes]) -> bytes:
        code = next(code for code in StatusCode if code.value[0] == status.code)
        await context.abort(code, status.message, ((DETAILS, status.SerializeToString()),))

    async def batch_get(request: bytes, _: Any) -> bytes:
        error = store_pb2.Error.FromString(status.SerializeToString())
        count = len(store_pb2.BatchGetRequest.FromString(request).requests)
        results = [store_pb2.BatchGetResult(error=error)] * count
        return store_pb2.BatchGetResponse(results=results).SerializeToString()

    methods = {"Get": get, "BatchGet": batch_get}
    async with (
        service(methods, name=STORE) as address,
        AsyncContextClient(address, timeout=10) as client,
    ):
        yield client


async def raised_by(call: Awaitable[object]) -> RelevoError:
    """The exception of a call."""
    with pytest.raises(RelevoError) as caught:
        await call
    return caught.value


async def both_ways(status: status_pb2.Status) -> list[RelevoError]:
    """A status as the exception of a call, and as a result in a batch."""
    async with store_that_fails_with(status) as client:
        of_a_call = await raised_by(client.get(KEY))
        (of_a_batch,) = await client.batch_get([KEY])
    assert isinstance(of_a_batch, RelevoError)
    return [of_a_call, of_a_batch]


@each_error
async def test_every_reason_has_its_exception(error: StoreError) -> None:
    """Each error of the contract has one exception class, with its reason, text and metadata."""
    if error.reason == "RESPONSE_TOO_LARGE":
        async with store_that_fails_with(status_of(error)) as client:
            found = [await raised_by(client.get(KEY))]  # in a batch, the client asks again
    else:
        found = await both_ways(status_of(error))
    for exception in found:
        assert type(exception) is KINDS[error.reason]
        assert exception.reason == error.reason
        assert str(exception) == error.message
        assert exception.metadata == error.metadata


@each_error
async def test_details_are_kept(error: StoreError) -> None:
    """The paths of malformed fields and the retry delay are those of the server."""
    async with store_that_fails_with(status_of(error)) as client:
        exception = await raised_by(client.get(KEY))
    assert getattr(exception, "violations", ()) == error.violations
    assert getattr(exception, "retry_after", None) == error.retry_after


async def test_a_conflict_knows_the_current_version() -> None:
    """ConflictError has the live entry's version, or 0 if there is none or it is unknown."""
    for error in EVERY_ERROR:
        if error.code is StatusCode.ABORTED:
            for exception in await both_ways(status_of(error)):
                assert isinstance(exception, ConflictError)
                told = error.metadata.get("current_version", "0")
                assert exception.current_version == int(told)


@pytest.mark.parametrize(
    "code, kind",
    [
        (StatusCode.INVALID_ARGUMENT, InvalidFieldError),
        (StatusCode.NOT_FOUND, NotFoundError),
        (StatusCode.ABORTED, ConflictError),
        (StatusCode.RESOURCE_EXHAUSTED, TooLargeError),
        (StatusCode.UNAVAILABLE, UnavailableError),
        (StatusCode.DEADLINE_EXCEEDED, UnavailableError),
        (StatusCode.UNAUTHENTICATED, AccessDeniedError),
        (StatusCode.PERMISSION_DENIED, AccessDeniedError),
        (StatusCode.FAILED_PRECONDITION, RelevoError),
        (StatusCode.UNKNOWN, RelevoError),
        (StatusCode.UNIMPLEMENTED, RelevoError),
        (StatusCode.INTERNAL, RelevoError),
    ],
    ids=str,
)
async def test_statuses_without_details(code: StatusCode, kind: type[RelevoError]) -> None:
    """Errors from between client and server have only a code, which becomes the reason."""
    for exception in await both_ways(status_pb2.Status(code=code.value[0], message="a proxy")):
        assert type(exception) is kind
        assert exception.reason == code.name
        assert exception.metadata == {}


async def test_reasons_of_others_are_not_ours() -> None:
    """The ErrorInfo of another domain has no reason of Relevo."""
    info = error_details_pb2.ErrorInfo(
        reason="LEASE_LOST", domain="other.example", metadata={"key": "theirs"}
    )
    for exception in await both_ways(with_details(StatusCode.FAILED_PRECONDITION, info)):
        assert type(exception) is RelevoError
        assert (exception.reason, exception.metadata) == ("FAILED_PRECONDITION", {})


def with_details(code: StatusCode, *details: Message) -> status_pb2.Status:
    """A status with these details."""
    status = status_pb2.Status(code=code.value[0], message="text")
    for detail in details:
        status.details.add().Pack(detail)
    return status


@pytest.mark.parametrize("garbage", [b"\xff\xff", b"\x1a\x04\x0a\x02\xc3\x28", b""], ids=ascii)
async def test_details_that_are_no_status(garbage: bytes) -> None:
    """Unreadable details do not hide the status itself."""

    async def get(_: bytes, context: aio.ServicerContext[bytes, bytes]) -> bytes:
        await context.abort(StatusCode.NOT_FOUND, "gone", ((DETAILS, garbage),))

    async with (
        service({"Get": get}, name=STORE) as address,
        AsyncContextClient(address, timeout=10) as client,
    ):
        exception = await raised_by(client.get(KEY))
    assert isinstance(exception, NotFoundError)
    assert (exception.reason, str(exception)) == ("NOT_FOUND", "gone")


async def test_a_store_that_cannot_be_reached() -> None:
    """If no server listens, UnavailableError is raised within the timeout."""
    async with AsyncContextClient("127.0.0.1:1", timeout=2) as client:
        for call in (
            client.get(KEY),
            client.batch_get([KEY]),
            client.put(KEY, ExecutionContext()),
            client.update(KEY, {"user_id": "u"}),
            client.invalidate(KEY),
            client.invalidate_tenant("acme"),
            client.resolve(KEY),
        ):
            assert isinstance(await raised_by(call), UnavailableError)


def test_no_context() -> None:
    """If no context is current, `require_context` raises a LookupError with a reason."""
    with pytest.raises(LookupError) as caught:
        require_context()
    assert isinstance(caught.value, NoContextError)
    assert caught.value.reason == "NO_CONTEXT"


def test_the_tree() -> None:
    """Every exception is a RelevoError with a reason; for a malformed value, a ValueError too."""
    for kind in set(KINDS.values()) | {IncompleteContextError, NoContextError}:
        assert issubclass(kind, RelevoError)
    assert issubclass(InvalidFieldError, ValueError)


MADE: list[Callable[[], RelevoError]] = [
    lambda: InvalidFieldError([("key.scope", "must not be empty")]),
    lambda: NotFoundError("text", reason="NO_ENTRY", metadata={"key": "a:b:c"}),
    lambda: ConflictError("text", reason="ENTRY_EXISTS", metadata={"current_version": "7"}),
    lambda: UnavailableError("text", reason="STORE_UNAVAILABLE", retry_after=0.5),
    lambda: IncompleteContextError("a:b:c", ["d:b:e"]),
    NoContextError,
]


@pytest.mark.parametrize("make", MADE, ids=lambda make: type(make()).__name__)
def test_exceptions_survive_pickle(make: Callable[[], RelevoError]) -> None:
    """Exceptions can be pickled, so that they pass through a process pool."""
    error = make()
    read: RelevoError = pickle.loads(pickle.dumps(error))  # noqa: S301 - ours
    assert type(read) is type(error)
    assert str(read) == str(error)
    assert vars(read) == vars(error)
