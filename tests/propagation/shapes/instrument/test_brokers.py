"""Messages of FastStream's brokers carry the context of who has published them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from faststream.redis import RedisBroker, TestRedisBroker
from faststream.redis.annotations import RedisChannelMessage
from relevo_client import (
    AccessDeniedError,
    ContextEntry,
    ContextKey,
    ContextRef,
    NotFoundError,
    Policy,
    RelevoError,
    await_context,
    current_context,
    current_ref,
    instrument,
    use_context,
)
from relevo_client.actions.faststream import ActionQueues
from relevo_client.testing import LocalStore
from support.instrumenting import Instrument


@dataclass
class Consumer:
    """What a consumer has seen of its messages."""

    broker: RedisBroker
    users: list[str | None] = field(default_factory=list[str | None])
    refs: list[ContextRef | None] = field(default_factory=list[ContextRef | None])
    headers: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    async def publish(self, headers: dict[str, Any] | None = None) -> None:
        """Publish a message, which is consumed before this returns."""
        await self.broker.publish("hello", "orders", headers=headers)


@asynccontextmanager
async def consuming() -> AsyncGenerator[Consumer, None]:
    """A broker with a consumer, made now. FastStream's own tests drive it in memory."""
    broker = RedisBroker()
    consumer = Consumer(broker)

    @broker.subscriber("orders")
    async def consume(body: str, message: RedisChannelMessage) -> None:
        del body
        await await_context()
        now = current_context()
        consumer.users.append(now.user_id if now else None)
        consumer.refs.append(current_ref())
        consumer.headers.append(dict(message.headers))

    async with TestRedisBroker(broker):
        yield consumer


async def test_a_message_has_its_publishers_context(
    instrumented: Instrument, entry: ContextEntry
) -> None:
    """The consumer works with the publisher's context; the message has its name and no values."""
    instrumented(trust_callers=True)
    async with consuming() as consumer:
        with use_context(entry):
            await consumer.publish({"own": "1"})
        await consumer.publish()
    assert consumer.users == ["u-1", None]
    assert consumer.refs == [entry.ref, None]
    carried = consumer.headers[0]
    assert (carried["own"], carried["context-key"]) == ("1", entry.ref.key.text)
    assert {name for name in carried if name.startswith("context-")} == {
        "context-key",
        "context-revision",
    }
    assert not any(name.startswith("context-") for name in consumer.headers[1])


@pytest.mark.parametrize("is_lazy", [False, True])
async def test_fallbacks(instrumented: Instrument, entry: ContextEntry, is_lazy: bool) -> None:
    """The policy decides for a message whose context cannot be had: by default its error is raised.

    Then FastStream's acknowledgement policy says what becomes of the message.
    """
    instrumented(trust_callers=True, policy=Policy(lazy=is_lazy))
    gone = ContextKey("conversation", entry.key.tenant_id, "gone")
    async with consuming() as consumer:
        with pytest.raises(NotFoundError):
            await consumer.publish({"context-key": gone.text, "context-revision": "1"})
    assert consumer.users == []


async def test_whom_to_believe(
    instrumented: Instrument, entry: ContextEntry, caplog: pytest.LogCaptureFixture
) -> None:
    """References are ignored unless callers are trusted, as those of calls are.

    Nor is there what is current where the message is consumed: here in the publisher's own task.
    """
    instrumented()
    async with consuming() as consumer:
        with use_context(entry):
            await consumer.publish()
    assert consumer.users == [None]
    assert "RELEVO_TRUST_CALLERS" in caplog.text


async def test_authorize(instrumented: Instrument, entry: ContextEntry) -> None:
    """`authorize` is asked with the reference and FastStream's message."""
    asked: list[tuple[ContextRef, str]] = []

    def may(ref: ContextRef, message: Any) -> bool:
        asked.append((ref, type(message).__module__.partition(".")[0]))
        return False

    instrumented(trust_callers=True, authorize=may)
    async with consuming() as consumer:
        with use_context(entry), pytest.raises(AccessDeniedError):
            await consumer.publish()
    assert asked == [(entry.ref, "faststream")]
    assert consumer.users == []


async def test_a_malformed_reference(instrumented: Instrument) -> None:
    """A message whose reference cannot be read is not consumed."""
    instrumented(trust_callers=True)
    async with consuming() as consumer:
        with pytest.raises(RelevoError, match="malformed"):
            await consumer.publish({"context-key": "no:such:key:at:all"})
    assert consumer.users == []


async def test_action_queues_are_left_alone(instrumented: Instrument, entry: ContextEntry) -> None:
    """A broker of ActionQueues is wired explicitly: its actions carry their contexts themselves."""
    instrumented(trust_callers=True)
    broker = RedisBroker()
    ActionQueues(broker, None, service="orders")
    seen: list[dict[str, Any]] = []

    @broker.subscriber("plain")
    async def consume(body: str, message: RedisChannelMessage) -> None:
        del body
        seen.append(dict(message.headers))

    async with TestRedisBroker(broker):
        with use_context(entry):
            await broker.publish("hello", "plain")
    assert [name for name in seen[0] if name.startswith("context-")] == []


async def test_after_undo(store: LocalStore, entry: ContextEntry) -> None:
    """A broker that was made meanwhile goes on without contexts after `undo`."""
    mine = instrument(target=store.address, timeout=10, trust_callers=True)
    async with consuming() as consumer:
        with use_context(entry):
            await consumer.publish()
            await mine.aundo()
            await consumer.publish()
    assert consumer.users[0] == "u-1"
    assert [name for name in consumer.headers[1] if name.startswith("context-")] == []
