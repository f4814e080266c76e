"""The turns of conversations that an orchestrator has in flight."""

import asyncio
import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from redis.exceptions import RedisError
from relevo_client import RelevoError, hear
from relevo_client.actions import DomainAction, QueueLostError

from nooble.counting import counted_for, turn_id
from nooble.management import ManagementError
from nooble.observing import SEEN, adding
from nooble.services.member import Member
from nooble.who import Who, identity_of
from nooble.wiring import RUN_AGENT

log = logging.getLogger("nooble")

USED = ("agent_config.history_turns",)
"""The settings that the orchestrator's step uses."""
FINISH = "orchestrator.turn.finish"
"""The action_type of the actions that bring answers."""


class TurnError(Exception):
    """Raised if a turn fails, with a machine-readable `reason`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Turns:
    """Sends turns to agent execution, and returns each answer to its caller.

    The answers come through this process's own queue, because it has the clients' connections.
    """

    def __init__(self, service: Member, timeout: float) -> None:
        self._service = service
        self._timeout = timeout
        self._pending: dict[str, asyncio.Future[DomainAction]] = {}
        self._queue = f"orchestrator.callback.{uuid.uuid4().hex}"
        service.queues.handle(self._queue)(self._finish)

    async def run(self, who: Who, text: str, history: Sequence[str]) -> Mapping[str, Any]:
        """Run one turn. Returns its answer and the services' observations. Raises TurnError."""
        try:
            with counted_for(turn := turn_id(is_first=not history), who.conversation_id):
                async with asyncio.timeout(self._timeout):
                    return await self._run(turn, who, text, history)
        except TimeoutError:
            raise TurnError("TIMEOUT", f"no answer within {self._timeout:g} s") from None
        except QueueLostError as error:
            raise TurnError("NO_QUEUES", "the queues have lost the turn") from error
        except RelevoError as error:
            raise TurnError(error.reason, "the conversation's context cannot be had") from error
        except ManagementError as error:
            raise TurnError("NO_CONFIGURATION", str(error)) from error
        except (RedisError, OSError) as error:
            raise TurnError("NO_QUEUES", "the turn cannot be sent on now") from error

    async def _run(
        self, turn: str, who: Who, text: str, history: Sequence[str]
    ) -> Mapping[str, Any]:
        answered = self._pending[turn] = asyncio.get_running_loop().create_future()
        try:
            async with (
                self._service.source.turn(who) as settings,
                self._service.queues.unless_lost(),
            ):
                recent = settings.agent_config["history_turns"]
                action = DomainAction(
                    **identity_of(who),
                    action_type="execution.agent.run",
                    task_id=turn,
                    correlation_id=turn,
                    origin_service=self._service.name,
                    callback_queue=self._queue,
                    callback_action_type=FINISH,
                    payload={"text": text, "history": list(history[-recent:]) if recent else []},
                    metadata=adding({}, self._service.seen(settings, *USED)),
                )
                await self._service.queues.send(action, RUN_AGENT)
                reply = await answered
                hear(reply.context_ref)
        finally:
            del self._pending[turn]
        if reply.error:
            raise TurnError(reply.error.reason, reply.error.message)
        return {"text": reply.payload["text"], SEEN: list(reply.metadata[SEEN])}

    async def _finish(self, action: DomainAction) -> None:
        answered = self._pending.get(action.correlation_id)
        if answered is None or answered.done():
            # Run twice, or too late: it is logged, and the caller gets no second answer.
            log.warning("turn %s is over; its answer comes again", action.correlation_id)
            return
        answered.set_result(action)
