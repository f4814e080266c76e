"""The first service: each line that you type is a turn of a conversation."""

import asyncio
import sys

from grpc import aio
from relevo.demo.v1.rag_platform_pb2 import RunAgentRequest
from relevo.demo.v1.rag_platform_pb2_grpc import ExecutionServiceStub
from relevo_client import AsyncContextClient, ContextKey, ExecutionContext, aio_context_channel

STORE, ANSWERS = "localhost:7390", "localhost:50051"
AGENT = ContextKey("agent_config", "acme", "support")
CONVERSATION = ContextKey("conversation", "acme", "c-1")


async def begin(_: ContextKey) -> ExecutionContext:
    """The context of a new conversation: it includes the agent's, and changes with it."""
    return ExecutionContext(includes=(AGENT,))


async def main() -> None:
    """Ask until the input ends."""
    async with (
        AsyncContextClient(STORE) as contexts,
        aio_context_channel(aio.insecure_channel(ANSWERS)) as channel,
    ):
        answers = ExecutionServiceStub(channel)
        while text := await asyncio.to_thread(sys.stdin.readline):
            # --8<-- [start:turn]
            async with contexts.turn(CONVERSATION, begin=begin):
                request = RunAgentRequest(text=text.strip())
                answer = await answers.RunAgent(request, wait_for_ready=True)
            # --8<-- [end:turn]
            print(answer.text, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
