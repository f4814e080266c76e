"""The deliveries that count if an action's context is unavailable."""

from typing import Any

import pytest
from relevo_client import AsyncContextClient, ContextKey, ContextRef
from relevo_client.actions import DomainAction, aio_bound
from relevo_client.actions._deliveries import work
from relevo_server import errors
from relevo_server.errors import StoreError
from relevo_server.wire import statuses
from support.servers.services import ServicerContext, service


@pytest.mark.parametrize(
    "error, counts",
    [
        (errors.unavailable(), False),
        (errors.too_many_requests(1), False),
        (errors.tenant_denied("acme"), True),
    ],
    ids=lambda value: value.reason if isinstance(value, StoreError) else "",
)
async def test_what_counts(error: StoreError, counts: bool) -> None:
    """A delivery does not count if the store may answer later."""
    begun: list[bool] = []

    async def get(_: bytes, context: ServicerContext) -> bytes:
        details = statuses.status_of(error).SerializeToString()
        trailers = ("grpc-status-details-bin", details), ("grpc-retry-pushback-ms", "-1")
        await context.abort(error.code, "", trailers)

    async def begin() -> None:
        begun.append(True)

    async def never(*_: Any) -> None:
        raise AssertionError("there is no context")

    ref = ContextRef(ContextKey("conversation", "acme", "c-1"))
    action = DomainAction(action_type="a.b.c", tenant_id="acme", context_ref=ref)
    async with (
        service({"Get": get}, name="relevo.v1.ContextStore") as address,
        AsyncContextClient(address, cache=None, timeout=10) as contexts,
    ):
        failure = await work(action, never, never, contexts, aio_bound, begin)
    assert failure is not None
    assert (failure.reason, failure.is_final) == (error.reason, False)
    assert begun == [True] * counts
