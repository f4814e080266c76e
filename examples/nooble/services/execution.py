"""Agent execution: has a text embedded, has it searched for, and answers as the agent.

It keeps nothing between these steps: what it needs again travels with the actions, so each
step may be done by another replica.
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
RUN = "run"
"""Where the metadata of its actions has what the run is about."""


class Execution:
    """The steps of a run."""

    def __init__(self, service: Member) -> None:
        self._service = service
        service.queues.handle(RUN_AGENT)(self.run)
        service.queues.handle(EXECUTION_CALLBACK)(self.go_on)

    async def run(self, action: DomainAction) -> None:
        """Begin: have the text embedded, together with what was said before."""
        settings = await self._service.source.settings(action)
        text = " ".join([*action.payload["history"], action.payload["text"]])
        metadata = adding(action.metadata, self._service.seen(settings))
        about = {"action": action.model_dump(mode="json", exclude={"metadata"})}
        await self._ask(
            GENERATE_EMBEDDING, action, {**metadata, RUN: about}, {"texts": [text]}, EMBEDDED
        )

    async def go_on(self, action: DomainAction) -> None:
        """Take the next step with what a service has answered."""
        begun = DomainAction.model_validate(
            {**action.metadata[RUN]["action"], "metadata": _without_run(action)}
        )
        if action.error:
            reply = begun.failure(action.error.reason, action.error.message)
            await self._service.queues.send(reply, begun.callback_queue)
            return
        settings = await self._service.source.settings(action)
        if action.action_type == EMBEDDED:
            metadata = adding(action.metadata, self._service.seen(settings))
            payload = {"vector": action.payload["vectors"][0]}
            await self._ask(SEARCH, action, metadata, payload, FOUND)
            return
        passages = [(each["collection"], each["text"]) for each in action.payload["passages"]]
        answer = answer_as(settings, begun.payload["text"], passages)
        reply = self._service.reply(begun, settings, {"text": answer})
        await self._service.queues.send(reply, begun.callback_queue)

    async def _ask(
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
    run(main)
