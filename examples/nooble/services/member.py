"""The parts that every service of the platform has: queues and a source of configuration."""

import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from typing import Any

from faststream.redis import RedisBroker
from grpc import aio
from redis.asyncio import Redis
from relevo_client import (
    AsyncContextClient,
    CacheOptions,
    Fallback,
    Policy,
    aio_context_channel,
    aio_server_interceptor,
)
from relevo_client.actions import DomainAction
from relevo_client.actions.faststream import ActionQueues

from nooble.channels import store_channel
from nooble.counting import CountedChannel, CountingActions, CountingCalls
from nooble.loading import loaders
from nooble.management import Management
from nooble.observing import Seen, adding
from nooble.settings import Settings
from nooble.sources import AskedEachTime, RedisJson, Relevo, Source
from nooble.steps import Observer
from nooble.wiring import Wiring

POLICY = Policy(
    no_reference=Fallback.REJECT,
    unavailable=Fallback.LAST_KNOWN,
    too_old=Fallback.LAST_KNOWN,
)
"""A turn continues with the context that it began with, also if the store is unavailable."""
SNAPSHOTS = CacheOptions(max_staleness=10.0)
"""For services that resolve only snapshots. These never change, so rare signs of life suffice."""
MAX_DELIVERIES = 3


@dataclass
class Member:
    """One service's process."""

    name: str
    queues: ActionQueues
    source: Source
    contexts: AsyncContextClient | None = None
    """The client that resolves references; only in mode `relevo`."""
    store: CountedChannel | None = None
    """The client's channel to the store."""
    servers: Sequence[aio.ServerInterceptor] = field(default_factory=tuple)
    """The interceptors of its gRPC servers, which resolve references."""
    observer: Observer | None = None
    """The sender of its steps, if somebody observes them."""

    def seen(self, settings: Settings, *used: str) -> Seen:
        """The service's observation of the configuration that it works with, as a step ends.

        `used` are the sections, or paths of values, that the step used: an observer gets them.
        """
        if self.observer:
            self.observer.tell(settings, used, self.store.calls if self.store else 0)
        return Seen.of(self.name, settings, self.store)

    def passing_on(self, channel: aio.Channel) -> aio.Channel:
        """Wrap a channel so that its calls carry the current reference, if there is one."""
        return aio_context_channel(channel) if self.contexts else channel

    def reply(
        self,
        action: DomainAction,
        settings: Settings,
        payload: Mapping[str, Any],
        *others: Seen,
        used: Sequence[str] = (),
    ) -> DomainAction:
        """The answer to an action, with the observations of this service and of `others`.

        `used` is that of `seen`.
        """
        seen = self.seen(settings, *used)
        return action.reply(payload, metadata=adding(action.metadata, seen, *others))


@asynccontextmanager
async def member(
    name: str,
    wiring: Wiring,
    cache: CacheOptions = SNAPSHOTS,
    *,
    resolves_actions: bool = True,
) -> AsyncGenerator[Member]:
    """Set up a service's process for its mode; the caller starts its queues.

    If `resolves_actions` is False, the queues' handlers have no current context.
    """
    async with AsyncExitStack() as stack:
        management = await stack.enter_async_context(Management(wiring.management))
        source: Source = AskedEachTime(management)
        contexts = store = None
        if wiring.mode == "relevo":
            channel = await stack.enter_async_context(store_channel(wiring.store))
            store = CountedChannel(channel)
            contexts = await stack.enter_async_context(
                AsyncContextClient(
                    channel=store.as_channel(),
                    cache=replace(cache, service_name=name),
                    loaders=loaders(management),
                )
            )
            source = Relevo(contexts)
        elif wiring.mode == "redis-json":
            redis: Any = Redis.from_url(wiring.redis)  # pyright: ignore[reportUnknownMemberType]
            source = RedisJson(management, await stack.enter_async_context(redis))
        queues = ActionQueues(
            RedisBroker(wiring.queues, log_level=logging.DEBUG, middlewares=[CountingActions]),
            contexts if resolves_actions else None,
            service=name,
            policy=POLICY,
            redeliver_after=wiring.redeliver_after,
            max_deliveries=MAX_DELIVERIES,
        )
        service = Member(name, queues, source, contexts, store)
        if wiring.observer:
            observer = Observer(wiring.observer, name)
            service.observer = stack.enter_context(closing(observer))
            service.servers = [CountingCalls()]
        if contexts:
            resolving = aio_server_interceptor(contexts, trust_callers=True, policy=POLICY)
            service.servers = [CountingCalls(), resolving]
        yield service
