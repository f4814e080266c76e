"""The Admin service's stub, and short forms of its calls."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, TypeAlias

from grpc import aio
from relevo.admin.v1 import admin_pb2_grpc
from relevo.admin.v1.admin_pb2 import KeyInfo, ListKeysRequest
from relevo_server.settings import Principal

from support.clients.calls import TIMEOUT
from support.clients.strict import StrictChannel

AdminStub: TypeAlias = "admin_pb2_grpc.AdminAsyncStub"


@asynccontextmanager
async def admin_of(address: str) -> AsyncGenerator[AdminStub, None]:
    """The generated stub, on a channel of its own. Fails if a response is not strict."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with aio.insecure_channel(address, options) as channel:
        strict: Any = StrictChannel(channel)
        stub: Any = admin_pb2_grpc.AdminStub(strict)
        yield stub
        for problem in strict.problems:
            raise problem


async def all_keys(
    admin: AdminStub, tenant: str, scope: str = "", *, page_size: int = 0
) -> list[KeyInfo]:
    """The keys of a tenant, from all pages."""
    found: list[KeyInfo] = []
    token = ""
    while True:
        request = ListKeysRequest(
            tenant_id=tenant, scope=scope, page_size=page_size, page_token=token
        )
        page = await admin.ListKeys(request, timeout=TIMEOUT)
        found += page.keys
        token = page.next_page_token
        if not token:
            return found


def principal(token: str, *tenants: str, admin: bool = False) -> Principal:
    """A principal with this token, which is its name too."""
    digest = sha256(token.encode()).hexdigest()
    return Principal(name=token, token_sha256=digest, tenants=tenants, admin=admin)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata of a caller with this token."""
    return (("authorization", f"Bearer {token}"),)
