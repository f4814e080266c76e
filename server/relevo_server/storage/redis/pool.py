"""A pool of connections to one Redis server, on which commands travel together.

redis-py's own pool and client take more CPU for a command than all the rest of a Get; this one
needs little more than a timer, and its part of a write and of a read. Half of that CPU is the
kernel's, for each write and each read anew. So the commands that come in one turn of the event
loop are sent together, and their answers are received together.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from functools import partial
from typing import Any, Self

from redis import exceptions as redis_errors

from relevo_server.deadline import earliest
from relevo_server.storage.redis.connection import LATE, Argument, Connection, pack

FAILURES = (redis_errors.RedisError, OSError)  # includes TimeoutError
"""The exceptions of commands that fail."""
_TOGETHER = 16
"""The most commands on one connection at a time: none waits for the answers of more."""
_LARGE = 16 << 10
"""Bytes. A larger command travels alone: no other waits until it is received."""
_TICK = 0.001
"""Seconds. A loop's timers and its clock may differ by so much."""
_ASKING = pack(("ASKING",))


class _Command:
    """A command, sent once at most, and the future of its answer."""

    __slots__ = ("answer", "connection", "end", "is_alone", "is_asking", "packed")

    def __init__(
        self,
        packed: bytes,
        answer: asyncio.Future[Any],
        end: float,
        *,
        is_asking: bool,
        is_alone: bool,
    ) -> None:
        self.packed = packed
        self.answer = answer
        self.end = end
        self.is_asking = is_asking
        self.is_alone = is_alone or len(packed) > _LARGE
        self.connection: Connection | None = None
        """The connection that it was sent on."""

    def expire(self) -> None:
        """Fail, because no answer came in time."""
        self.fail(ConnectionError(LATE))
        self.give_up()

    def fail(self, error: BaseException) -> None:
        """Fail, unless the command has an answer, or nobody waits for it."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def give_up(self) -> None:
        """Close the command's connection if nobody waits for any of its answers."""
        if self.connection:
            self.connection.give_up()


class Pool:
    """A connection pool that opens connections on demand and keeps them.

    The commands of one turn of the event loop are sent together, sixteen on one connection at
    most, which is then theirs until all are answered. A command that is cancelled or times out
    does not concern the others: its answer is dropped. A connection is closed if nobody waits for
    any of its answers.

    `open_connection` opens a connection before the given time of the event loop; the commands
    raise its errors. `timeout` is in seconds.
    """

    def __init__(
        self,
        open_connection: Callable[[float], Awaitable[Connection]],
        *,
        timeout: float,
        max_connections: int,
    ) -> None:
        self._open = open_connection
        self._timeout = timeout
        # The last one used comes last; None stands for a connection that is not open yet.
        self._free: list[Connection | None] = [None] * max_connections
        self._unsent: deque[_Command] = deque()
        self._is_due = False
        self._unanswered: set[_Command] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._rings = 0.0  # a timer of uvloop that is due cannot tell when that is
        self._openings: set[asyncio.Task[None]] = set()

    async def execute_command(self, *words: Argument, is_alone: bool = False) -> Any:
        """Send one command. Raises RedisError, OSError or TimeoutError.

        `is_alone` is for a command whose answer may be large: no other one waits for it.
        """
        end = earliest(asyncio.get_running_loop().time() + self._timeout)
        return await self.send(words, end, is_alone=is_alone)

    async def send(
        self,
        words: tuple[Argument, ...],
        end: float,
        *,
        asking: bool = False,
        is_alone: bool = False,
    ) -> Any:
        """Send one command before `end`, a time of the event loop.

        `asking` sends ASKING first, as a redirection by ASK requires.
        """
        loop = asyncio.get_running_loop()
        packed = _ASKING + pack(words) if asking else pack(words)
        command = _Command(packed, loop.create_future(), end, is_asking=asking, is_alone=is_alone)
        self._unsent.append(command)
        self._unanswered.add(command)
        self._send_soon()
        if self._timer is None or end < self._rings:
            self._expire_at(end)
        try:
            return await command.answer
        except asyncio.CancelledError:
            command.give_up()
            raise
        finally:
            self._unanswered.discard(command)

    async def masters(self) -> Sequence[Self]:
        """The pools of all servers that may be written: this one."""
        return (self,)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._timer and not self._unanswered:
            self._timer.cancel()
        for opening in self._openings:
            opening.cancel()
        await asyncio.gather(*self._openings, return_exceptions=True)
        while self._free:
            connection = self._free.pop()
            if connection:
                await connection.close()

    def _send_soon(self) -> None:
        """Send what is unsent, when the tasks of this turn have run and added theirs."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._send_unsent)

    def _send_unsent(self) -> None:
        self._is_due = False
        while self._free and (commands := self._next_commands()):
            connection = self._free.pop()
            if connection is None or connection.is_closed:
                opening = asyncio.create_task(self._open_for(commands), context=Context())
                self._openings.add(opening)
                opening.add_done_callback(self._openings.discard)
            else:
                self._send(commands, connection)

    def _expire_at(self, end: float) -> None:
        """Look at that time whether commands are late. One timer for all: few of them are."""
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(end, self._expire)
        self._rings = end

    def _expire(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time() + _TICK
        for command in [each for each in self._unanswered if each.end <= now]:
            command.expire()
            self._unanswered.discard(command)
        if self._unanswered:
            self._expire_at(min(command.end for command in self._unanswered))

    def _next_commands(self) -> list[_Command]:
        """The commands that travel together next; none if all are sent."""
        commands: list[_Command] = []
        unsent = self._unsent
        while unsent and len(commands) < _TOGETHER:
            if unsent[0].answer.done():  # cancelled, or its time is over
                unsent.popleft()
            elif commands and (unsent[0].is_alone or commands[0].is_alone):
                break
            else:
                commands.append(unsent.popleft())
        return commands

    async def _open_for(self, commands: Sequence[_Command]) -> None:
        """Open a connection and send commands on it. They fail if it cannot be opened."""
        end = max(command.end for command in commands)
        try:
            async with asyncio.timeout_at(end):
                connection = await self._open(end)
        except asyncio.CancelledError:
            for command in commands:
                command.fail(ConnectionError("the pool is closed"))
            raise
        except Exception as error:  # noqa: BLE001 - raised by the commands
            for command in commands:
                command.fail(error)
            self._free_again(None)
        else:
            connection.when_idle = partial(self._free_again, connection)
            self._send(commands, connection)

    def _send(self, commands: Sequence[_Command], connection: Connection) -> None:
        waiting = [command for command in commands if not command.answer.done()]
        if not waiting:
            self._free_again(connection)
            return
        answers: list[asyncio.Future[Any]] = []
        for command in waiting:
            command.connection = connection
            if command.is_asking:
                answers.append(_ignored())
            answers.append(command.answer)
        connection.send(b"".join([command.packed for command in waiting]), answers)

    def _free_again(self, connection: Connection | None) -> None:
        self._free.append(connection)
        if self._unsent:
            self._send_soon()


def _ignored() -> asyncio.Future[Any]:
    """A future for an answer that is dropped."""
    ignored: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    ignored.cancel()
    return ignored


async def ask_each(servers: Sequence[Pool], *words: Argument) -> list[Any]:
    """Send one command to each server. Returns the answers; servers that fail have none."""

    async def ask(server: Pool) -> list[Any]:
        try:
            return [await server.execute_command(*words)]
        except FAILURES:
            return []

    return [answer for each in await asyncio.gather(*map(ask, servers)) for answer in each]
