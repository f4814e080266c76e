"""Sends work to a queue, with the context of a conversation."""

from collections.abc import Sequence

from relevo_client import AsyncContextClient, ContextKey
from relevo_client.actions import DomainAction
from relevo_client.actions.faststream import ActionQueues


# --8<-- [start:send]
async def send(
    queues: ActionQueues, contexts: AsyncContextClient, key: ContextKey, texts: Sequence[str]
) -> None:
    """Have texts embedded. The action carries the turn's snapshot, and its answer goes back."""
    action = DomainAction(
        action_type="embedding.texts.generate",
        payload={"texts": list(texts)},
        callback_queue="search.results",
        callback_action_type="embedding.texts.generated",
    )
    async with contexts.turn(key):
        await queues.send(action, "embedding.generate")


# --8<-- [end:send]
