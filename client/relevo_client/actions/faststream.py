"""`ActionQueues`: actions through Redis Streams, with FastStream. Needs `relevo[faststream]`."""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Self, TypeVar
from weakref import WeakSet

from faststream import AckPolicy
from faststream.redis import RedisBroker, StreamSub
from faststream.redis.message import DefaultStreamMessage, RedisStreamMessage
from opentelemetry.trace import SpanKind

from relevo_client._client.aio import AsyncContextClient
from relevo_client._context.functions import is_coroutine_function
from relevo_client._propagation.clients import must_be_asyncio
from relevo_client._propagation.fallbacks import DEFAULT_POLICY, Policy
from relevo_client.actions._admission import Admission, AuthorizeAction
from relevo_client.actions._aio_binding import aio_bound
from relevo_client.actions._consuming import Consumer, Message, dead_letter_headers
from relevo_client.actions._deliveries import Begin, Delivery, Failure, Handler, ascii_of, work
from relevo_client.actions._entries import AbandonedEntry, Entries
from relevo_client.actions._keeping import Keeper
from relevo_client.actions._losses import Losses
from relevo_client.actions._model import DomainAction
from relevo_client.actions._reading import Acknowledging, as_it_is, parse
from relevo_client.actions._stamping import stamp
from relevo_client.actions._tracing import messaging

__all__ = ["ActionQueues"]

_H = TypeVar("_H", bound=Handler)
BROKERS: WeakSet[RedisBroker] = WeakSet()
"""The brokers of all ActionQueues, which `instrument` leaves alone."""
_BLOCK_MS = 500  # below redis-py's socket timeouts


class _Queue:
    """A queue that has a handler."""

    def __init__(self, name: str, handler: Handler) -> None:
        self.name = name
        self.handler = handler
        self.subscribers: list[Any] = []
        # Set by `__aenter__`.
        self.entries: Entries
        self.consumer: Consumer
        self.keeper: Keeper

    async def receive(self, message: RedisStreamMessage) -> None:
        """Handle an entry that FastStream has read, or that `take_over` passes on."""
        (entry,) = message.raw_message["message_ids"]
        (begun,) = message.raw_message.get("delivery_counts", (None,))
        message.consumer = Acknowledging(self.entries)
        await self.consumer.receive(entry, message, begun)

    async def take_over(self, abandoned: AbandonedEntry) -> None:
        """Handle an abandoned entry, through the broker's middlewares like a new one."""
        message = DefaultStreamMessage(
            type="stream",
            channel=self.name,
            message_ids=[abandoned.entry],
            data=abandoned.fields,
            delivery_counts=[abandoned.begun],
        )
        for subscriber in self.subscribers:
            if subscriber.running:
                await subscriber.consume(message)
                return


class ActionQueues:
    """Sends actions to queues, and handles received actions with their contexts current.

    A queue is a Redis Stream; `service` is the consumer group. Use `async with`, which starts
    and stops the broker: register all handlers before.

        queues = ActionQueues(RedisBroker(url), contexts, service="execution")

        @queues.handle("execution.agent_run")
        async def run(action: DomainAction) -> dict[str, Any]:
            return {"answer": await answer(action.payload, require_context())}

        async with queues:
            await queues.send(DomainAction(...), "query.search")

    An action is acknowledged when it is done and its result is sent, or when it is in the
    dead-letter stream. If its consumer ends before that, the action is redelivered.

    Args:
        broker: FastStream's broker, which nothing else starts.
        contexts: the client that resolves the actions' references; None to only pass them on.
        service: the name of this service and of its consumer group.
        consumer: the name of this process in the group; by default its host and process id.
        policy: the fallbacks if a context cannot be resolved.
        resolve_timeout: seconds to resolve a context; see the `timeout` of `aio_bound`.
        redeliver_after: seconds after which an action that failed, or whose consumer is
            gone, is redelivered. A handler may take longer. At least 0.001.
        max_deliveries: how often an action's handler may begin, in all processes; at least 1.
        dead_letters: the stream for actions that cannot be done.
        concurrency: the number of actions of a queue that this process handles at a time, of
            which at most one is a redelivery; at least 1.
        authorize: a plain function of an action's reference and the action. If it returns False,
            the action becomes a dead letter. None authorizes every reference.
        reply_queues: patterns of the queues that replies may go to; see `aio_bound`. An action
            with another `callback_queue` becomes a dead letter.
        max_length: the approximate length of each queue that this process sends to; the oldest
            entries are dropped, handled or not. None for no limit.
        riders: whether actions carry small snapshots, whose values are then in the queues.

    Raises ValueError for a number below its minimum, and TypeError for a blocking client or an
    `authorize` that is a coroutine function.

    """

    def __init__(
        self,
        broker: RedisBroker,
        contexts: AsyncContextClient | None,
        *,
        service: str,
        consumer: str | None = None,
        policy: Policy = DEFAULT_POLICY,
        resolve_timeout: float | None = None,
        redeliver_after: float = 30.0,
        max_deliveries: int = 5,
        dead_letters: str = "dead_letters",
        concurrency: int = 1,
        authorize: AuthorizeAction | None = None,
        reply_queues: Sequence[str] | None = None,
        max_length: int | None = None,
        riders: bool = True,
    ) -> None:
        if redeliver_after < 0.001 or max_deliveries < 1 or concurrency < 1:
            raise ValueError("redeliver_after, max_deliveries and concurrency must be positive")
        if contexts is not None:
            must_be_asyncio(contexts, "ActionQueues")
        self._broker = broker
        BROKERS.add(broker)
        self._contexts = contexts
        self._service = service
        self._consumer = consumer or f"{socket.gethostname()}-{os.getpid()}"
        self._admission = Admission(authorize, reply_queues)
        self._bind = partial(
            aio_bound,
            policy=policy,
            timeout=resolve_timeout,
            authorize=authorize,
            reply_queues=reply_queues,
        )
        self._redeliver_after = redeliver_after
        self._max_deliveries = max_deliveries
        self._dead_letters = dead_letters
        self._concurrency = concurrency
        self._max_length = max_length
        self._riders = riders
        self._queues: dict[str, _Queue] = {}
        self._losses = Losses()

    def handle(self, queue: str) -> Callable[[_H], _H]:
        """Decorate the handler of a queue's actions, a coroutine function.

        The handler's result is sent to the action's `callback_queue`, if there is one: a
        mapping as `action.reply(mapping)`, an action as it is. None sends nothing. Raises
        ValueError if the queue has a handler, and TypeError for a plain function.
        """
        if queue in self._queues:
            raise ValueError(f"{queue} has a handler already")

        def register(handler: _H) -> _H:
            if not is_coroutine_function(handler):
                raise TypeError("a handler must be a coroutine function")
            added = self._queues[queue] = _Queue(queue, handler)
            for _ in range(self._concurrency):
                self._subscribe(added)
            return handler

        return register

    async def send(self, action: DomainAction, queue: str) -> None:
        """Send an action to a queue, stamped by `stamp` and with this service as its origin.

        An `origin_service` of its own stays. Raises InvalidFieldError as `stamp` does, and the
        errors of redis-py.
        """
        if not action.origin_service:
            action = action.model_copy(update={"origin_service": self._service})
        with messaging("send", SpanKind.PRODUCER, action, queue, "redis"):
            await self._publish(stamp(action, rider=self._riders), queue)

    def unless_lost(self) -> AbstractAsyncContextManager[None]:
        """A block that waits for replies, and raises QueueLostError if Redis loses the queues.

            async with queues.unless_lost():
                await queues.send(action, "query.search")
                reply = await answered

        The error is raised within the block, about `min(1, redeliver_after / 10)` seconds after
        a Redis that was restarted without its data, or emptied, is reachable again. The queues
        that have a handler here detect the loss: with Redis Cluster, those on the reply's node.
        """
        return self._losses.block()

    async def __aenter__(self) -> Self:
        """Create the missing queues and consumer groups, and start reading."""
        client = await self._broker.connect()
        try:
            for queue in self._queues.values():
                self._connect(queue, client)
                await queue.keeper.begin()
            await self._broker.start()
        except BaseException:
            await self._broker.stop()
            raise
        keepers = [queue.keeper for queue in self._queues.values()]
        self._keeping = [asyncio.create_task(keeper.run()) for keeper in keepers]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop reading, wait for the handlers as long as the broker does, and disconnect it."""
        for queue in self._queues.values():
            queue.keeper.is_ending = True
        # The keepers run on, so that entries in progress are not redelivered.
        subscribers = [each for queue in self._queues.values() for each in queue.subscribers]
        await asyncio.gather(*(subscriber.stop() for subscriber in subscribers))
        while tasks := [task for task in self._keeping if not task.done()]:
            for task in tasks:
                task.cancel()
            # Repeated: Python 3.11's asyncio.wait_for, in which redis-py sends, may lose it.
            await asyncio.wait(tasks, timeout=0.1)
        await self._broker.stop()

    def _subscribe(self, queue: _Queue) -> None:
        stream = StreamSub(
            queue.name,
            group=self._service,
            consumer=self._consumer,
            # One at a time: Redis counts entries that wait here for their turn as idle.
            max_records=1,
            polling_interval=_BLOCK_MS,
        )

        async def receive(message: Any) -> None:
            await queue.receive(message)

        subscriber = self._broker.subscriber(
            stream=stream,
            parser=parse,
            decoder=as_it_is,
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            include_in_schema=False,
        )
        subscriber(receive)
        queue.subscribers.append(subscriber)

    def _connect(self, queue: _Queue, client: Any) -> None:
        queue.entries = Entries(client, queue.name, self._service, self._consumer)

        async def run(action: DomainAction, begin: Begin) -> Failure | None:
            bind = partial(self._bind, queue=queue.name)
            return await work(action, queue.handler, self.send, self._contexts, bind, begin)

        queue.consumer = Consumer(
            queue.name, queue.entries, self._concurrency, self._max_deliveries, run, self._bury
        )
        queue.keeper = Keeper(
            queue.name,
            queue.entries,
            queue.consumer.in_progress,
            queue.subscribers,
            queue.take_over,
            self._losses.end_blocks,
            self._redeliver_after,
        )

    async def _bury(self, message: Message, delivery: Delivery, failure: Failure) -> None:
        about = dead_letter_headers(message, delivery, failure)
        headers = {**about, "service": ascii_of(self._service)}
        await self._broker.publish(message.body, stream=self._dead_letters, headers=headers)
        action = delivery.action
        if action and self._admission.may_reply_to(action.callback_queue):
            reply = action.failure(failure.reason, failure.text)
            if failure.is_of_context:  # the receiver of the reply could not resolve it either
                reply = reply.update(context_ref=None, context_rider=b"")
            await self.send(reply, action.callback_queue)

    async def _publish(self, action: DomainAction, queue: str) -> None:
        await self._broker.publish(
            action.model_dump_json().encode(),
            stream=queue,
            headers={"content-type": "application/json"},
            correlation_id=ascii_of(action.correlation_id or action.action_id),
            maxlen=self._max_length,
        )
