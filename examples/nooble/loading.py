"""How contexts come to be: what the store does not have is made from agent management's answers."""

import uuid
from collections.abc import Awaitable, Callable, Mapping

from relevo_client import AsyncContextClient, ContextKey, ExecutionContext, NotFoundError

from nooble.configuration import AGENT, COLLECTION, collections_of
from nooble.management import Management

Loader = Callable[[ContextKey], Awaitable[ExecutionContext]]


def loaders(management: Management) -> Mapping[str, Loader]:
    """What makes the entries of agents and collections: one process asks, once per change."""
    return {AGENT: management.configuration, COLLECTION: management.configuration}


def beginning(
    contexts: AsyncContextClient,
) -> Callable[[ExecutionContext], Awaitable[ExecutionContext]]:
    """What makes the context of a new conversation: who is in it, and what it builds on."""

    async def begin(identity: ExecutionContext) -> ExecutionContext:
        # Raises NotFoundError where there is no such agent.
        if not identity.agent_id:
            raise NotFoundError("a conversation begins with an agent", reason="NOT_FOUND")
        agent = ContextKey(AGENT, identity.tenant_id, identity.agent_id)
        configured = (await contexts.resolve(agent)).context
        return identity.update(
            context_id=uuid.uuid4().hex,
            includes=(*collections_of(agent, configured), agent),
        )

    return begin
