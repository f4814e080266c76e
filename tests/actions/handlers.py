"""A handler that fails as often as a test needs."""

from typing import Any

from relevo_client.actions import DomainAction
from relevo_client.actions.faststream import ActionQueues
from support.clients.actions import user

SECRET = {"password": "secret"}


def counting(queues: ActionQueues, queue: str, failures: int = 0) -> list[DomainAction]:
    """The actions of a handler that fails this many times at first."""
    seen: list[DomainAction] = []

    @queues.handle(queue)
    async def work(action: DomainAction) -> dict[str, Any]:
        seen.append(action)
        if len(seen) <= failures:
            raise ValueError(str(SECRET))
        return {"user": user()}

    return seen
