"""Actions through Redis Streams, with FastStream. Needs `relevo[faststream]`."""

import asyncio
import inspect
import logging
import os
import socket
from collections.abc import Callable
from typing import Any, Self, TypeVar

from faststream import AckPolicy
from faststream.redis import RedisBroker, StreamSub
from faststream.redis.message import RedisStreamMessage

from relevo_client._aio_client import AsyncContextClient
from relevo_client._context.raised import shown
from relevo_client._current import using
from relevo_client._policies import DEFAULT_POLICY, Policy
from relevo_client._propagation.callbacks import log
from relevo_client._propagation.clients import must_be_asyncio
from relevo_client.actions import _deliveries
from relevo_client.actions._deliveries import Delivery, Failure, Handler, ascii_of
from relevo_client.actions._keeping import Keeper, Subscriber
from relevo_client.actions._model import DomainAction
from relevo_client.actions._stamping import stamp

__all__ = ["ActionQueues"]

_H = TypeVar("_H", bound=Handler)
_DATA = b"__data__"  # where FastStream keeps a message in a stream's entry
_BLOCK_MS = 500  # below redis-py's socket timeouts


class _Queue:
    def __init__(self, name: str, handler: Handler, concurrency: int) -> None:
        self.name = name
        self.handler = handler
        self.room = asyncio.Semaphore(concurrency)
        self.in_hand: set[bytes] = set()
        self.subscribers: list[Subscriber] = []


class ActionQueues:
    """Sends actions to queues, and does what comes by them with its context current.

    A queue is a Redis Stream; `service` is the consumer group. Use with `async with`, which
    starts and stops the broker: register all handlers first.

        queues = ActionQueues(RedisBroker(url), contexts, service="execution")

        @queues.handle("execution.agent_run")
        async def run(action: DomainAction) -> dict[str, Any]:
            return {"answer": await answer(action.payload, require_context())}

        async with queues:
            await queues.send(DomainAction(...), "query.search")

    An action is acknowledged when it is done and its result is sent, or when it is in the
    dead-letter stream. Whatever ends a consumer before that, the action is delivered again.

    Args:
        broker: FastStream's, which nobody else starts.
        contexts: resolves the actions' references; None where they are only passed on.
        service: this service, and its consumer group.
        consumer: this process in the group; host and process id where it is left out.
        policy: what to do where a context cannot be had.
        resolve_timeout: seconds for that; see `bound`.
        redeliver_after: seconds after which an action that failed, or whose consumer is
            gone, is delivered again. A handler may take longer.
        max_deliveries: how often an action may be delivered in all.
        dead_letters: the stream for what cannot be done.
        concurrency: how many actions of a queue are handled at a time, by this process.
        max_length: of each queue that is sent to, about; the oldest entries go, handled or
            not. None for no limit.

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
        max_length: int | None = None,
    ) -> None:
        if redeliver_after < 0.001 or max_deliveries < 1 or concurrency < 1:
            raise ValueError("redeliver_after, max_deliveries and concurrency must be positive")
        if contexts is not None:
            must_be_asyncio(contexts, "ActionQueues")
        self._broker = broker
        self._contexts = contexts
        self._service = service
        self._consumer = consumer or f"{socket.gethostname()}-{os.getpid()}"
        self._policy = policy
        self._resolve_timeout = resolve_timeout
        self._redeliver_after = redeliver_after
        self._max_deliveries = max_deliveries
        self._dead_letters = dead_letters
        self._concurrency = concurrency
        self._max_length = max_length
        self._queues: dict[str, _Queue] = {}

    def handle(self, queue: str) -> Callable[[_H], _H]:
        """Register what does the actions of a queue: a coroutine function.

        What it returns is sent to the action's `callback_queue`, where there is one: a
        mapping as `action.reply(mapping)`, an action as it is. None sends nothing.
        """
        if queue in self._queues:
            raise ValueError(f"{queue} has a handler already")

        def register(handler: _H) -> _H:
            is_coroutine: bool = inspect.iscoroutinefunction(handler)
            if not is_coroutine:
                raise TypeError("a handler must be a coroutine function")
            self._queues[queue] = _Queue(queue, handler, self._concurrency)
            for _ in range(self._concurrency):
                self._subscribe(queue, claims=False)
            self._subscribe(queue, claims=True)
            return handler

        return register

    async def send(self, action: DomainAction, queue: str) -> None:
        """Send an action to a queue, with what `stamp` gives it and this service's name.

        Raises what redis-py raises where Redis does not take it.
        """
        if not action.origin_service:
            action = action.model_copy(update={"origin_service": self._service})
        await self._publish(stamp(action), queue)

    async def __aenter__(self) -> Self:
        """Create what is missing of the queues, and begin to read them."""
        client = await self._broker.connect()
        every = min(1.0, self._redeliver_after / 4)
        self._keeper = Keeper(client, self._service, self._consumer, every)
        try:
            for queue in self._queues:
                await self._keeper.create_group(queue)
            await self._broker.start()
        except BaseException:
            await self._broker.stop()
            raise
        subscribers = {name: queue.subscribers for name, queue in self._queues.items()}
        self._keeping = asyncio.create_task(
            self._keeper.run(lambda name: list(self._queues[name].in_hand), subscribers)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Read no more, wait for the handlers as long as the broker does, and disconnect it."""
        self._keeper.is_ending = True
        # What is in hand is kept until it is done.
        subscribers = [each for queue in self._queues.values() for each in queue.subscribers]
        await asyncio.gather(*(subscriber.stop() for subscriber in subscribers))
        while not self._keeping.done():
            self._keeping.cancel()
            # Not once: asyncio.wait_for, in which redis-py sends, may lose it on Python 3.11.
            await asyncio.wait([self._keeping], timeout=0.1)
        await self._broker.stop()

    def _subscribe(self, queue: str, *, claims: bool) -> None:
        idle = round(self._redeliver_after * 1000)
        stream = StreamSub(
            queue,
            group=self._service,
            consumer=self._consumer,
            # One at a time: what waits here for its turn is idle, as Redis sees it.
            max_records=1,
            polling_interval=max(10, min(1000, idle // 10)) if claims else _BLOCK_MS,
            min_idle_time=idle if claims else None,
        )

        async def receive(message: Any) -> None:
            await self._receive(self._queues[queue], message, claimed=claims)

        subscriber = self._broker.subscriber(
            stream=stream,
            parser=_parse,
            decoder=_as_it_is,
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            include_in_schema=False,
        )
        subscriber(receive)
        self._queues[queue].subscribers.append(subscriber)

    async def _receive(self, queue: _Queue, message: RedisStreamMessage, *, claimed: bool) -> None:
        (entry,) = message.raw_message["message_ids"]
        if entry in queue.in_hand:  # it was not kept in time, and is still being done here
            return
        queue.in_hand.add(entry)
        try:
            # Nothing that was current where the broker was started.
            with using(None):
                async with queue.room:
                    await self._deliver(queue, message, entry.decode(), claimed=claimed)
        except Exception as error:  # noqa: BLE001 - Redis may be away: the action stays pending
            text = "entry %s of %s stays pending: %s"
            log.warning(text, entry.decode(), ascii_of(queue.name), shown(error))
        finally:
            queue.in_hand.discard(entry)

    async def _deliver(
        self, queue: _Queue, message: RedisStreamMessage, entry: str, *, claimed: bool
    ) -> None:
        number = await message.get_delivery_count() if claimed else 1
        read = _deliveries.read(message.body)
        action = None if isinstance(read, Failure) else read
        delivery = Delivery(queue.name, entry, number, self._max_deliveries, action)
        failure: Failure | None
        if isinstance(read, Failure):
            failure = read
        elif number > self._max_deliveries:
            failure = _deliveries.TOO_OFTEN
        else:
            if number > 1:
                delivery.tell(logging.INFO, "is begun again", _deliveries.NOT_DONE)
            failure = await _deliveries.work(
                read,
                queue.handler,
                self.send,
                self._contexts,
                self._policy,
                self._resolve_timeout,
            )
        if failure is None:
            await message.ack()
        elif failure.is_final or number >= self._max_deliveries:
            await self._bury(message, delivery, failure)
            await message.ack()
            delivery.tell(logging.ERROR, "is a dead letter", failure)
        else:
            delivery.tell(logging.WARNING, "will be delivered again", failure)

    async def _bury(self, message: RedisStreamMessage, delivery: Delivery, why: Failure) -> None:
        # FastStream's format counts characters as bytes: any but ASCII would break it.
        kept = {
            ascii_of(name): ascii_of(str(value))
            for name, value in message.headers.items()
            if name != "reply_to"
        }
        about = {
            "queue": ascii_of(delivery.queue),
            "reason": why.reason,
            "deliveries": str(delivery.number),
            "service": ascii_of(self._service),
        }
        await self._broker.publish(
            message.body, stream=self._dead_letters, headers={**kept, **about}
        )
        action = delivery.action
        if action and action.callback_queue:
            reply = action.failure(why.reason, why.text)
            if why.is_of_context:  # who gets the reply could not have it either
                reply = reply.update(context_ref=None)
            await self.send(reply, action.callback_queue)

    async def _publish(self, action: DomainAction, queue: str) -> None:
        await self._broker.publish(
            action.model_dump_json().encode(),
            stream=queue,
            headers={"content-type": "application/json"},
            correlation_id=ascii_of(action.correlation_id or action.action_id),
            maxlen=self._max_length,
        )


async def _parse(message: Any, original: Callable[[Any], Any]) -> Any:
    try:
        return await original(message)
    except Exception:  # noqa: BLE001 - an entry that nobody can read is still to be buried
        fields: dict[bytes, bytes] = message["data"]
        lines = b"\n".join(part for field in fields.items() for part in field)
        return await original({**message, "data": {_DATA: lines}})


async def _as_it_is(message: Any) -> Any:
    """The message itself: what is in it is read where a failure can be handled."""
    return message
