"""Plays the demo's script: conversations turn by turn, and a change of one agent."""

import time

from relevo.demo.v1 import rag_platform_pb2_grpc as grpc_api
from relevo.demo.v1.rag_platform_pb2 import ConverseRequest
from relevo_client import ContextKey, ContextRef

from relevo_demo.files import AGENT, Conversation, Script
from relevo_demo.owner import AgentManagement
from relevo_demo.report import Report
from relevo_demo.turns import Turn, problems_of, problems_of_change, problems_of_constancy

TIMEOUT = 10.0
"""Seconds that a turn may take."""


class Story:
    """Plays a script, and checks every turn against the promises."""

    def __init__(
        self,
        script: Script,
        owner: AgentManagement,
        orchestrator: "grpc_api.OrchestratorServiceAsyncStub",
        report: Report,
    ) -> None:
        self._script = script
        self._owner = owner
        self._orchestrator = orchestrator
        self._report = report
        self._latest: dict[Conversation, Turn] = {}
        self.turns: list[Turn] = []
        self.change: ContextRef | None = None
        """The Put that changed an agent, or None before it."""
        self.problems: list[str] = []
        """The promises that were not kept."""

    async def play(self) -> None:
        """Play the whole script, with one turn of every conversation in each round."""
        conversations, change = self._script.conversations, self._script.change
        for number in range(1, 1 + max(len(c.turns) for c in conversations)):
            for conversation in conversations:
                if number <= len(conversation.turns):
                    await self._turn(number, conversation)
            if number == change.after_round:
                key = ContextKey(AGENT, change.tenant_id, change.agent_id)
                began = time.monotonic()
                self.change = await self._owner.change(key, change.changes)
                self._report.change(change, self.change, time.monotonic() - began)

    async def _turn(self, number: int, conversation: Conversation) -> None:
        text = conversation.turns[number - 1]
        began = time.monotonic()
        response = await self._orchestrator.Converse(
            ConverseRequest(
                tenant_id=conversation.tenant_id,
                agent_id=conversation.agent_id,
                conversation_id=conversation.conversation_id,
                user_id=conversation.user_id,
                text=text,
            ),
            timeout=TIMEOUT,
        )
        seconds = time.monotonic() - began
        turn = Turn.of(number, conversation, text, response, seconds)
        before = self._latest.get(conversation)
        self._report.turn(turn, before)
        self.problems += self._problems(turn, before)
        self.turns.append(turn)
        self._latest[conversation] = turn

    def _problems(self, turn: Turn, before: Turn | None) -> list[str]:
        problems = list(problems_of(turn))
        if problems or before is None:
            return problems
        change = self._script.change
        if (
            self.change
            and turn.number == change.after_round + 1
            and (turn.tenant_id, turn.agent_id) == (change.tenant_id, change.agent_id)
        ):
            return list(problems_of_change(change, self.change, before, turn))
        return list(problems_of_constancy(before, turn))
