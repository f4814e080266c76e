"""The second service: answers with the model that the call's context names."""

import asyncio
from typing import Any

from grpc import aio
from relevo.demo.v1 import rag_platform_pb2_grpc as grpc_api
from relevo.demo.v1.rag_platform_pb2 import RunAgentRequest, RunAgentResponse
from relevo_client import AsyncContextClient, aio_server_interceptor, require_context

STORE, ADDRESS = "localhost:7390", "localhost:50051"


# --8<-- [start:handler]
class Answers(grpc_api.ExecutionServiceServicer):
    """Knows no tenant and no agent: all of it comes with the call."""

    async def RunAgent(
        self, request: RunAgentRequest, context: aio.ServicerContext[Any, Any]
    ) -> RunAgentResponse:
        """Answer one message."""
        model = require_context().llm_config["model"]
        return RunAgentResponse(text=f"{model} answers: {request.text}")


# --8<-- [end:handler]


async def main() -> None:
    """Serve until Ctrl-C."""
    async with AsyncContextClient(STORE) as contexts:
        server = aio.server(interceptors=[aio_server_interceptor(contexts, trust_callers=True)])
        grpc_api.add_ExecutionServiceServicer_to_server(Answers(), server)
        server.add_insecure_port(ADDRESS)
        await server.start()
        await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
