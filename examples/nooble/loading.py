"""Loaders of contexts: an entry that the store lacks is made from agent management's answers."""

import uuid
from collections.abc import Awaitable, Callable, Mapping

from relevo_client import AsyncContextClient, ContextKey, ExecutionContext, NotFoundError

from nooble.configuration import AGENT, COLLECTION, collections_of
from nooble.management import Management

Loader = Callable[[ContextKey], Awaitable[ExecutionContext]]


def loaders(management: Management) -> Mapping[str, Loader]:
    """The loaders of agents' and collections' entries. One process loads, once per change."""
    return {AGENT: management.configuration, COLLECTION: management.configuration}


def beginning(
    contexts: AsyncContextClient,
) -> Callable[[ExecutionContext], Awaitable[ExecutionContext]]:
    """The function that makes a new conversation's context: its identity and its includes."""

    async def begin(identity: ExecutionContext) -> ExecutionContext:
        # Raises NotFoundError if there is no such agent.
        if not identity.agent_id:
            raise NotFoundError("a conversation begins with an agent", reason="NOT_FOUND")
        agent = ContextKey(AGENT, identity.tenant_id, identity.agent_id)
        configured = (await contexts.resolve(agent)).context
        return identity.update(
            context_id=uuid.uuid4().hex,
            includes=(*collections_of(agent, configured), agent),
        )

    return begin
