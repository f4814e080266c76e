"""A program that uses a store in several tasks at once, and prints the history.

    python -m support.clients.recording TARGET NAME SECONDS CALLS

It works for SECONDS and until CALLS calls have succeeded, so that a slow machine records
as much as a fast one. Each line is a record of support/history.py. Some reads come from its near
cache; their fence is the highest revision that the process has seen of the tenant.
"""

import asyncio
import json
import random
import sys
import time
from dataclasses import replace

from grpc import aio
from relevo_client import (
    CHANNEL_OPTIONS,
    AsyncContextClient,
    CacheOptions,
    ConflictError,
    ContextKey,
    ContextRef,
    ExecutionContext,
    NotFoundError,
    UnavailableError,
)

from support.history import FencedRead, Operation

KEYS = [ContextKey("conversation", tenant, name) for tenant in ("a", "b") for name in ("1", "2")]
_TASKS = 4
_LONGEST_PAUSE = 0.01


class Recorder:
    """The work of one process. `once` is a client without retries."""

    def __init__(self, name: str, client: AsyncContextClient, once: AsyncContextClient) -> None:
        self._name = name
        self._client = client
        self._once = once
        self._random = random.Random(name)  # noqa: S311 - the same again in each run
        self._values = 0
        self._versions = dict.fromkeys(KEYS, 0)
        self._fences = dict.fromkeys((key.tenant_id for key in KEYS), 0)
        self._succeeded = 0

    async def run(self, seconds: float, calls: int) -> None:
        """Use the store for `seconds`, and until `calls` calls have succeeded."""
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(_TASKS):
                group.create_task(self._use(end, calls))

    async def _use(self, end: float, enough: int) -> None:
        calls = (self._get, self._put, self._compare_and_set, self._invalidate, self._resolve)
        while time.monotonic() < end or self._succeeded < enough:
            key = self._random.choice(KEYS)
            (call,) = self._random.choices(calls, weights=(3, 1, 3, 1, 3))
            record = replace(await call(key), end=time.monotonic_ns())
            self._succeeded += isinstance(record, Operation) and record.outcome == "ok"
            print(json.dumps(record.to_json()))
            await asyncio.sleep(self._random.uniform(0, _LONGEST_PAUSE))

    async def _get(self, key: ContextKey) -> Operation:
        asked = Operation(key.text, "get", time.monotonic_ns(), 0, "unknown")
        try:
            entry = await self._client.get(key)
        except UnavailableError:
            return asked
        except NotFoundError:
            return replace(asked, outcome="ok")
        self._saw(key, entry.version)
        value = entry.context.user_id
        return replace(asked, outcome="ok", value=value, version=entry.version)

    async def _put(self, key: ContextKey) -> Operation:
        context = self._fresh()
        value = context.user_id
        asked = Operation(key.text, "put", time.monotonic_ns(), 0, "unknown", value)
        try:
            version = (await self._client.put(key, context)).revision
        except UnavailableError:
            return asked
        self._saw(key, version)
        return replace(asked, outcome="ok", version=version)

    async def _compare_and_set(self, key: ContextKey) -> Operation:
        context, expected = self._fresh(), self._versions[key]
        value = context.user_id
        asked = Operation(
            key.text, "cas", time.monotonic_ns(), 0, "unknown", value, expected=expected
        )
        try:
            version = (
                await self._client.put(
                    key, context, if_version=expected or None, if_absent=not expected
                )
            ).revision
        except UnavailableError:
            return asked
        except ConflictError as error:
            self._saw(key, error.current_version)
            return replace(asked, outcome="conflict", version=error.current_version)
        self._saw(key, version)
        return replace(asked, outcome="ok", version=version)

    async def _invalidate(self, key: ContextKey) -> Operation:
        asked = Operation(key.text, "invalidate", time.monotonic_ns(), 0, "unknown")
        try:
            # A retry would also end entries put in between, which would make it two operations.
            ended = await self._once.invalidate(key)
        except UnavailableError:
            return asked
        self._saw(key, 0)
        self._follow(key, ended.revision)
        return replace(asked, outcome="ok", version=ended.revision, count=ended.count or 0)

    async def _resolve(self, key: ContextKey) -> FencedRead | Operation:
        ref = ContextRef(key, self._fences[key.tenant_id])
        read = FencedRead(key.text, ref.revision, time.monotonic_ns(), 0)
        try:
            entry = self._client.peek(ref)
            if entry is None:
                read = replace(read, is_cached=False)
                entry = await self._client.resolve(ref)
        except UnavailableError:
            return Operation(key.text, "get", read.begin, 0, "unknown")
        except NotFoundError:
            return read
        return replace(read, value=entry.context.user_id, version=entry.version)

    def _fresh(self) -> ExecutionContext:
        self._values += 1
        return ExecutionContext(user_id=f"{self._name}-{self._values}")

    def _saw(self, key: ContextKey, version: int) -> None:
        self._versions[key] = version
        self._follow(key, version)

    def _follow(self, key: ContextKey, revision: int) -> None:
        self._fences[key.tenant_id] = max(revision, self._fences[key.tenant_id])


async def _record(target: str, name: str, seconds: float, calls: int) -> None:
    # Independent connections that reconnect soon.
    own = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 500)]
    cache = CacheOptions(max_staleness=1.0)
    async with (
        aio.insecure_channel(target, [*CHANNEL_OPTIONS, *own]) as channel,
        aio.insecure_channel(target, [*own, ("grpc.enable_retries", 0)]) as plain,
        AsyncContextClient(channel=channel, cache=cache, timeout=10) as client,
        AsyncContextClient(channel=plain, timeout=10) as once,
    ):
        await Recorder(name, client, once).run(seconds, calls)


if __name__ == "__main__":
    asyncio.run(_record(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])))
