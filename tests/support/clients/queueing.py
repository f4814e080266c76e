"""Queues on a real Redis, with names of the test's own, and access to their contents."""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from faststream.redis import BinaryMessageFormatV1, RedisBroker
from relevo_client import AsyncContextClient
from relevo_client.actions import DomainAction
from relevo_client.actions.faststream import ActionQueues

from support.redis.client import RedisClient
from support.waiting import until_async

SERVICE = "execution"
SOON = 0.2
"""Seconds after which an action is delivered again in tests."""


class Held(NamedTuple):
    """A consumer's pending entry, as Redis reports it."""

    consumer: str
    idle: float
    """Seconds since the entry was last read, claimed or kept."""
    begun: int
    """The number of handlers that have started with the entry."""


class Queueing:
    """The queues of one test."""

    def __init__(self, url: str, prefix: str, redis: RedisClient) -> None:
        self.url = url
        self.redis = redis
        self.work = f"{prefix}.work"
        """The queue for work."""
        self.results = f"{prefix}.results"
        """The queue for results."""
        self.dead = f"{prefix}.dead"
        """The queue for dead letters."""

    def queues(self, contexts: AsyncContextClient | None = None, **options: Any) -> ActionQueues:
        """A consumer or sender of actions."""
        given: dict[str, Any] = {
            "service": SERVICE,
            "redeliver_after": SOON,
            "dead_letters": self.dead,
        }
        broker = RedisBroker(self.url, logger=logging.getLogger("faststream"))
        return ActionQueues(broker, contexts, **{**given, **options})

    def action(self, **fields: Any) -> DomainAction:
        """An action whose sender waits for its result."""
        given: dict[str, Any] = {
            "action_type": "test.work.do",
            "callback_queue": self.results,
            "callback_action_type": "test.work.done",
        }
        return DomainAction(**{**given, **fields})

    async def send(self, *actions: DomainAction) -> None:
        """Send work, as another service does."""
        async with self.queues(service="sender") as sender:
            for action in actions:
                await sender.send(action, self.work)

    def sent(self, queue: str) -> list[DomainAction]:
        """The actions in a queue so far."""
        return [DomainAction.model_validate_json(body) for body, _ in self.entries(queue)]

    def entries(self, queue: str) -> list[tuple[bytes, dict[str, Any]]]:
        """The entries of a queue so far: bodies and headers."""
        found = self.redis("XRANGE", queue, "-", "+")
        return [BinaryMessageFormatV1.parse(fields[b"__data__"]) for _, fields in found]

    def pending(self, queue: str | None = None) -> int:
        """The number of actions that were delivered and not acknowledged."""
        number: int = self.redis("XPENDING", queue or self.work, SERVICE)["pending"]
        return number

    def held(self) -> Held:
        """The consumer of the first pending action. Raises AssertionError if none is pending."""
        # redis-py expects the reply of XPENDING without a range.
        script = "return redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1)"
        pending = self.redis("EVAL", script, 1, self.work, SERVICE)
        assert pending, "nothing is pending"
        _, consumer, idle, count = pending[0]
        return Held(consumer.decode(), idle / 1000, count - 1)

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        """Wait for a condition."""

        async def holds() -> object:
            return condition()

        await until_async(holds, what=what)

    async def until_done(self) -> None:
        """Wait until no action is pending."""
        await self.until(lambda: not self.pending(), "every action to be acknowledged")

    def forget(self) -> None:
        """Delete the queues."""
        self.redis("DEL", self.work, self.results, self.dead)
