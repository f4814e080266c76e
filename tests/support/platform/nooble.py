"""A running Nooble platform, with the access of its users and its operators."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Self, cast

import httpx
import psutil
import pytest
from nooble.observing import SEEN, Seen, all_of
from nooble.processes import Nooble, nooble
from nooble.script import Talk
from relevo_client import ContextKey
from relevo_demo import launching
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from support.platform.launching import start
from support.redis.process import RedisProcess
from support.waiting import until_async

LONG = 60.0
"""Seconds for operations that may be slow on a busy machine."""
WORKERS = ("execution", "embedding", "query")
"""The services with replicas."""
STEPS = (
    *("orchestrator", "execution", "embedding", "execution"),
    *("query", "embedding", "execution"),
)
"""The services of a turn, in their order."""
Changes = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Answer:
    """The WebSocket's answer to a turn."""

    said: Mapping[str, Any]

    @property
    def error(self) -> str:
        """The reason of a failed turn, "" if it succeeded."""
        reason: str = self.said.get("error", "")
        return reason

    @property
    def seen(self) -> Sequence[Seen]:
        """The services' observations, step by step."""
        return list(all_of(self.said.get(SEEN, ())))

    @property
    def versions(self) -> Mapping[str, int]:
        """The versions that all services used. Raises AssertionError if they differ."""
        first, *others = [seen.versions for seen in self.seen]
        assert all(each == first for each in others), self.said
        return first

    def pids(self, service: str) -> set[int]:
        """The processes of a service that worked on the turn."""
        return {seen.pid for seen in self.seen if seen.service == service}


@dataclass(frozen=True)
class Refusal:
    """The refusal of a handshake."""

    status: int
    reason: str
    message: str
    headers: Mapping[str, str]


class Conversation:
    """A client's connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def ask(self, text: str = "Can I return a tent?") -> Answer:
        """Send a turn, and return its answer."""
        await self.say(text)
        return await self.answer()

    async def say(self, text: str = "Can I return a tent?") -> None:
        """Send a turn."""
        await self._connection.send(text)

    async def answer(self) -> Answer:
        """Receive an answer."""
        async with asyncio.timeout(LONG):
            return Answer(json.loads(await self._connection.recv()))


class Platform:
    """A platform in the mode `relevo`. Use with `running`."""

    def __init__(self, platform: Nooble, redis: RedisProcess) -> None:
        self.wiring = platform.wiring
        self.redis = redis
        self._platform = platform
        self._conversations = 0
        self._orchestrators = cycle(platform.orchestrators)

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        redis: RedisProcess,
        environment: Mapping[str, str] | None = None,
        /,
        **options: float,
    ) -> AsyncGenerator[Self]:
        """Start a platform on this Redis, with processes that are forked.

        They get `environment` beside the tests' own. `options` are those of `nooble`: times,
        `replicas`, `strips_metadata`.
        """
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(launching, "start", start)
            async with nooble(
                "relevo", redis=redis.url, environment=environment, **cast("Any", options)
            ) as platform:
                yield cls(platform, redis)

    @property
    def metrics(self) -> Mapping[str, Sequence[str]]:
        """The addresses at which Prometheus finds metrics, by service."""
        found: dict[str, list[str]] = {}
        for process in self._platform.processes:
            if process.metrics:
                found.setdefault(process.name, []).append(process.metrics)
        return found

    def talk(self, tenant_id: str, agent_id: str) -> Talk:
        """A conversation with a new id."""
        self._conversations += 1
        return Talk(tenant_id, agent_id, f"c-{self._conversations}", "u-1")

    @asynccontextmanager
    async def conversation(
        self, tenant_id: str, agent_id: str, **headers: str
    ) -> AsyncGenerator[Conversation]:
        """A new conversation with an agent."""
        async with self._connect({**self.talk(tenant_id, agent_id).headers, **headers}) as each:
            yield Conversation(each)

    async def refusal(self, headers: Mapping[str, str]) -> Refusal:
        """The refusal of a handshake with these headers. AssertionError if it is accepted."""
        try:
            async with self._connect(headers):
                raise AssertionError("it was not refused")
        except InvalidStatus as error:
            response = error.response
            why = json.loads(response.body)["error"]
            return Refusal(
                response.status_code, why["reason"], why["message"], dict(response.headers.items())
            )

    def _connect(self, headers: Mapping[str, str]) -> connect:
        url = f"ws://{next(self._orchestrators)}/conversation"
        return connect(url, additional_headers=headers, open_timeout=LONG)

    async def change(self, key: ContextKey, changes: Changes) -> int:
        """Change a configuration in agent management, and return its new version."""
        response = await self.patch(key.text, changes)
        version: int = response.raise_for_status().json()["version"]
        return version

    async def patch(self, key: str, changes: Any) -> httpx.Response:
        """Send a change to agent management, and return the response."""
        async with self._management() as management:
            return await management.patch(f"/configurations/{key}", json=changes)

    async def reads(self) -> int:
        """The number of requests to agent management for a configuration."""
        async with self._management() as management:
            reads: int = (await management.get("/counts")).json()["reads"]
            return reads

    def _management(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.wiring.management, timeout=LONG)

    def named(self, service: str) -> set[int]:
        """The live processes of a service."""
        pids = {process.pid for process in self._platform.named(service)}
        return {pid for pid in pids if not has_ended(pid)}

    @contextmanager
    def halted(self, *services: str) -> Generator[set[int]]:
        """Halt all processes of some services for the duration of the block."""
        pids = {pid for service in services for pid in self.named(service)}
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield pids
        finally:
            for pid in pids:
                resume(pid)

    async def kill(self, *services: str) -> None:
        """Kill all processes of some services."""
        for service in services:
            for pid in self.named(service):
                await kill(pid)

    def entries(self, queue: str) -> int:
        """The number of entries that a queue has ever had."""
        with self.redis.client() as client:
            length: int = client("XLEN", queue)
            return length

    def holders(self, queue: str, service: str) -> dict[int, int]:
        """The number of pending entries of a queue for each process of a service."""
        with self.redis.client() as client:
            consumers = client("XPENDING", queue, service)["consumers"]
            return {int(each["name"].rpartition(b"-")[2]): each["pending"] for each in consumers}

    def begun(self, queue: str, service: str) -> list[int]:
        """The number of started handlers for each entry that a service has not acknowledged."""
        # redis-py expects the reply of XPENDING without a range.
        script = "return redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 100)"
        with self.redis.client() as client:
            pending = client("EVAL", script, 1, queue, service)
            return [count - 1 for _, _, _, count in pending]

    def dead_letters(self) -> list[bytes]:
        """The dead letters with their reasons, the oldest first."""
        with self.redis.client() as client:
            entries = client("XRANGE", "dead_letters", "-", "+")
            return [b"".join(fields.values()) for _, fields in entries]


def resume(pid: int) -> None:
    """Resume a halted process, if it is alive."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


async def kill(pid: int) -> None:
    """Kill a process."""
    os.kill(pid, signal.SIGKILL)
    await until_async(lambda: has_ended(pid), what=f"the end of {pid}")


def has_ended(pid: int) -> bool:
    """Whether a process has ended, even if it was not reaped yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
