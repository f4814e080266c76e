"""The identity of a service at the store, and the callers whose contexts it takes."""

import asyncio
import os

from grpc import aio
from relevo_client import (
    AccessDeniedError,
    AsyncContextClient,
    ContextKey,
    ContextRef,
    ExecutionContext,
    aio_server_interceptor,
)

STORE = os.environ.get("RELEVO_TARGET", "store.internal:7390")
FOLDER = os.environ.get("RELEVO_FOLDER", "/etc/relevo")


def client() -> AsyncContextClient:
    """A client with TLS and a token. Both files are read again when they have changed."""
    return AsyncContextClient(STORE, ca=f"{FOLDER}/ca.crt", token_file=f"{FOLDER}/token")


def may(ref: ContextRef, context: "aio.ServicerContext[object, object]") -> bool:
    """Whether the caller may work for a tenant: its certificate names the tenant."""
    names = context.auth_context().get("x509_common_name", [])
    return ref.key.tenant_id.encode() in names


def interceptor(contexts: AsyncContextClient) -> aio.ServerInterceptor:
    """An interceptor for a service whose callers work for different tenants."""
    return aio_server_interceptor(contexts, trust_callers=True, authorize=may)


async def main() -> None:
    """Show what this service may do, and what it may not."""
    agent = ContextKey("agent_config", "acme", "support")
    async with client() as contexts:
        conversation = ContextKey("conversation", "acme", "c-1")
        await contexts.put(conversation, ExecutionContext(user_id="u-1"))
        print("may write a conversation")
        try:
            await contexts.put(agent, ExecutionContext())
        except AccessDeniedError as error:
            print("may not write an agent's configuration:", error.reason)


if __name__ == "__main__":
    asyncio.run(main())
