"""The store as the console asks it: one channel, and calls with the token of the viewer."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from grpc import aio
from relevo.admin.v1 import admin_pb2, admin_pb2_grpc
from relevo.v1 import store_pb2, store_pb2_grpc
from relevo_cli import keys
from relevo_cli.connection import CHANNEL_OPTIONS
from relevo_server.keys import Key

from relevo_console.problems import Kind, StoreCallError, problem_of

_Response = TypeVar("_Response")
_PAGE = 1000
"""The clients of one page."""
_TOP = 100
"""The most tenants that a server returns."""
_SEARCH = 60.0
"""Seconds that a call may take that searches the whole database."""


class Store:
    """A server, and the channel to it. Use it with `async with`, in the loop that asks."""

    def __init__(
        self, target: str, credentials: grpc.ChannelCredentials | None, timeout: float
    ) -> None:
        self.target = target
        self.away_since: float | None = None
        """Since when the store does not answer, in seconds since 1970. None if it does."""
        self._credentials = credentials
        self.timeout = timeout
        """The seconds that a call may take."""

    async def __aenter__(self) -> Self:
        """Open the channel. Nothing is sent before the first call."""
        options = [*CHANNEL_OPTIONS]
        self._channel = (
            aio.secure_channel(self.target, self._credentials, options)
            if self._credentials
            else aio.insecure_channel(self.target, options)
        )
        admin: Any = admin_pb2_grpc.AdminStub(self._channel)
        contexts: Any = store_pb2_grpc.ContextStoreStub(self._channel)
        self.admin: admin_pb2_grpc.AdminAsyncStub = admin
        self.contexts: store_pb2_grpc.ContextStoreAsyncStub = contexts
        """For Invalidate alone: it returns secrets as they are."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the channel; calls in flight end."""
        await self._channel.close()

    def as_viewer(self, token: str) -> "Viewer":
        """Calls with this token, "" for none."""
        return Viewer(self, token)

    def failed(self, error: grpc.RpcError) -> StoreCallError:
        """The problem of a failed call. Remembers since when the store is away."""
        problem = problem_of(error)
        if problem.kind is not Kind.AWAY:
            self.answered()
        elif self.away_since is None:
            self.away_since = time.time()
        return problem

    def answered(self) -> None:
        """Remember that the store answers."""
        self.away_since = None


class Viewer:
    """Calls to a store with one token. Each raises StoreCallError."""

    def __init__(self, store: Store, token: str) -> None:
        self._store = store
        self._admin = store.admin
        self._token = token
        self._timeout = store.timeout

    async def status(self) -> admin_pb2.GetStatusResponse:
        """The state of the server and its store."""
        return await self._call(self._admin.GetStatus, admin_pb2.GetStatusRequest())

    async def partitions(self) -> Sequence[admin_pb2.Partition]:
        """The partitions."""
        request = admin_pb2.ListPartitionsRequest()
        response: admin_pb2.ListPartitionsResponse = await self._call(
            self._admin.ListPartitions, request
        )
        return response.partitions

    async def clients(self, most: int | None = None) -> list[admin_pb2.ConnectedClient]:
        """The connected clients, or at most so many of them."""
        request = admin_pb2.ListClientsRequest(page_size=min(most or _PAGE, _PAGE))
        found: list[admin_pb2.ConnectedClient] = []
        while True:
            page: admin_pb2.ListClientsResponse = await self._call(self._admin.ListClients, request)
            found += page.clients
            if not page.next_page_token or (most and len(found) >= most):
                return found
            request.page_token = page.next_page_token

    async def keys(
        self, tenant: str, scope: str, after: str, size: int
    ) -> admin_pb2.ListKeysResponse:
        """A page of a tenant's keys."""
        request = admin_pb2.ListKeysRequest(
            tenant_id=tenant, scope=scope, page_token=after, page_size=size
        )
        return await self._call(self._admin.ListKeys, request)

    async def top_tenants(self, order: int) -> admin_pb2.ListTopTenantsResponse:
        """The tenants that use the server most."""
        chosen: Any = order  # a value of TopOrder
        request = admin_pb2.ListTopTenantsRequest(order_by=chosen, page_size=_TOP)
        return await self._call(self._admin.ListTopTenants, request)

    async def usage(self, tenant: str) -> admin_pb2.GetUsageResponse:
        """The usage of a tenant. The database is searched, which takes seconds if it is large."""
        request = admin_pb2.GetUsageRequest(tenant_id=tenant)
        return await self._call(self._admin.GetUsage, request, max(_SEARCH, self._timeout))

    async def explain(self, key: Key, revision: int = 0) -> admin_pb2.ExplainResponse:
        """A composed context with the origin of each value, without what is secret."""
        request = admin_pb2.ExplainRequest(key=keys.message(key), min_revision=revision)
        return await self._call(self._admin.Explain, request)

    async def changes(
        self, request: admin_pb2.ChangesRequest
    ) -> AsyncGenerator[admin_pb2.ChangesResponse, None]:
        """The changes that a request selects; endless if it follows."""
        timeout = None if request.follow else self._timeout
        call = self._admin.Changes(request, metadata=self._metadata(), timeout=timeout)
        try:
            async for response in call:
                self._store.answered()
                yield response
        except grpc.RpcError as error:
            raise self._store.failed(error) from None
        finally:
            call.cancel()

    async def invalidate(
        self, target: Key | store_pb2.TenantSelector, request_id: str
    ) -> store_pb2.InvalidateResponse:
        """End an entry, or all entries of a tenant or a scope."""
        request = store_pb2.InvalidateRequest(request_id=request_id)
        if isinstance(target, Key):
            request.keys.keys.append(keys.message(target))
        else:
            request.tenant.CopyFrom(target)
        return await self._call(self._store.contexts.Invalidate, request)

    async def _call(
        self,
        method: Callable[..., Awaitable[_Response]],
        request: Any,
        timeout: float | None = None,
    ) -> _Response:
        try:
            response = await method(
                request, timeout=timeout or self._timeout, metadata=self._metadata()
            )
        except grpc.RpcError as error:
            raise self._store.failed(error) from None
        self._store.answered()
        return response

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self._token}"),) if self._token else ()
