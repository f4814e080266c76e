"""A running platform, as its users and those who look after it have it."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self

import httpx
import psutil
from nooble.observing import SEEN, Seen, all_of
from nooble.processes import Nooble, nooble
from nooble.script import Talk
from relevo_client import ContextKey
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from support.redis.process import RedisProcess
from support.waiting import until_async

LONG = 60.0
"""Seconds for what may take a while on a busy machine."""
WORKERS = ("execution", "embedding", "query")
"""The services with replicas."""
STEPS = (
    *("orchestrator", "execution", "embedding", "execution"),
    *("query", "embedding", "execution"),
)
"""The services that work on a turn, in their order."""
Changes = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Answer:
    """What the WebSocket said to a turn."""

    said: Mapping[str, Any]

    @property
    def error(self) -> str:
        """Why there is no answer, for programs; empty where there is one."""
        reason: str = self.said.get("error", "")
        return reason

    @property
    def seen(self) -> Sequence[Seen]:
        """What the services said, step by step."""
        return list(all_of(self.said.get(SEEN, ())))

    @property
    def versions(self) -> Mapping[str, int]:
        """What all services agreed on; AssertionError where they did not."""
        first, *others = [seen.versions for seen in self.seen]
        assert all(each == first for each in others), self.said
        return first

    def pids(self, service: str) -> set[int]:
        """The processes of a service that worked on it."""
        return {seen.pid for seen in self.seen if seen.service == service}


@dataclass(frozen=True)
class Refusal:
    """How a handshake was refused."""

    status: int
    reason: str
    message: str
    headers: Mapping[str, str]


class Conversation:
    """A client's connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def ask(self, text: str = "Can I return a tent?") -> Answer:
        """Take a turn."""
        await self.say(text)
        return await self.answer()

    async def say(self, text: str = "Can I return a tent?") -> None:
        """Begin a turn."""
        await self._connection.send(text)

    async def answer(self) -> Answer:
        """What comes back."""
        async with asyncio.timeout(LONG):
            return Answer(json.loads(await self._connection.recv()))


class Platform:
    """A platform in the mode `relevo`. Use with `running`."""

    def __init__(self, platform: Nooble, redis: RedisProcess) -> None:
        self.wiring = platform.wiring
        self.redis = redis
        self._platform = platform
        self._conversations = 0

    @classmethod
    @asynccontextmanager
    async def running(cls, redis: RedisProcess, **times: float) -> AsyncGenerator[Self]:
        """Start one, on this Redis."""
        async with nooble("relevo", redis=redis.url, **times) as platform:
            yield cls(platform, redis)

    def talk(self, tenant_id: str, agent_id: str) -> Talk:
        """A conversation that nobody has held before."""
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
        """How a handshake with these headers is refused; AssertionError where it is not."""
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
        url = f"ws://{self._platform.orchestrator}/conversation"
        return connect(url, additional_headers=headers, open_timeout=LONG)

    async def change(self, key: ContextKey, changes: Changes) -> int:
        """Have agent management change a configuration: its new version."""
        response = await self.patch(key.text, changes)
        version: int = response.raise_for_status().json()["version"]
        return version

    async def patch(self, key: str, changes: Any) -> httpx.Response:
        """The same, whatever comes of it."""
        async with self._management() as management:
            return await management.patch(f"/configurations/{key}", json=changes)

    async def reads(self) -> int:
        """How often agent management was asked for a configuration."""
        async with self._management() as management:
            reads: int = (await management.get("/counts")).json()["reads"]
            return reads

    def _management(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.wiring.management, timeout=LONG)

    def named(self, service: str) -> set[int]:
        """The processes of a service that are alive."""
        pids = {process.pid for process in self._platform.named(service)}
        return {pid for pid in pids if not has_ended(pid)}

    @contextmanager
    def halted(self, *services: str) -> Generator[set[int]]:
        """All processes of some services do nothing, for as long as the block lasts."""
        pids = {pid for service in services for pid in self.named(service)}
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield pids
        finally:
            for pid in pids:
                go_on(pid)

    async def kill(self, *services: str) -> None:
        """End all processes of some services at once, without a chance to say goodbye."""
        for service in services:
            for pid in self.named(service):
                await kill(pid)

    def entries(self, queue: str) -> int:
        """How many entries a queue has ever had."""
        with self.redis.client() as client:
            length: int = client("XLEN", queue)
            return length

    def holders(self, queue: str, service: str) -> dict[int, int]:
        """The processes of a service that hold entries of a queue, and how many they hold."""
        with self.redis.client() as client:
            consumers = client("XPENDING", queue, service)["consumers"]
            return {int(each["name"].rpartition(b"-")[2]): each["pending"] for each in consumers}

    def begun(self, queue: str, service: str) -> list[int]:
        """How many handlers have begun with each entry that a service has not acknowledged."""
        # redis-py expects what XPENDING says without a range.
        script = "return redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 100)"
        with self.redis.client() as client:
            pending = client("EVAL", script, 1, queue, service)
            return [count - 1 for _, _, _, count in pending]

    def dead_letters(self) -> list[bytes]:
        """What could not be done, the oldest first, with why."""
        with self.redis.client() as client:
            entries = client("XRANGE", "dead_letters", "-", "+")
            return [b"".join(fields.values()) for _, fields in entries]


def go_on(pid: int) -> None:
    """Let a halted process go on, where it is alive."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


async def kill(pid: int) -> None:
    """End a process at once."""
    os.kill(pid, signal.SIGKILL)
    await until_async(lambda: asyncio.sleep(0, has_ended(pid)), what=f"the end of {pid}")


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or waits for nothing but to be reaped."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
