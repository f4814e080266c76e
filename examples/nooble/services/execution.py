"""Agent execution: requests an embedding, then a search, and answers as the agent.

It keeps no state between these steps: the actions carry the state, so another replica may
do each step.
"""

from typing import Any

from relevo_client.actions import DomainAction
from relevo_demo.language_model import answer_as

from nooble.observing import adding
from nooble.services.member import Member, member
from nooble.services.running import announce, run, until_stopped
from nooble.who import identity_of
from nooble.wiring import EXECUTION_CALLBACK, GENERATE_EMBEDDING, RUN_AGENT, SEARCH, Wiring

EMBEDDED = "execution.embedding.done"
FOUND = "execution.search.done"
USED = (
    "llm_config",
    *(f"agent_config.{name}" for name in ("system_prompt", "answer_template", "no_answer")),
    "agent_config.cite_sources",
)
"""The settings that the last step uses. The others pass the work on."""
RUN = "run"
"""The key of the actions' metadata that has the run's original action."""


class Execution:
    """The steps of a run."""

    def __init__(self, service: Member) -> None:
        self._service = service
        service.queues.handle(RUN_AGENT)(self.run)
        service.queues.handle(EXECUTION_CALLBACK)(self.resume)

    async def run(self, action: DomainAction) -> None:
        """Start a run: request an embedding of the text and the earlier messages."""
        settings = await self._service.source.settings(action)
        text = " ".join([*action.payload["history"], action.payload["text"]])
        metadata = adding(action.metadata, self._service.seen(settings))
        # Without the rider, which each step's own action carries.
        without = {"metadata", "context_rider"}
        original = {"action": action.model_dump(mode="json", exclude=without)}
        await self._request(
            GENERATE_EMBEDDING, action, {**metadata, RUN: original}, {"texts": [text]}, EMBEDDED
        )

    async def resume(self, action: DomainAction) -> None:
        """Take the next step of a run with a service's answer."""
        original = DomainAction.model_validate(
            {**action.metadata[RUN]["action"], "metadata": _without_run(action)}
        )
        if action.error:
            reply = original.failure(action.error.reason, action.error.message)
            await self._service.queues.send(reply, original.callback_queue)
            return
        settings = await self._service.source.settings(action)
        if action.action_type == EMBEDDED:
            metadata = adding(action.metadata, self._service.seen(settings))
            payload = {"vector": action.payload["vectors"][0]}
            await self._request(SEARCH, action, metadata, payload, FOUND)
            return
        passages = [(each["collection"], each["text"]) for each in action.payload["passages"]]
        answer = answer_as(settings, original.payload["text"], passages)
        reply = self._service.reply(original, settings, {"text": answer}, used=USED)
        await self._service.queues.send(reply, original.callback_queue)

    async def _request(
        self,
        queue: str,
        action: DomainAction,
        metadata: dict[str, Any],
        payload: dict[str, Any],
        callback: str,
    ) -> None:
        await self._service.queues.send(
            DomainAction(
                **identity_of(action),
                action_type=_TYPES[queue],
                task_id=action.task_id,
                origin_service=self._service.name,
                correlation_id=action.correlation_id,
                callback_queue=EXECUTION_CALLBACK,
                callback_action_type=callback,
                payload=payload,
                metadata=metadata,
            ),
            queue,
        )


_TYPES = {GENERATE_EMBEDDING: "embedding.text.generate", SEARCH: "query.passages.search"}


def _without_run(action: DomainAction) -> dict[str, Any]:
    return {name: value for name, value in action.metadata.items() if name != RUN}


async def main(wiring: Wiring) -> None:
    """Work until SIGTERM."""
    async with member("execution", wiring) as service:
        Execution(service)
        async with service.queues:
            announce("execution")
            await until_stopped()


if __name__ == "__main__":
    run("execution", main)
