"""A conversation that includes its agent's configuration."""

import asyncio
import json

from relevo_client import AsyncContextClient, ContextKey, ExecutionContext

STORE = "localhost:7390"
AGENT = ContextKey("agent_config", "acme", "support")
CONVERSATION = ContextKey("conversation", "acme", "c-1")


# --8<-- [start:compose]
async def compose(contexts: AsyncContextClient) -> ExecutionContext:
    """The composed context of a conversation."""
    agent = ExecutionContext(llm_config={"model": "m-1", "temperature": 0.7})
    await contexts.put(AGENT, agent)
    own = ExecutionContext(user_id="u-1", llm_config={"temperature": 0.2}, includes=(AGENT,))
    await contexts.put(CONVERSATION, own)
    return (await contexts.resolve(CONVERSATION)).context


# --8<-- [end:compose]
async def main() -> None:
    """Print what a service would work with."""
    async with AsyncContextClient(STORE) as contexts:
        print(json.dumps(dict((await compose(contexts)).llm_config), sort_keys=True))


if __name__ == "__main__":
    asyncio.run(main())
